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

    // The expressions of Mistral's tekken and of OpenAI's o200k: words part where a capital follows a small letter.
    internal const string TekkenExpression =
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    internal const string Gpt4oExpression =
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

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
        int? endId,
        IReadOnlyList<float>? scores,
        bool addSpacePrefix)
    {
        if (model is not ("gpt2" or "llama"))
        {
            throw new TokenizerException("GA2104", location, $"the GGUF tokenizer \"{model}\" is not supported", Remedy);
        }

        if (tokenTypes is not null && tokenTypes.Count != tokens.Count)
        {
            throw new TokenizerException(
                "GA2108", location, $"expected a type for each of {tokens.Count} tokens, found {tokenTypes.Count} types", Remedy);
        }

        if (model == "llama")
        {
            var settings = new SentencePieceSettings { ByteFallback = true, AddPrefix = addSpacePrefix, RemoveExtra = false, BeginId = beginId, EndId = endId };
            return SentencePiece.Make(Pieces(tokens, scores, tokenTypes, location), settings, location);
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

        var (normalizer, preTokenizer, ignoreMerges) = StepsOf(pre, location);
        var options = new BytePairOptions { IgnoreMerges = ignoreMerges };
        return new TokenizerParts(
            vocabulary,
            new BytePairModel(vocabulary, ModelReader.ReadMerges(Pairs(merges, location), vocabulary), options))
        {
            Normalizer = normalizer,
            PreTokenizer = preTokenizer,
            Decoder = new ByteLevelDecoder(),
            AddedTokens = added,
            PostProcessor = TemplatePostProcessor.Of(beginId, endId, vocabulary, location, Remedy),
        };
    }

    private static List<(string Text, float Score, PieceKind Kind)> Pieces(
        IReadOnlyList<string> tokens, IReadOnlyList<float>? scores, IReadOnlyList<int>? types, string location)
    {
        if (scores?.Count != tokens.Count)
        {
            throw new TokenizerException(
                "GA2108", location, $"expected a score for each of {tokens.Count} tokens, found {scores?.Count ?? 0} scores", Remedy);
        }

        var pieces = new List<(string Text, float Score, PieceKind Kind)>(tokens.Count);
        for (var id = 0; id < tokens.Count; id++)
        {
            var type = types?[id] ?? (int)PieceKind.Normal;
            pieces.Add((tokens[id], scores[id], type is >= (int)PieceKind.Normal and <= (int)PieceKind.Byte ? (PieceKind)type : throw new TokenizerException(
                "GA2108", location, $"token {id} is of the type {type}, which is none of 1 to 6", Remedy)));
        }

        return pieces;
    }

    private static IEnumerable<(string Left, string Right, string Location)> Pairs(IReadOnlyList<string> merges, string location)
    {
        for (var i = 0; i < merges.Count; i++)
        {
            var (left, right) = ModelReader.SplitMerge(merges[i]) ?? throw new TokenizerException(
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
            "dbrx" or "smaug-bpe" => (null, Words(WordScanner.Llama3), false),
            "tekken" => (null, Words(new OnigurumaPattern(TekkenExpression, location)), true),
            "gpt-4o" => (null, Words(new OnigurumaPattern(Gpt4oExpression, location)), false),
            "qwen2" or "deepseek-r1-qwen" => (new UnicodeNormalizer(compose: true, compatibility: false), Words(WordScanner.Qwen2), false),
            _ => throw new TokenizerException("GA2104", location, $"the GGUF pre-tokenizer \"{pre}\" is not supported", Remedy),
        };

        PreTokenizerSequence Words(TextPattern pattern) =>
            new([new SplitPreTokenizer(pattern, SplitBehavior.Isolated, invert: false), bytes]);
    }
}
