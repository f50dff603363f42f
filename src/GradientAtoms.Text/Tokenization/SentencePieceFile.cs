using System.Text;
using System.Text.Json;

namespace GradientAtoms.Text.Tokenization;

/// <summary>
/// Reads the <c>tokenizer.model</c> of sentencepiece, a protobuf message (<c>ModelProto</c>): pieces in field 1, how it was
/// trained in field 2, how text is normalized in field 3.
/// </summary>
internal static class SentencePieceFile
{
    private const long MostBytes = 1L << 28;
    private const int MostPieces = 1 << 24;

    private const string Remedy = "Take the file from the model's origin again.";

    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Reads a folder's <c>tokenizer.model</c>, with what its <c>tokenizer_config.json</c> and <c>added_tokens.json</c> say.</summary>
    /// <param name="folder">The model folder.</param>
    /// <param name="file">The path of the model file.</param>
    public static TokenizerParts ReadFolder(string folder, string file)
    {
        var config = Path.Combine(folder, "tokenizer_config.json");
        var (begins, ends, added) = File.Exists(config) ? TokenizerFile.Read(config, ReadConfig) : (true, false, []);
        var more = Path.Combine(folder, "added_tokens.json");
        if (File.Exists(more))
        {
            added = [.. added, .. TokenizerFile.Read(more, ReadAdded).Where(token => !added.Exists(known => known.Id == token.Id))];
        }

        return Read(ReadBytes(file), file, begins, ends, added);
    }

    /// <summary>Reads the message.</summary>
    /// <param name="message">The file's bytes.</param>
    /// <param name="location">How errors name it.</param>
    /// <param name="begins">Whether <c>addSpecialTokens</c> puts the bos first.</param>
    /// <param name="ends">Whether <c>addSpecialTokens</c> puts the eos last.</param>
    /// <param name="added">Tokens that the file lacks.</param>
    public static TokenizerParts Read(ReadOnlySpan<byte> message, string location, bool begins = true, bool ends = false, IReadOnlyList<AddedToken>? added = null)
    {
        var pieces = new List<(string Text, float Score, PieceKind Kind)>();
        var settings = new SentencePieceSettings { IsUnigram = true, Added = added ?? [] };
        (int? Begin, int? End) ids = (1, 2);
        var fields = new ProtobufFields(message, location);
        while (fields.Next())
        {
            switch (fields.Number)
            {
                case 1 when pieces.Count < MostPieces:
                    pieces.Add(ReadPiece(fields.NeedBytes(), location));
                    break;
                case 1:
                    throw fields.Bad($"it has more than {MostPieces} pieces");
                case 2:
                    (settings, ids) = ReadTraining(fields.NeedBytes(), location, settings, ids);
                    break;
                case 3:
                    settings = ReadNormalizing(fields.NeedBytes(), location, settings);
                    break;
            }
        }

        if (pieces.Count == 0)
        {
            throw fields.Bad("it has no pieces");
        }

        return SentencePiece.Make(pieces, settings with { BeginId = begins ? ids.Begin : null, EndId = ends ? ids.End : null }, location);
    }

    private static (string Text, float Score, PieceKind Kind) ReadPiece(ReadOnlySpan<byte> message, string location)
    {
        var (text, score, kind) = ("", 0f, PieceKind.Normal);
        var fields = new ProtobufFields(message, location);
        while (fields.Next())
        {
            switch (fields.Number)
            {
                case 1:
                    text = Text(fields.NeedBytes(), location);
                    break;
                case 2:
                    score = fields.Wire == 5 ? fields.Real : throw fields.Bad("a score is no float");
                    break;
                case 3:
                    kind = fields.Whole is >= (long)PieceKind.Normal and <= (long)PieceKind.Byte ? (PieceKind)fields.Whole : throw fields.Bad($"a piece is of the kind {fields.Whole}");
                    break;
            }
        }

        return (text, score, kind);
    }

    private static (SentencePieceSettings Settings, (int? Begin, int? End) Ids) ReadTraining(
        ReadOnlySpan<byte> message, string location, SentencePieceSettings settings, (int? Begin, int? End) ids)
    {
        var fields = new ProtobufFields(message, location);
        while (fields.Next())
        {
            switch (fields.Number)
            {
                case 3:
                    settings = settings with
                    {
                        IsUnigram = fields.Whole switch
                        {
                            1 => true,
                            2 => false,
                            3 => throw Unsupported(location, "WORD"),
                            4 => throw Unsupported(location, "CHAR"),
                            var other => throw fields.Bad($"the model is of the kind {other}"),
                        },
                    };
                    break;
                case 24:
                    settings = settings with { BlankBehind = fields.Whole != 0 };
                    break;
                case 35:
                    settings = settings with { ByteFallback = fields.Whole != 0 };
                    break;
                case 41:
                    ids.Begin = Id(fields.Whole);
                    break;
                case 42:
                    ids.End = Id(fields.Whole);
                    break;
            }
        }

        return (settings, ids);

        // Negative: the vocabulary has none.
        static int? Id(long value) => value is >= 0 and <= int.MaxValue ? (int)value : null;
    }

    private static SentencePieceSettings ReadNormalizing(ReadOnlySpan<byte> message, string location, SentencePieceSettings settings)
    {
        var fields = new ProtobufFields(message, location);
        while (fields.Next())
        {
            settings = fields.Number switch
            {
                2 => settings with { Map = CharacterMap.Read(fields.NeedBytes(), location) },
                3 => settings with { AddPrefix = fields.Whole != 0 },
                4 => settings with { RemoveExtra = fields.Whole != 0 },
                5 => settings with { EscapeBlanks = fields.Whole != 0 },
                _ => settings,
            };
        }

        return settings;
    }

    private static (bool Begins, bool Ends, List<AddedToken> Added) ReadConfig(JsonDocument document, string file)
    {
        var root = new TokenizerNode(document.RootElement, file, "");
        var added = new List<AddedToken>();
        foreach (var (id, node) in root.Find("added_tokens_decoder")?.Members() ?? [])
        {
            added.Add(int.TryParse(id, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var number)
                ? AddedToken.WithId(node, number)
                : throw new TokenizerException("GA2106", node.Location, $"the added token \"{id}\" has no number as its id", Remedy));
        }

        return (root.Flag("add_bos_token", true), root.Flag("add_eos_token", false), added);
    }

    private static List<AddedToken> ReadAdded(JsonDocument document, string file) =>
        [.. new TokenizerNode(document.RootElement, file, "").Members().Select(member => new AddedToken(member.Key, member.Value.Number()))];

    private static byte[] ReadBytes(string file)
    {
        try
        {
            var length = new FileInfo(file).Length;
            return length <= MostBytes ? File.ReadAllBytes(file) : throw new TokenizerException(
                "GA2111", file, $"is no sentencepiece model: it has {length} bytes, and {MostBytes} are the most that are read", Remedy);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new TokenizerException("GA2101", file, $"cannot be read: {error.Message}", "Check the path and the rights.", error);
        }
    }

    private static string Text(ReadOnlySpan<byte> bytes, string location)
    {
        try
        {
            return Strict.GetString(bytes);
        }
        catch (DecoderFallbackException error)
        {
            throw new TokenizerException("GA2111", location, "is no sentencepiece model: a piece is not UTF-8", Remedy, error);
        }
    }

    private static TokenizerException Unsupported(string location, string kind) => new(
        "GA2104", location, $"the sentencepiece model type {kind} is not supported", "Use a model whose tokenizer is of the type BPE or UNIGRAM.");
}
