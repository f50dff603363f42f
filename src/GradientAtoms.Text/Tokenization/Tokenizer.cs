namespace GradientAtoms.Text.Tokenization;

/// <summary>
/// Text to token ids and back, as <c>tokenizer.json</c> says: the same ids, offsets and decodings as the
/// <c>tokenizers</c> library. Safe for use by several threads at once.
/// </summary>
public sealed class Tokenizer
{
    private readonly TokenizerParts _parts;
    private readonly AddedTokenFinder _rawTokens;
    private readonly AddedTokenFinder? _normalizedTokens;
    private readonly HashSet<int> _special;
    private readonly Dictionary<int, string> _normalizedTexts = [];

    private Tokenizer(TokenizerParts parts)
    {
        _parts = parts;
        _special = [.. parts.AddedTokens.Where(token => token.Special).Select(token => token.Id)];

        // Special tokens first: of two tokens with the same text the finder takes the first.
        var ordered = parts.AddedTokens.OrderBy(token => token.Special ? 0 : 1).ToList();
        _rawTokens = new AddedTokenFinder(
            ordered.Where(token => !token.Normalized).Select(token => (AlignedText.ToCodePoints(token.Content), token)));
        if (ordered.Exists(token => token.Normalized))
        {
            var normalized = ordered.Where(token => token.Normalized).Select(token => (Text: Normalize(token.Content), Token: token)).ToList();
            _normalizedTokens = new AddedTokenFinder(normalized);
            foreach (var (text, token) in normalized)
            {
                _normalizedTexts[token.Id] = AlignedText.ToText(text);
            }
        }
    }

    /// <summary>The largest id + 1, added tokens included.</summary>
    public int VocabularySize => _parts.Vocabulary.Size;

    /// <summary>Reads a <c>tokenizer.json</c>.</summary>
    /// <param name="tokenizerJsonPath">The file.</param>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="TokenizerException">The file is missing, rubbish, or uses a step that is not known here (named).</exception>
    public static Tokenizer Load(string tokenizerJsonPath)
    {
        ArgumentNullException.ThrowIfNull(tokenizerJsonPath);
        return new Tokenizer(TokenizerFile.Read(tokenizerJsonPath, TokenizerReader.Read));
    }

    /// <summary>Reads the tokenizer of a model folder: its <c>tokenizer.json</c>, else its <c>tokenizer.model</c> (sentencepiece).</summary>
    /// <remarks>
    /// <c>tokenizer.model</c> is read with what <c>tokenizer_config.json</c> (<c>add_bos_token</c>, true where absent,
    /// <c>add_eos_token</c>, <c>added_tokens_decoder</c>) and <c>added_tokens.json</c> say.
    /// </remarks>
    /// <param name="folder">A Hugging Face model or tokenizer folder.</param>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="TokenizerException">There is neither file (GA2101), or it is rubbish, or uses what is not known here (named).</exception>
    public static Tokenizer LoadFolder(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        var (json, model) = (Path.Combine(folder, "tokenizer.json"), Path.Combine(folder, "tokenizer.model"));
        return File.Exists(json) ? Load(json)
            : File.Exists(model) ? new Tokenizer(SentencePieceFile.ReadFolder(folder, model))
            : throw new TokenizerException("GA2101", folder, "has neither tokenizer.json nor tokenizer.model", "Fetch the whole model, or save its tokenizer beside the weights.");
    }

    /// <summary>Reads the content of a <c>tokenizer.json</c>.</summary>
    /// <param name="json">The content.</param>
    /// <param name="location">How errors name it.</param>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="TokenizerException">The content is rubbish, or uses a step that is not known here (named).</exception>
    public static Tokenizer Parse(string json, string location)
    {
        ArgumentNullException.ThrowIfNull(json);
        return new Tokenizer(TokenizerFile.Parse(json, location, TokenizerReader.Read));
    }

