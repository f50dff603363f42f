using System.Text.Json;

namespace GradientAtoms.Text.Tokenization;

/// <summary>A value of a tokenizer's JSON together with its place, so that every complaint names it.</summary>
internal readonly struct TokenizerNode
{
    private readonly JsonElement _element;

    public TokenizerNode(JsonElement element, string file, string path)
    {
        _element = element;
        File = file;
        Path = path;
    }

    /// <summary>The file, as errors name it.</summary>
    public string File { get; }

    /// <summary>The place in the file, such as <c>model.merges[3]</c>; empty for the whole.</summary>
    public string Path { get; }

    /// <summary>File and place.</summary>
    public string Location => Path.Length == 0 ? File : $"{File}: {Path}";

    /// <summary>The kind of the value.</summary>
    public JsonValueKind Kind => _element.ValueKind;

    /// <summary>A key's value, or null where the key is absent or its value is null.</summary>
    public TokenizerNode? Find(string name)
    {
        if (Kind != JsonValueKind.Object)
        {
            throw Wrong("an object");
        }

        return _element.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null
            ? new TokenizerNode(value, File, Path.Length == 0 ? name : $"{Path}.{name}")
            : null;
    }

    /// <summary>A key's value; an error where there is none.</summary>
    public TokenizerNode Need(string name) => Find(name) ?? throw new TokenizerException(
        "GA2103",
        Location,
        $"expected a key \"{name}\", found none",
        "Use a tokenizer.json as the tokenizers library writes it.");

    /// <summary>The elements of a list.</summary>
    public IEnumerable<TokenizerNode> Items()
    {
        if (Kind != JsonValueKind.Array)
        {
            throw Wrong("a list");
        }

        return Enumerate(_element, File, Path);

        static IEnumerable<TokenizerNode> Enumerate(JsonElement list, string file, string path)
        {
            var index = 0;
            foreach (var item in list.EnumerateArray())
            {
                yield return new TokenizerNode(item, file, $"{path}[{index++}]");
            }
        }
    }

    /// <summary>The keys and values of an object.</summary>
    public IEnumerable<KeyValuePair<string, TokenizerNode>> Members()
    {
        if (Kind != JsonValueKind.Object)
        {
            throw Wrong("an object");
        }

        return Enumerate(_element, File, Path);

        static IEnumerable<KeyValuePair<string, TokenizerNode>> Enumerate(JsonElement map, string file, string path)
        {
            foreach (var member in map.EnumerateObject())
            {
                yield return KeyValuePair.Create(member.Name, new TokenizerNode(member.Value, file, path));
            }
        }
    }

    /// <summary>The value as a text.</summary>
    public string Text() => Kind == JsonValueKind.String ? _element.GetString()! : throw Wrong("a text");

    /// <summary>The value as a whole number.</summary>
    public int Number() => Kind == JsonValueKind.Number && _element.TryGetInt32(out var number)
        ? number
        : throw Wrong("a whole number of 32 bits");

    /// <summary>The value as a number.</summary>
    public double Real() => Kind == JsonValueKind.Number && _element.TryGetDouble(out var number) && double.IsFinite(number)
        ? number
        : throw Wrong("a finite number");

    /// <summary>The value as true or false.</summary>
    public bool Flag() => Kind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Wrong("true or false"),
    };

    /// <summary>A key's flag, or its default where it is absent.</summary>
    public bool Flag(string name, bool otherwise) => Find(name)?.Flag() ?? otherwise;

    /// <summary>A key's text, or null.</summary>
    public string? Text(string name) => Find(name)?.Text();

    /// <summary>The error for a step or a setting that is not known here.</summary>
    public TokenizerException Unknown(string what) => new(
        "GA2104",
        Location,
        $"{what} is not supported",
        "Use a model whose tokenizer has only supported steps, or ask for this one.");

    private TokenizerException Wrong(string expected) => new(
        "GA2103",
        Location,
        $"expected {expected}, found {Kind}",
        "Use a tokenizer.json as the tokenizers library writes it.");
}
