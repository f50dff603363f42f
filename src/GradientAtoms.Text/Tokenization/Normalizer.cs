using System.Text;

namespace GradientAtoms.Text.Tokenization;

/// <summary>Changes a text before it is cut. Works on a text in one piece.</summary>
internal abstract class Normalizer
{
    /// <summary>Changes the text.</summary>
    public abstract void Apply(AlignedText text);

    /// <summary>Makes the normalizer that a node describes; an error for a type that is not known.</summary>
    public static Normalizer From(TokenizerNode node) => node.Need("type").Text() switch
    {
        "Sequence" => new NormalizerSequence([.. node.Need("normalizers").Items().Select(From)]),
        "NFC" => new UnicodeNormalizer(compose: true, compatibility: false),
        "NFD" => new UnicodeNormalizer(compose: false, compatibility: false),
        "NFKC" => new UnicodeNormalizer(compose: true, compatibility: true),
        "NFKD" => new UnicodeNormalizer(compose: false, compatibility: true),
        "Lowercase" => new LowercaseNormalizer(),
        "Prepend" => new PrependNormalizer(node.Need("prepend").Text()),
        "Replace" => new ReplaceNormalizer(TextPattern.From(node.Need("pattern")), node.Need("content").Text()),
        "Strip" => new StripNormalizer(node.Flag("strip_left", true), node.Flag("strip_right", true)),
        "StripAccents" => CharacterNormalizer.StripAccents,
        "Nmt" => CharacterNormalizer.Nmt,
        "ByteLevel" => new ByteLevelNormalizer(),
        "BertNormalizer" or "Bert" => Bert(node, node.Flag("lowercase", true)),
        "Precompiled" => Precompiled(node.Need("precompiled_charsmap")),
        var other => throw node.Unknown($"the normalizer \"{other}\""),
    };

    private static Normalizer Bert(TokenizerNode node, bool lowercase) => BertNormalizer.Make(
        node.Flag("clean_text", true),
        node.Flag("handle_chinese_chars", true),
        node.Flag("strip_accents", lowercase),
        lowercase);

    private static Normalizer Precompiled(TokenizerNode node)
    {
        var text = node.Text();
        var blob = new byte[text.Length];
        return Convert.TryFromBase64String(text, blob, out var length)
            ? CharacterMap.Read(blob.AsSpan(0, length), node.Location) is { } map ? new PrecompiledNormalizer(map) : new NormalizerSequence([])
            : throw new TokenizerException("GA2103", node.Location, "expected base64, found another text", "Take the file from the model's origin again.");
    }
}

/// <summary>One normalizer after the other.</summary>
internal sealed class NormalizerSequence(IReadOnlyList<Normalizer> steps) : Normalizer
{
    /// <inheritdoc/>
    public override void Apply(AlignedText text)
    {
        foreach (var step in steps)
        {
            step.Apply(text);
        }
    }
}

/// <summary>Unicode's normalization forms.</summary>
internal sealed class UnicodeNormalizer(bool compose, bool compatibility) : Normalizer
{
    /// <inheritdoc/>
    public override void Apply(AlignedText text)
    {
        if (UnicodeForms.IsPlain(text.Codes.AsSpan(0, text.Count)))
        {
            return;
        }

        text.Rewrite((source, piece, writer) =>
        {
            var at = piece.From;
            foreach (var (code, taken) in UnicodeForms.Normalize(source.Codes.AsSpan(piece.From, piece.To - piece.From), compose, compatibility))
            {
                writer.Add(code, taken == 0 ? at - 1 : at);
                at += taken;
            }
        });
    }
}

/// <summary>Small letters.</summary>
internal sealed class LowercaseNormalizer : Normalizer
{
    /// <inheritdoc/>
    public override void Apply(AlignedText text) => text.Rewrite(static (source, piece, writer) =>
    {
        for (var i = piece.From; i < piece.To; i++)
        {
            // The only character whose full mapping has two: capital I with dot becomes i and a combining dot.
            if (source.Codes[i] == 0x130)
            {
                writer.Add('i', i);
                writer.Add(0x307, i);
            }
            else
            {
                writer.Add(Rune.ToLowerInvariant(new Rune(source.Codes[i])).Value, i);
            }
        }
    });
}

/// <summary>Puts a text before, unless there is nothing to put it before.</summary>
internal sealed class PrependNormalizer(string prefix) : Normalizer
{
    private readonly int[] _prefix = AlignedText.ToCodePoints(prefix);

    /// <inheritdoc/>
    public override void Apply(AlignedText text) => text.Rewrite((source, piece, writer) =>
    {
        if (piece.To > piece.From)
        {
            Prepend(_prefix, piece.From, writer);
            Copy(source, piece, writer);
        }
    });

    /// <summary>Adds a prefix with the span of the character that it stands before.</summary>
    public static void Prepend(ReadOnlySpan<int> prefix, int at, AlignedText.Writer writer)
    {
        foreach (var code in prefix)
        {
            writer.Add(code, at);
        }
    }

    /// <summary>Copies a piece.</summary>
    public static void Copy(AlignedText source, (int From, int To) piece, AlignedText.Writer writer)
    {
        for (var i = piece.From; i < piece.To; i++)
        {
            writer.Add(source.Codes[i], i);
        }
    }
}

/// <summary>Replaces every match of a pattern.</summary>
internal sealed class ReplaceNormalizer(TextPattern pattern, string content) : Normalizer
{
    private readonly int[] _content = AlignedText.ToCodePoints(content);

    /// <inheritdoc/>
    public override void Apply(AlignedText text) => text.Rewrite((source, piece, writer) =>
    {
        var parts = new List<PatternPart>();
        pattern.Partition(source.Codes.AsSpan(piece.From, piece.To - piece.From), parts);
        foreach (var part in parts)
        {
            if (part.IsMatch)
            {
                PrependNormalizer.Prepend(_content, piece.From + part.To - 1, writer);
            }
            else
            {
                PrependNormalizer.Copy(source, (piece.From + part.From, piece.From + part.To), writer);
            }
        }
    });
}
