using System.Text;
using System.Text.Json;

namespace GradientAtoms.Text.ChatTemplates;

/// <summary>The chat template and the special tokens that belong to a tokenizer folder.</summary>
/// <param name="Template">Null where the folder has none.</param>
/// <param name="SpecialTokens">By name: <c>bos_token</c>, <c>eos_token</c>, …</param>
public sealed record ChatTemplateFile(ChatTemplate? Template, IReadOnlyDictionary<string, string> SpecialTokens)
{
    private const int LargestFile = 64 * 1024 * 1024;

    private static readonly string[] TokenNames = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Looks for <c>chat_template.jinja</c>, <c>chat_template.json</c>, then <c>tokenizer_config.json</c>; special tokens from the last and from <c>special_tokens_map.json</c>.</summary>
    /// <param name="folder">A Hugging Face model or tokenizer folder.</param>
    /// <exception cref="ChatTemplateException">GA2201, GA2202: the template cannot be read. GA2206: a file is not what it should be.</exception>
    public static ChatTemplateFile FromFolder(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        var special = new Dictionary<string, string>(StringComparer.Ordinal);
        ChatTemplate? template = null;
        foreach (var name in (string[])["special_tokens_map.json", "tokenizer_config.json"])
        {
            var path = Path.Combine(folder, name);
            if (File.Exists(path))
            {
                using var json = ReadObject(path);
                AddSpecialTokens(json.RootElement, special, path);
                template = TemplateOf(json.RootElement, path) ?? template;
            }
        }

        foreach (var name in (string[])["chat_template.json", "chat_template.jinja"])
        {
            var path = Path.Combine(folder, name);
            template = File.Exists(path) ? FromFile(path) : template;
        }

        return new(template, special);
    }

    /// <summary>Reads a template from a file of its own (<c>--chat-template FILE</c>).</summary>
    /// <param name="path">A jinja file, or a JSON file with a <c>chat_template</c> key.</param>
    /// <exception cref="ChatTemplateException">GA2201, GA2202: the template cannot be read. GA2206: the file cannot be read.</exception>
    public static ChatTemplate FromFile(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (!path.EndsWith(".json", StringComparison.OrdinalIgnoreCase))
        {
            return ChatTemplate.Parse(ReadText(path), path);
        }

        using var json = ReadObject(path);
        return TemplateOf(json.RootElement, path) ?? throw Bad(path, "the file has no 'chat_template'", null);
    }

    /// <summary>A text, or a list of named ones, of which <c>default</c> is the one for chats.</summary>
    private static ChatTemplate? TemplateOf(JsonElement root, string path)
    {
        if (!root.TryGetProperty("chat_template", out var template) || template.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        if (template.ValueKind == JsonValueKind.Array)
        {
            template = template.EnumerateArray().FirstOrDefault(entry =>
                entry.ValueKind == JsonValueKind.Object && entry.TryGetProperty("name", out var name) && name.ValueKind == JsonValueKind.String && name.ValueEquals("default"u8));
            template = template.ValueKind == JsonValueKind.Object && template.TryGetProperty("template", out var named) ? named : default;
        }

        return template.ValueKind == JsonValueKind.String
            ? ChatTemplate.Parse(Text(template, path), path)
            : throw Bad(path, "'chat_template' is neither a text nor a list with a template named 'default'", null);
    }

    private static void AddSpecialTokens(JsonElement root, Dictionary<string, string> special, string path)
    {
        foreach (var name in TokenNames)
        {
            if (!root.TryGetProperty(name, out var token))
            {
                continue;
            }

            token = token.ValueKind == JsonValueKind.Object && token.TryGetProperty("content", out var content) ? content : token;
            if (token.ValueKind == JsonValueKind.String)
            {
                special[name] = Text(token, path);
            }
        }
    }

    private static string Text(JsonElement element, string path)
    {
        try
        {
            return element.GetString()!;
        }
        catch (InvalidOperationException failure)
        {
            throw Bad(path, "a text in it holds half of a surrogate pair", failure);
        }
    }

    private static JsonDocument ReadObject(string path)
    {
        try
        {
            var json = JsonDocument.Parse(ReadText(path));
            if (json.RootElement.ValueKind == JsonValueKind.Object)
            {
                return json;
            }

            json.Dispose();
            throw Bad(path, "the file is not a JSON object", null);
        }
        catch (JsonException failure)
        {
            throw Bad(path, $"the file is not JSON ({failure.Message})", failure);
        }
    }

    private static string ReadText(string path)
    {
        try
        {
            if (new FileInfo(path) is { Exists: true, Length: > LargestFile } file)
            {
                throw Bad(path, $"the file has {file.Length} bytes, which is no chat template", null);
            }

            var bytes = File.ReadAllBytes(path);
            return Strict.GetString(bytes.AsSpan().StartsWith("\uFEFF"u8) ? bytes.AsSpan(3) : bytes);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw Bad(path, $"the file cannot be read ({failure.Message})", failure);
        }
        catch (DecoderFallbackException failure)
        {
            throw Bad(path, "the file is not UTF-8 text", failure);
        }
    }

    private static ChatTemplateException Bad(string path, string problem, Exception? failure) =>
        new(TemplateErrors.BadFile, path, problem, "Give the template's own file with --chat-template FILE.", failure);
}
