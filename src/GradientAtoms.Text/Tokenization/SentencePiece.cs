namespace GradientAtoms.Text.Tokenization;

/// <summary>What a piece of a sentencepiece vocabulary is for; the numbers are those of its files.</summary>
internal enum PieceKind
{
    /// <summary>A piece of text.</summary>
    Normal = 1,

    /// <summary>What stands for unknown characters.</summary>
    Unknown = 2,

    /// <summary>A token that is no text, such as a bos.</summary>
    Control = 3,

    /// <summary>A text that is always one token.</summary>
    UserDefined = 4,

    /// <summary>A step on the way to other pieces, no token by itself.</summary>
    Unused = 5,

    /// <summary>A byte, <c>&lt;0xNN&gt;</c>.</summary>
    Byte = 6,
}

/// <summary>What a sentencepiece vocabulary does beside its pieces.</summary>
internal sealed record SentencePieceSettings
{
    /// <summary>Unigram rather than byte pairs.</summary>
    public bool IsUnigram { get; init; }

    /// <summary>Whether unknown characters become bytes.</summary>
    public bool ByteFallback { get; init; }

    /// <summary>What replaces which characters, or null.</summary>
    public CharacterMap? Map { get; init; }

    /// <summary>Whether a blank is put before a text.</summary>
    public bool AddPrefix { get; init; } = true;

    /// <summary>Whether blanks at the ends go, and one is left of several.</summary>
    public bool RemoveExtra { get; init; } = true;

    /// <summary>Whether blanks are written as U+2581.</summary>
    public bool EscapeBlanks { get; init; } = true;

    /// <summary>Whether words carry their blank behind in place of before.</summary>
    public bool BlankBehind { get; init; }

    /// <summary>The id put before a text, or null.</summary>
    public int? BeginId { get; init; }

    /// <summary>The id put behind a text, or null.</summary>
    public int? EndId { get; init; }

    /// <summary>Tokens that the vocabulary itself lacks.</summary>
    public IReadOnlyList<AddedToken> Added { get; init; } = [];
}

/// <summary>Makes a tokenizer's steps from a sentencepiece vocabulary.</summary>
/// <remarks>
/// Control pieces, unknown and user-defined ones are cut out of a text first, as the converters of transformers do; what lies
/// between is encoded as sentencepiece itself encodes it, each part with its own prefix.
/// </remarks>
internal static class SentencePiece
{
    private const int Mark = 0x2581;
    private const string Remedy = "Take the file from the model's origin again.";

    /// <summary>Makes the steps.</summary>
    /// <param name="pieces">Text, score and kind, by id.</param>
    /// <param name="settings">The rest.</param>
    /// <param name="location">How errors name the file.</param>
    public static TokenizerParts Make(IReadOnlyList<(string Text, float Score, PieceKind Kind)> pieces, SentencePieceSettings settings, string location)
    {
        var vocabulary = new Vocabulary(pieces.Count);
        var added = new List<AddedToken>();
        int? unknown = null;
        for (var id = 0; id < pieces.Count; id++)
        {
            var (text, score, kind) = pieces[id];
            if (text.Length == 0 || !float.IsFinite(score))
            {
                throw new TokenizerException(
                    "GA2108", location, $"piece {id} {(text.Length == 0 ? "is empty" : "has no finite score")}", Remedy);
            }

            vocabulary.Add(text, id, location);
            unknown = kind == PieceKind.Unknown ? unknown ?? id : unknown;
            if (kind is PieceKind.Unknown or PieceKind.Control or PieceKind.UserDefined)
            {
                added.Add(new AddedToken(text, id) { Special = kind != PieceKind.UserDefined });
            }
        }

        var scored = pieces.Select((piece, id) => (Piece: new ScoredPiece(piece.Text, id, piece.Score), piece.Kind));
        TokenizerModel model = settings.IsUnigram
            ? new UnigramModel(vocabulary, [.. scored.Where(piece => piece.Kind == PieceKind.Normal).Select(piece => piece.Piece)], unknown, settings.ByteFallback, location)
            : new ScoredPairModel(
                vocabulary,
                scored.Where(piece => piece.Kind is PieceKind.Normal or PieceKind.Unused).Select(piece => (piece.Piece, piece.Kind == PieceKind.Unused)),
                unknown,
                settings.ByteFallback);
        foreach (var token in settings.Added)
        {
            vocabulary.Add(token.Content, token.Id, $"{location}: added tokens");
            added.RemoveAll(known => known.Id == token.Id);
            added.Add(token);
        }

        return new TokenizerParts(vocabulary, model)
        {
            Normalizer = new SentencePieceNormalizer(settings.Map, settings.AddPrefix, settings.RemoveExtra, settings.BlankBehind, settings.EscapeBlanks ? Mark : ' '),
            Decoder = DecoderOf(settings),
            AddedTokens = added,
            PostProcessor = TemplatePostProcessor.Of(settings.BeginId, settings.EndId, vocabulary, location, Remedy),
        };
    }

    /// <summary>Marks to blanks, bytes to text, and the blank away that encoding put there.</summary>
    private static DecoderSequence DecoderOf(SentencePieceSettings settings) => new([
        new ReplaceDecoder(new LiteralPattern(char.ConvertFromUtf32(Mark)), " "),
        new ByteFallbackDecoder(),
        new FuseDecoder(),
        new StripDecoder(' ', settings.AddPrefix && !settings.BlankBehind ? 1 : 0, settings.AddPrefix && settings.BlankBehind ? 1 : 0)]);
}
