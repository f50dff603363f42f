namespace GradientAtoms.Text.Tokenization;

/// <summary>
/// Makes a tokenizer from the vocabulary of a GGUF file. The file names its way of splitting only; the steps behind each
/// name are those of the models' own <c>tokenizer.json</c>.
/// </summary>
internal static class GgufTokenizer
{
    private const int UnknownType = 2;
    private const int ControlType = 3;
    private const int UserDefinedType = 4;

    private const string Remedy = "Use the model's tokenizer.json in place of the GGUF file's vocabulary.";

    /// <summary>Makes the steps.</summary>
    public static TokenizerParts Make(
        string model,
        string? pre,
        IReadOnlyList<string> tokens,
        IReadOnlyList<string> merges,
        IReadOnlyList<int>? tokenTypes,
        string location,
        int? beginId,
        int? endId)
    {
        if (model != "gpt2")
        {
            throw new TokenizerException("GA2104", location, $"the GGUF tokenizer \"{model}\" is not supported", Remedy);
        }

        if (tokenTypes is not null && tokenTypes.Count != tokens.Count)
        {
            throw new TokenizerException(
                "GA2108", location, $"expected a type for each of {tokens.Count} tokens, found {tokenTypes.Count} types", Remedy);
        }

        var vocabulary = new Vocabulary(tokens.Count);
        List<AddedToken> added = [];
        for (var id = 0; id < tokens.Count; id++)
        {
            vocabulary.Add(tokens[id], id, $"{location}: tokenizer.ggml.tokens");
            var type = tokenTypes?[id] ?? 1;
            if (type is UnknownType or ControlType or UserDefinedType)
            {
                added.Add(new AddedToken(tokens[id], id) { Special = type != UserDefinedType });
            }
        }

        foreach (var id in new[] { beginId, endId })
        {
            if (id is { } given && vocabulary.TokenOf(given) is null)
            {
                throw new TokenizerException("GA2108", location, $"the bos or eos id {given} is beyond the {tokens.Count} tokens", Remedy);
            }
        }

        var (normalizer, preTokenizer, ignoreMerges) = StepsOf(pre, location);
        var options = new BytePairOptions { IgnoreMerges = ignoreMerges };
        return new TokenizerParts(
            vocabulary,
            new BytePairModel(vocabulary, TokenizerReader.ReadMerges(Pairs(merges, location), vocabulary), options))
        {
            Normalizer = normalizer,
            PreTokenizer = preTokenizer,
            Decoder = new ByteLevelDecoder(),
            AddedTokens = added,
            PostProcessor = beginId is null && endId is null ? null : new TemplatePostProcessor(
                beginId is { } begin ? [begin] : [],
                endId is { } end ? [end] : []),
        };
    }

    private static IEnumerable<(string Left, string Right, string Location)> Pairs(IReadOnlyList<string> merges, string location)
    {
        for (var i = 0; i < merges.Count; i++)
        {
            var (left, right) = TokenizerReader.SplitMerge(merges[i]) ?? throw new TokenizerException(
                "GA2105", location, $"expected two tokens with one blank between as merge {i}, found \"{merges[i]}\"", Remedy);
            yield return (left, right, location);
        }
    }

    private static (Normalizer? Normalizer, PreTokenizer PreTokenizer, bool IgnoreMerges) StepsOf(string? pre, string location)
    {
        var bytes = new ByteLevelPreTokenizer(addPrefixSpace: false, useRegex: false);
        var gpt2 = new ByteLevelPreTokenizer(addPrefixSpace: false, useRegex: true);
        return (pre ?? "default") switch
        {
            "default" or "gpt-2" or "phi-2" or "olmo" => (null, gpt2, false),
            "smollm" or "starcoder" or "refact" or "command-r" or "codeshell" =>
                (null, new PreTokenizerSequence([SplitPreTokenizer.Digits(individual: true), gpt2]), false),
            "llama3" or "llama-v3" or "llama-bpe" => (null, Words(WordScanner.Llama3), true),
            "qwen2" or "deepseek-r1-qwen" => (new UnicodeNormalizer(compose: true, compatibility: false), Words(WordScanner.Qwen2), false),
            _ => throw new TokenizerException("GA2104", location, $"the GGUF pre-tokenizer \"{pre}\" is not supported", Remedy),
        };

        PreTokenizerSequence Words(WordScanner scanner) =>
            new([new SplitPreTokenizer(scanner, SplitBehavior.Isolated, invert: false), bytes]);
    }
}
