using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace GradientAtoms.Text.Tokenization;

/// <summary>
/// The <c>precompiled_charsmap</c> of sentencepiece: what replaces which characters. The blob is the size of a double array
/// in bytes (32 bits), the array, then the replacements as UTF-8, each ended by a zero.
/// </summary>
internal sealed class CharacterMap
{
    private const int LongestReplacement = 4096;

    private readonly uint[] _units;
    private readonly byte[] _replacements;

    private CharacterMap(uint[] units, byte[] replacements)
    {
        _units = units;
        _replacements = replacements;
    }

    /// <summary>Reads a blob.</summary>
    /// <param name="blob">The bytes.</param>
    /// <param name="location">How errors name it.</param>
    /// <returns>Null where the blob is empty, which replaces nothing.</returns>
    /// <exception cref="TokenizerException">GA2103: sizes that do not fit.</exception>
    public static CharacterMap? Read(ReadOnlySpan<byte> blob, string location)
    {
        if (blob.IsEmpty)
        {
            return null;
        }

        var size = blob.Length < 4 ? uint.MaxValue : BinaryPrimitives.ReadUInt32LittleEndian(blob);
        if (size > blob.Length - 4 || size % 4 != 0 || size == 0)
        {
            throw new TokenizerException(
                "GA2103", location, $"expected a character map, found {blob.Length} bytes whose sizes do not fit", "Take the file from the model's origin again.");
        }

        var units = new uint[size / 4];
        for (var i = 0; i < units.Length; i++)
        {
            units[i] = BinaryPrimitives.ReadUInt32LittleEndian(blob[(4 + (4 * i))..]);
        }

        return new CharacterMap(units, blob[(4 + (int)size)..].ToArray());
    }

    /// <summary>The longest rule that a text begins with.</summary>
    /// <param name="text">UTF-8.</param>
    /// <returns>The bytes that it takes (0 for none) and what replaces them.</returns>
    public (int Taken, string Replacement) Longest(ReadOnlySpan<byte> text) => Find(text, first: false);

    /// <summary>The shortest rule that a text begins with.</summary>
    /// <inheritdoc cref="Longest"/>
    public (int Taken, string Replacement) Shortest(ReadOnlySpan<byte> text) => Find(text, first: true);

    /// <summary>Walks the double array: a unit holds a label, the offset of its children, and whether a value is below it.</summary>
    private (int Taken, string Replacement) Find(ReadOnlySpan<byte> text, bool first)
    {
        var (taken, value) = (0, 0u);
        var at = Offset(_units[0]);
        for (var i = 0; i < text.Length && text[i] != 0; i++)
        {
            at ^= text[i];
            if (at >= _units.Length || (_units[at] & 0x800000FF) != text[i])
            {
                break;
            }

            var unit = _units[at];
            at ^= Offset(unit);
            if ((unit & 0x100) != 0 && at < _units.Length)
            {
                (taken, value) = (i + 1, _units[at] & 0x7FFFFFFF);
                if (first)
                {
                    break;
                }
            }
        }

        return taken == 0 ? (0, "") : (taken, Replacement(value));
    }

    private string Replacement(uint at)
    {
        if (at >= _replacements.Length)
        {
            return "";
        }

        var rest = _replacements.AsSpan((int)at);
        var end = rest.IndexOf((byte)0);
        return Encoding.UTF8.GetString(rest[..Math.Min(end < 0 ? rest.Length : end, LongestReplacement)]);
    }

    private static uint Offset(uint unit) => (unit >> 10) << (int)((unit & 0x200) >> 6);
}

/// <summary>Replaces characters by a <see cref="CharacterMap"/> as the <c>tokenizers</c> library does.</summary>
/// <remarks>
/// The library looks up whole grapheme clusters of less than six bytes, then single characters, and takes the shortest rule
/// that one begins with, in place of the whole; sentencepiece itself takes the longest at each place (<see cref="SentencePieceNormalizer"/>).
/// </remarks>
internal sealed class PrecompiledNormalizer(CharacterMap map) : Normalizer
{
    private const int LongestCluster = 5;

