using System.Text.Json;

namespace GradientAtoms.Text.Tokenization;

/// <summary>The names of a tokenizer's special tokens, null where a model has none.</summary>
public sealed record SpecialTokens
{
    /// <summary>The token that begins a text.</summary>
    public string? Bos { get; init; }

    /// <summary>The token that ends a text.</summary>
    public string? Eos { get; init; }

    /// <summary>The token for what the vocabulary lacks.</summary>
    public string? Unk { get; init; }

    /// <summary>The token that fills a batch up.</summary>
    public string? Pad { get; init; }

    /// <summary>Reads <c>tokenizer_config.json</c>, and <c>special_tokens_map.json</c> for what that leaves open.</summary>
    /// <param name="folder">The model folder. Files that are missing are passed over.</param>
    /// <returns>The names found.</returns>
    /// <exception cref="TokenizerException">A file is no JSON, or a name in it is neither a string nor an object with <c>content</c>.</exception>
    public static SpecialTokens Load(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        var result = new SpecialTokens();
        foreach (var name in new[] { "tokenizer_config.json", "special_tokens_map.json" })
        {
            var file = Path.Combine(folder, name);
            if (File.Exists(file))
            {
                var found = TokenizerFile.Read(file, Read);
                result = new SpecialTokens
                {
                    Bos = result.Bos ?? found.Bos,
                    Eos = result.Eos ?? found.Eos,
                    Unk = result.Unk ?? found.Unk,
                    Pad = result.Pad ?? found.Pad,
                };
            }
        }

        return result;
    }

    private static SpecialTokens Read(JsonDocument document, string file)
    {
        var root = new TokenizerNode(document.RootElement, file, "");
        return new SpecialTokens
        {
            Bos = Name(root.Find("bos_token")),
            Eos = Name(root.Find("eos_token")),
            Unk = Name(root.Find("unk_token")),
            Pad = Name(root.Find("pad_token")),
        };
    }

    private static string? Name(TokenizerNode? node) => node switch
    {
        null => null,
        { Kind: JsonValueKind.Object } token => token.Need("content").Text(),
        { } token => token.Text(),
    };
}
