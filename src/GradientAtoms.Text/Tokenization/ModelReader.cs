using System.Text.Json;

namespace GradientAtoms.Text.Tokenization;

/// <summary>Reads the <c>model</c> of a <c>tokenizer.json</c>: BPE, Unigram, WordPiece or WordLevel.</summary>
internal static class ModelReader
{
    private const string Remedy = "Use a tokenizer.json as the tokenizers library writes it.";

    /// <summary>Reads the model and its vocabulary.</summary>
    public static (Vocabulary Vocabulary, TokenizerModel Model) Read(TokenizerNode node)
    {
        var vocabularyNode = node.Need("vocab");
        var type = node.Text("type") ?? Guess(node, vocabularyNode);
        if (type == "Unigram")
        {
            return ReadUnigram(node, vocabularyNode);
        }

        var vocabulary = new Vocabulary(1024);
        var tokens = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (token, id) in vocabularyNode.Members())
        {
            vocabulary.Add(token, id.Number(), id.Location);
            tokens[token] = id.Number();
        }

        return (vocabulary, type switch
        {
            "BPE" => ReadBytePairs(node, vocabulary),
            "WordPiece" => new WordPieceModel(
                tokens,
                UnknownId(node.Text("unk_token") ?? "[UNK]", vocabulary, node),
                node.Text("continuing_subword_prefix") ?? "##",
                node.Find("max_input_chars_per_word")?.Number() ?? 100),
            "WordLevel" => new WordLevelModel(tokens, tokens.TryGetValue(node.Text("unk_token") ?? "<unk>", out var unknown) ? unknown : null, node.Location),
            _ => throw node.Unknown($"the model \"{type}\""),
        });
    }

    /// <summary>The merges by pair of ids, ranked by their order.</summary>
    /// <param name="merges">Left and right token, best first, and where each stands.</param>
    /// <param name="vocabulary">The ids.</param>
    /// <param name="prefixLength">How much of the right token is dropped when it joins the left one.</param>
    public static Dictionary<long, (int Rank, int Id)> ReadMerges(
        IEnumerable<(string Left, string Right, string Location)> merges,
        Vocabulary vocabulary,
        int prefixLength = 0)
    {
        var result = new Dictionary<long, (int Rank, int Id)>();
        Span<char> buffer = stackalloc char[256];
        var rank = 0;
        foreach (var (left, right, location) in merges)
        {
            var rest = right.AsSpan(Math.Min(prefixLength, right.Length));
            var length = left.Length + rest.Length;
            var merged = length <= buffer.Length ? buffer[..length] : new char[length];
            left.CopyTo(merged);
            rest.CopyTo(merged[left.Length..]);
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

    /// <summary>Parts <c>"a b"</c> at its only blank; null where there is not exactly one.</summary>
    public static (string Left, string Right)? SplitMerge(string text)
    {
        var blank = text.IndexOf(' ', StringComparison.Ordinal);
        return blank < 0 || text.IndexOf(' ', blank + 1) >= 0 ? null : (text[..blank], text[(blank + 1)..]);
    }

    /// <summary>Files of the library's first years name no type.</summary>
    private static string Guess(TokenizerNode node, TokenizerNode vocabulary) =>
        node.Find("merges") is not null ? "BPE"
        : vocabulary.Kind == JsonValueKind.Array ? "Unigram"
        : node.Find("continuing_subword_prefix") is not null ? "WordPiece"
        : "without type and merges";

    private static BytePairModel ReadBytePairs(TokenizerNode node, Vocabulary vocabulary)
    {
        if (node.Find("dropout") is { } dropout && dropout.Real() > 0)
        {
            throw node.Unknown($"a dropout of {dropout.Real()}, which draws another result each time,");
        }

        var prefix = node.Text("continuing_subword_prefix") ?? "";
        var merges = ReadMerges(node.Need("merges").Items().Select(ReadMerge), vocabulary, prefix.Length);
        return new BytePairModel(vocabulary, merges, new BytePairOptions
        {
            UnknownId = node.Text("unk_token") is { } unknown ? UnknownId(unknown, vocabulary, node) : null,
            FuseUnknown = node.Flag("fuse_unk", false),
            ByteFallback = node.Flag("byte_fallback", false),
            IgnoreMerges = node.Flag("ignore_merges", false),
            ContinuingPrefix = prefix,
            EndSuffix = node.Text("end_of_word_suffix") ?? "",
        });
    }

    private static (Vocabulary Vocabulary, UnigramModel Model) ReadUnigram(TokenizerNode node, TokenizerNode list)
    {
        var vocabulary = new Vocabulary(1024);
        var pieces = new List<ScoredPiece>();
        foreach (var item in list.Items())
        {
            var pair = item.Items().Take(3).ToList();
            if (pair.Count != 2)
            {
                throw new TokenizerException("GA2103", item.Location, $"expected a piece and its score, found {(pair.Count > 2 ? "more" : "less")}", Remedy);
            }

            pieces.Add(new ScoredPiece(pair[0].Text(), pieces.Count, pair[1].Real()));
            vocabulary.Add(pieces[^1].Text, pieces[^1].Id, item.Location);
        }

        var unknown = node.Find("unk_id")?.Number();
        return unknown is null || (unknown >= 0 && unknown < pieces.Count)
            ? (vocabulary, new UnigramModel(vocabulary, pieces, unknown, node.Flag("byte_fallback", false), node.Location))
            : throw new TokenizerException("GA2106", node.Location, $"the unk_id {unknown} is beyond the {pieces.Count} pieces", Remedy);
    }

    private static int UnknownId(string name, Vocabulary vocabulary, TokenizerNode node) => vocabulary.TryGetId(name, out var id)
        ? id
        : throw new TokenizerException("GA2106", node.Location, $"the unk_token \"{name}\" is not in the vocabulary", Remedy);

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
}
