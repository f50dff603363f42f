using System.Globalization;
using System.Text;

namespace GradientAtoms.Text.Tokenization;

/// <summary>Drops, keeps or replaces each character by itself.</summary>
/// <param name="map">A character to what stands for it; -1 drops it.</param>
internal sealed class CharacterNormalizer(Func<int, int> map) : Normalizer
{
    /// <summary>Drops marks of every kind.</summary>
    public static CharacterNormalizer StripAccents { get; } = new(static code => IsMark(code) ? -1 : code);

    /// <summary>What the <c>nmt</c> rules of sentencepiece do: control characters go, exotic blanks become blanks.</summary>
    public static CharacterNormalizer Nmt { get; } = new(static code => code switch
    {
        (>= 0x01 and <= 0x08) or 0x0B or (>= 0x0E and <= 0x1F) or 0x7F or 0x8F or 0x9F => -1,
        0x09 or 0x0A or 0x0C or 0x0D or 0x1680 or (>= 0x200B and <= 0x200F) or 0x2028 or 0x2029 or 0x2581 or 0xFEFF or 0xFFFD => ' ',
        _ => code,
    });

    /// <inheritdoc/>
    public override void Apply(AlignedText text) => text.Rewrite((source, piece, writer) =>
    {
        for (var i = piece.From; i < piece.To; i++)
        {
            if (map(source.Codes[i]) is >= 0 and var code)
            {
                writer.Add(code, i);
            }
        }
    });

    private static bool IsMark(int code) => CharUnicodeInfo.GetUnicodeCategory(code)
        is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark;
}

/// <summary>Takes blanks off the ends.</summary>
internal sealed class StripNormalizer(bool left, bool right) : Normalizer
{
    /// <inheritdoc/>
    public override void Apply(AlignedText text) => text.Rewrite((source, piece, writer) =>
    {
        var (from, to) = piece;
        while (left && from < to && CharacterClass.IsSpace(source.Codes[from]))
        {
            from++;
        }

        while (right && to > from && CharacterClass.IsSpace(source.Codes[to - 1]))
        {
            to--;
        }

        PrependNormalizer.Copy(source, (from, to), writer);
    });
}

/// <summary>Every byte as a character of <see cref="ByteAlphabet"/>.</summary>
internal sealed class ByteLevelNormalizer : Normalizer
{
    /// <inheritdoc/>
    public override void Apply(AlignedText text) => text.Rewrite(Write);

    /// <summary>Writes a piece.</summary>
    public static void Write(AlignedText source, (int From, int To) piece, AlignedText.Writer writer)
    {
        Span<byte> utf8 = stackalloc byte[4];
        for (var i = piece.From; i < piece.To; i++)
        {
            var length = new Rune(source.Codes[i]).EncodeToUtf8(utf8);
            foreach (var value in utf8[..length])
            {
                writer.Add(ByteAlphabet.CodeOf(value), i);
            }
        }
    }
}

/// <summary>What BERT's original tokenizer does to a text.</summary>
internal static class BertNormalizer
{
    /// <summary>Makes the steps.</summary>
    /// <param name="clean">Whether control characters go and every blank becomes a plain one.</param>
    /// <param name="spaceIdeographs">Whether blanks are put around CJK ideographs.</param>
    /// <param name="stripAccents">Whether accents go.</param>
    /// <param name="lowercase">Whether letters become small.</param>
    public static Normalizer Make(bool clean, bool spaceIdeographs, bool stripAccents, bool lowercase)
    {
        List<Normalizer> steps = [];
        if (clean)
        {
            steps.Add(new CharacterNormalizer(Clean));
        }

        if (spaceIdeographs)
        {
            steps.Add(new IdeographSpacer());
        }

        if (stripAccents)
        {
            steps.Add(new UnicodeNormalizer(compose: false, compatibility: false));
            steps.Add(new CharacterNormalizer(static code => CharUnicodeInfo.GetUnicodeCategory(code) == UnicodeCategory.NonSpacingMark ? -1 : code));
        }

        if (lowercase)
        {
            steps.Add(new LowercaseNormalizer());
        }

        return new NormalizerSequence(steps);
    }

    private static int Clean(int code)
    {
        if (code is '\t' or '\n' or '\r')
        {
            return ' ';
        }

        var isControl = code is 0 or 0xFFFD || CharUnicodeInfo.GetUnicodeCategory(code)
            is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned;
        return isControl ? -1 : CharacterClass.IsSpace(code) ? ' ' : code;
    }

    private sealed class IdeographSpacer : Normalizer
    {
        public override void Apply(AlignedText text) => text.Rewrite(static (source, piece, writer) =>
        {
            for (var i = piece.From; i < piece.To; i++)
            {
                if (!IsIdeograph(source.Codes[i]))
                {
                    writer.Add(source.Codes[i], i);
                    continue;
                }

                writer.Add(' ', i);
                writer.Add(source.Codes[i], i);
                writer.Add(' ', i);
            }
        });

        // The blocks that BERT names; later extensions are not among them.
        private static bool IsIdeograph(int code) => code
            is (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF) or (>= 0x20000 and <= 0x2A6DF) or (>= 0x2A700 and <= 0x2B73F)
            or (>= 0x2B740 and <= 0x2B81F) or (>= 0x2B920 and <= 0x2CEAF) or (>= 0xF900 and <= 0xFAFF) or (>= 0x2F800 and <= 0x2FA1F);
    }
}