    /// <summary>Makes a tokenizer from the vocabulary of a GGUF file.</summary>
    /// <param name="model"><c>tokenizer.ggml.model</c>: <c>gpt2</c> (byte-level BPE) or <c>llama</c> (sentencepiece's BPE); others are refused by name.</param>
    /// <param name="pre"><c>tokenizer.ggml.pre</c>, such as <c>smollm</c>, <c>gpt-2</c>, <c>llama-bpe</c> or <c>qwen2</c>; null and <c>default</c> stand for <c>gpt-2</c>.</param>
    /// <param name="tokens"><c>tokenizer.ggml.tokens</c>, one for each id.</param>
    /// <param name="merges"><c>tokenizer.ggml.merges</c>, such as <c>Ġ t</c>, best first.</param>
    /// <param name="tokenTypes"><c>tokenizer.ggml.token_type</c>: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte; null for all normal.</param>
    /// <param name="location">How errors name the file.</param>
    /// <param name="beginId">The id that <c>addSpecialTokens</c> puts first (<c>bos_token_id</c> where <c>add_bos_token</c> is true), or null.</param>
    /// <param name="endId">The id that <c>addSpecialTokens</c> puts last (<c>eos_token_id</c> where <c>add_eos_token</c> is true), or null.</param>
    /// <param name="scores"><c>tokenizer.ggml.scores</c>, one for each id: what <c>llama</c> merges by.</param>
    /// <param name="addSpacePrefix"><c>tokenizer.ggml.add_space_prefix</c>, true where absent: <c>llama</c> puts a blank before each text.</param>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="TokenizerException">The model or its splitting is not known here, or the lists do not fit each other.</exception>
    public static Tokenizer FromGguf(
        string model,
        string? pre,
        IReadOnlyList<string> tokens,
        IReadOnlyList<string> merges,
        IReadOnlyList<int>? tokenTypes,
        string location,
        int? beginId = null,
        int? endId = null,
        IReadOnlyList<float>? scores = null,
        bool addSpacePrefix = true)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(tokens);
        ArgumentNullException.ThrowIfNull(merges);
        return new Tokenizer(GgufTokenizer.Make(model, pre, tokens, merges, tokenTypes, location, beginId, endId, scores, addSpacePrefix));
    }

    /// <summary>Text to ids. Names of special tokens in the text become those tokens.</summary>
    /// <param name="text">The text. Half surrogate pairs count as U+FFFD.</param>
    /// <param name="addSpecialTokens">Whether the tokenizer adds the tokens of its template, such as a bos.</param>
    /// <returns>The ids, <c>[n]</c>.</returns>
    /// <exception cref="TokenizerException">A regular expression of the tokenizer's takes too long (GA2109).</exception>
    public int[] Encode(string text, bool addSpecialTokens = false)
    {
        var tokens = EncodeAll(text, addSpecialTokens);
        var ids = new int[tokens.Count];
        for (var i = 0; i < ids.Length; i++)
        {
            ids[i] = tokens[i].Id;
        }

        return ids;
    }

    /// <summary>Text to ids and the place of each in the text.</summary>
    /// <param name="text">The text. Half surrogate pairs count as U+FFFD.</param>
    /// <param name="addSpecialTokens">Whether the tokenizer adds the tokens of its template, such as a bos.</param>
    /// <returns>The tokens, <c>[n]</c>, offsets in Unicode code points.</returns>
    /// <exception cref="TokenizerException">A regular expression of the tokenizer's takes too long (GA2109).</exception>
    public IReadOnlyList<Token> EncodeWithOffsets(string text, bool addSpecialTokens = false) =>
        EncodeAll(text, addSpecialTokens).ConvertAll(static token => new Token(token.Id, token.Start, token.End));

    /// <summary>Ids to text. Bytes that are no UTF-8 become U+FFFD; ids that no token has are passed over.</summary>
    /// <param name="ids">The ids, <c>[n]</c>.</param>
    /// <param name="skipSpecialTokens">Whether special tokens are left out.</param>
    /// <returns>The text.</returns>
    public string Decode(IReadOnlyList<int> ids, bool skipSpecialTokens = false)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var tokens = new List<string>(ids.Count);
        foreach (var id in ids)
        {
            if (_parts.Vocabulary.TokenOf(id) is { } token && !(skipSpecialTokens && _special.Contains(id)))
            {
                tokens.Add(_normalizedTexts.GetValueOrDefault(id, token));
            }
        }

        return _parts.Decoder is null ? string.Join(' ', tokens) : string.Concat(_parts.Decoder.Apply(tokens));
    }

    /// <summary>The id of a token as it is written in the vocabulary (byte-level: <c>Ġthe</c>), or null.</summary>
    /// <param name="token">The token.</param>
    public int? TokenId(string token) => _parts.Vocabulary.TryGetId(token, out var id) ? id : null;

    /// <summary>The token of an id as it is written in the vocabulary, or null where no token has it.</summary>
    /// <param name="id">The id.</param>
    public string? TokenText(int id) => _parts.Vocabulary.TokenOf(id);

    /// <summary>Whether an id is that of a special token: one that is no text of the author's.</summary>
    /// <param name="id">The id.</param>
    public bool IsSpecial(int id) => _special.Contains(id);

    /// <summary>A decoder that takes ids one by one.</summary>
    /// <param name="skipSpecialTokens">Whether special tokens are left out.</param>
    /// <returns>A new decoder at the start of a text.</returns>
    public IncrementalDecoder NewDecoder(bool skipSpecialTokens = false) => new(this, skipSpecialTokens);

    private int[] Normalize(string text)
    {
        var aligned = AlignedText.Of(text);
        _parts.Normalizer?.Apply(aligned);
        return aligned.Codes[..aligned.Count];
    }

    private List<ProcessedToken> EncodeAll(string text, bool addSpecialTokens)
    {
        ArgumentNullException.ThrowIfNull(text);
        var tokens = new List<ProcessedToken>();
        var whole = AlignedText.Of(text);
        foreach (var part in _rawTokens.Split(whole.Codes.AsSpan(0, whole.Count)))
        {
            var piece = whole.Slice(part.From, part.To);
            if (part.Token is not null)
            {
                AddToken(part.Token, piece, tokens);
                continue;
            }

            _parts.Normalizer?.Apply(piece);
            if (_normalizedTokens is null)
            {
                EncodePiece(piece, tokens);
                continue;
            }

            foreach (var inner in _normalizedTokens.Split(piece.Codes.AsSpan(0, piece.Count)))
            {
                var slice = piece.Slice(inner.From, inner.To);
                if (inner.Token is not null)
                {
                    AddToken(inner.Token, slice, tokens);
                }
                else
                {
                    EncodePiece(slice, tokens);
                }
            }
        }

        return _parts.PostProcessor?.Apply(tokens, addSpecialTokens, _parts.Vocabulary) ?? tokens;
    }

    private static void AddToken(AddedToken token, AlignedText piece, List<ProcessedToken> tokens) => tokens.Add(new ProcessedToken(
        token.Id,
        piece.Starts[0],
        piece.Ends[piece.Count - 1],
        AlignedText.ToText(piece.Codes.AsSpan(0, piece.Count))));

    private void EncodePiece(AlignedText text, List<ProcessedToken> tokens)
    {
        if (text.Count == 0)
        {
            return;
        }

        _parts.PreTokenizer?.Apply(text);
        foreach (var (from, to) in text.Pieces)
        {
            var word = _parts.Model.Encode(text.Codes.AsSpan(from, to - from));
            var (starts, ends) = (new BytePlace(text, from), new BytePlace(text, from));
            for (var i = 0; i < word.Ids.Length; i++)
            {
                var start = text.Starts[starts.CodeOf(word.Starts[i], to)];
                var end = text.Ends[ends.CodeOf(word.Ends[i] - 1, to)];
                tokens.Add(new ProcessedToken(word.Ids[i], start, end, null));
            }
        }
    }

    /// <summary>Walks over a word's code points by offsets in UTF-8 bytes that never fall.</summary>
    private struct BytePlace(AlignedText text, int at)
    {
        private int _at = at;
        private int _before;

        /// <summary>The code point, before <paramref name="end"/>, that a byte is of.</summary>
        public int CodeOf(int offset, int end)
        {
            while (_at + 1 < end && _before + TokenizerModel.SizeOf(text.Codes[_at]) is var next && next <= offset)
            {
                _before = next;
                _at++;
            }

            return _at;
        }
    }
}