    /// <inheritdoc/>
    public override void Apply(AlignedText text) => text.Rewrite((source, piece, writer) =>
    {
        var content = AlignedText.ToText(source.Codes.AsSpan(piece.From, piece.To - piece.From));
        var at = piece.From;
        for (var i = 0; i < content.Length;)
        {
            var length = StringInfo.GetNextTextElementLength(content, i);
            var cluster = content.AsSpan(i, length);
            i += length;
            var codes = CountOf(cluster);
            if (!(Encoding.UTF8.GetByteCount(cluster) <= LongestCluster && Replace(cluster, at, codes, writer)))
            {
                for (var k = 0; k < codes; k++)
                {
                    var code = source.Codes[at + k];
                    if (!Replace(new Rune(code).ToString(), at + k, 1, writer))
                    {
                        writer.Add(code, at + k);
                    }
                }
            }

            at += codes;
        }
    });

    private bool Replace(ReadOnlySpan<char> part, int at, int count, AlignedText.Writer writer)
    {
        Span<byte> utf8 = stackalloc byte[LongestCluster];
        var (taken, replacement) = map.Shortest(utf8[..Encoding.UTF8.GetBytes(part, utf8)]);
        if (taken == 0)
        {
            return false;
        }

        var i = 0;
        foreach (var rune in replacement.EnumerateRunes())
        {
            writer.Add(rune.Value, at + Math.Min(i++, count - 1));
        }

        return true;
    }

    private static int CountOf(ReadOnlySpan<char> text)
    {
        var count = 0;
        foreach (var _ in text.EnumerateRunes())
        {
            count++;
        }

        return count;
    }
}

/// <summary>What sentencepiece does to a text before it cuts it, by the settings of its model file.</summary>
/// <param name="map">What replaces which characters, or null.</param>
/// <param name="addPrefix">Whether a blank is put before.</param>
/// <param name="removeExtra">Whether blanks at the ends go, and one is left of several.</param>
/// <param name="prefixAsSuffix">Whether that blank is put behind in place of before.</param>
/// <param name="mark">What blanks are written as.</param>
internal sealed class SentencePieceNormalizer(CharacterMap? map, bool addPrefix, bool removeExtra, bool prefixAsSuffix, int mark) : Normalizer
{
    /// <inheritdoc/>
    public override void Apply(AlignedText text)
    {
        if (map is not null)
        {
            text.Rewrite(Replace);
        }

        text.Rewrite(Space);
    }

    private void Replace(AlignedText source, (int From, int To) piece, AlignedText.Writer writer)
    {
        var utf8 = Encoding.UTF8.GetBytes(AlignedText.ToText(source.Codes.AsSpan(piece.From, piece.To - piece.From)));
        for (int at = piece.From, offset = 0; at < piece.To;)
        {
            var (taken, replacement) = map!.Longest(utf8.AsSpan(offset));
            if (taken == 0)
            {
                offset += TokenizerModel.SizeOf(source.Codes[at]);
                writer.Add(source.Codes[at], at);
                at++;
                continue;
            }

            foreach (var rune in replacement.EnumerateRunes())
            {
                writer.Add(rune.Value, at);
            }

            for (; taken > 0 && at < piece.To; at++)
            {
                var size = TokenizerModel.SizeOf(source.Codes[at]);
                offset += size;
                taken -= size;
            }
        }
    }

    private void Space(AlignedText source, (int From, int To) piece, AlignedText.Writer writer)
    {
        var (from, to) = piece;
        while (removeExtra && from < to && source.Codes[from] == ' ')
        {
            from++;
        }

        while (removeExtra && to > from && (source.Codes[to - 1] == ' ' || source.Codes[to - 1] == mark))
        {
            to--;
        }

        if (from == to)
        {
            return;
        }

        if (addPrefix && !prefixAsSuffix)
        {
            writer.Add(mark, from);
        }

        for (var i = from; i < to; i++)
        {
            if (source.Codes[i] != ' ')
            {
                writer.Add(source.Codes[i], i);
            }
            else if (!(removeExtra && source.Codes[i - 1] == ' '))
            {
                writer.Add(mark, i);
            }
        }

        if (addPrefix && prefixAsSuffix)
        {
            writer.Add(mark, to - 1);
        }
    }
}
