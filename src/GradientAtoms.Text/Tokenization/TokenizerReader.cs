using System.Text.Json;

namespace GradientAtoms.Text.Tokenization;

/// <summary>The steps of a tokenizer, and its vocabulary.</summary>
internal sealed record TokenizerParts(Vocabulary Vocabulary, BytePairModel Model)
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
        var model = root.Need("model");
        var vocabulary = new Vocabulary(1024);
        foreach (var (token, id) in model.Need("vocab").Members())
        {
            vocabulary.Add(token, id.Number(), id.Location);
        }

        var bytePairs = ReadModel(model, vocabulary);
        var added = root.Find("added_tokens")?.Items().Select(AddedToken.From).ToList() ?? [];
        foreach (var token in added)
        {
            vocabulary.Add(token.Content, token.Id, $"{file}: added_tokens");
        }

        var processor = root.Find("post_processor");
        var parts = new TokenizerParts(vocabulary, bytePairs)
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

    /// <summary>The merges by pair of ids, ranked by their order.</summary>
    /// <param name="merges">Left and right token, best first, and where each stands.</param>
    /// <param name="vocabulary">The ids.</param>
    public static Dictionary<long, (int Rank, int Id)> ReadMerges(
        IEnumerable<(string Left, string Right, string Location)> merges,
        Vocabulary vocabulary)
    {
        var result = new Dictionary<long, (int Rank, int Id)>();
        Span<char> buffer = stackalloc char[256];
        var rank = 0;
        foreach (var (left, right, location) in merges)
        {
            var length = left.Length + right.Length;
            var merged = length <= buffer.Length ? buffer[..length] : new char[length];
            left.CopyTo(merged);
            right.CopyTo(merged[left.Length..]);
            if (!vocabulary.TryGetId(left, out var leftId)
                || !vocabulary.TryGetId(right, out var rightId)
                || !vocabulary.TryGetId(merged, out var id))
            {
                throw new TokenizerException(
                    "GA2105",
                    location,
                    $"the merge of \"{left}\" and \"{right}\" names a token that the vocabulary lacks",
                    "Take the file from its origin again: vocabulary and merges belong together.");
            }

            result[BytePairModel.PairKey(leftId, rightId)] = (rank++, id);
        }

        return result;
    }

    private static T? Make<T>(TokenizerNode? node, Func<TokenizerNode, T> make)
        where T : class => node is { } present ? make(present) : null;

    private static BytePairModel ReadModel(TokenizerNode model, Vocabulary vocabulary)
    {
        // Files of the library's first years name no type; merges tell them as byte pair encoding.
        var type = model.Text("type") ?? (model.Find("merges") is null ? "without type and merges" : "BPE");
        if (type != "BPE")
        {
            throw model.Unknown($"the model \"{type}\"");
        }

        foreach (var name in new[] { "continuing_subword_prefix", "end_of_word_suffix" })
        {
            if (model.Text(name) is { Length: > 0 } affix)
            {
                throw model.Unknown($"the {name} \"{affix}\"");
            }
        }

        int? unknown = null;
        if (model.Text("unk_token") is { } name2)
        {
            unknown = vocabulary.TryGetId(name2, out var id) ? id : throw new TokenizerException(
                "GA2106", model.Location, $"the unk_token \"{name2}\" is not in the vocabulary", Remedy);
        }

        var merges = ReadMerges(model.Need("merges").Items().Select(ReadMerge), vocabulary);
        return new BytePairModel(vocabulary, merges, new BytePairOptions
        {
            UnknownId = unknown,
            FuseUnknown = model.Flag("fuse_unk", false),
            ByteFallback = model.Flag("byte_fallback", false),
            IgnoreMerges = model.Flag("ignore_merges", false),
        });
    }

    private static (string Left, string Right, string Location) ReadMerge(TokenizerNode node)
    {
        if (node.Kind != JsonValueKind.String)
        {
            var pair = node.Items().Select(item => item.Text()).ToList();
            return pair.Count == 2
                ? (pair[0], pair[1], node.Location)
                : throw new TokenizerException("GA2105", node.Location, $"expected a pair, found {pair.Count} texts", Remedy);
        }

        var text = node.Text();
        return SplitMerge(text) is var (left, right)
            ? (left, right, node.Location)
            : throw new TokenizerException("GA2105", node.Location, $"expected two tokens with one blank between, found \"{text}\"", Remedy);
    }

    /// <summary>Parts <c>"a b"</c> at its only blank; null where there is not exactly one.</summary>
    public static (string Left, string Right)? SplitMerge(string text)
    {
        var blank = text.IndexOf(' ', StringComparison.Ordinal);
        return blank < 0 || text.IndexOf(' ', blank + 1) >= 0 ? null : (text[..blank], text[(blank + 1)..]);
    }
}
