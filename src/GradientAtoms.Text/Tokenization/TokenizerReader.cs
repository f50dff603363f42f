using System.Text.Json;

namespace GradientAtoms.Text.Tokenization;

/// <summary>The steps of a tokenizer, and its vocabulary.</summary>
internal sealed record TokenizerParts(Vocabulary Vocabulary, TokenizerModel Model)
{
    /// <summary>Changes text before it is cut, if anything does.</summary>
    public Normalizer? Normalizer { get; init; }

    /// <summary>Cuts text to words; null leaves it whole.</summary>
    public PreTokenizer? PreTokenizer { get; init; }

    /// <summary>Ends the encoding, if anything does.</summary>
    public PostProcessor? PostProcessor { get; init; }

    /// <summary>Turns tokens to text; null joins them with blanks.</summary>
    public Decoder? Decoder { get; init; }

    /// <summary>The tokens that are cut out of a text first.</summary>
    public IReadOnlyList<AddedToken> AddedTokens { get; init; } = [];
}

/// <summary>Reads <c>tokenizer.json</c>.</summary>
/// <remarks><c>truncation</c> and <c>padding</c> are passed over: how long a document may be is the caller's to say.</remarks>
internal static class TokenizerReader
{
    private const string Remedy = "Use a tokenizer.json as the tokenizers library writes it.";

    /// <summary>Reads the file's content.</summary>
    public static TokenizerParts Read(JsonDocument document, string file)
    {
        var root = new TokenizerNode(document.RootElement, file, "");
        var (vocabulary, model) = ModelReader.Read(root.Need("model"));
        var added = root.Find("added_tokens")?.Items().Select(AddedToken.From).ToList() ?? [];
        foreach (var token in added)
        {
            vocabulary.Add(token.Content, token.Id, $"{file}: added_tokens");
        }

        var processor = root.Find("post_processor");
        var parts = new TokenizerParts(vocabulary, model)
        {
            Normalizer = Make(root.Find("normalizer"), Normalizer.From),
            PreTokenizer = Make(root.Find("pre_tokenizer"), PreTokenizer.From),
            PostProcessor = Make(processor, PostProcessor.From),
            Decoder = Make(root.Find("decoder"), Decoder.From),
            AddedTokens = added,
        };
        foreach (var id in parts.PostProcessor?.Ids ?? [])
        {
            if (vocabulary.TokenOf(id) is null)
            {
                throw new TokenizerException("GA2106", processor!.Value.Location, $"the template adds the id {id}, which no token has", Remedy);
            }
        }

        return parts;
    }

    private static T? Make<T>(TokenizerNode? node, Func<TokenizerNode, T> make)
        where T : class => node is { } present ? make(present) : null;
}
