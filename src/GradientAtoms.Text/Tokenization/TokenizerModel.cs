using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace GradientAtoms.Text.Tokenization;

/// <summary>
/// An encoded word: ids and, for each, the UTF-8 bytes [start, end) of the word that it stands for. Starts never fall, ends
/// never fall; bytes that stand for one unknown character may share its span.
/// </summary>
internal sealed record Word(int[] Ids, int[] Starts, int[] Ends)
{
    /// <summary>A word whose tokens stand side by side.</summary>
    /// <param name="ids">The ids.</param>
    /// <param name="lengths">How many bytes each takes.</param>
    public static Word Of(int[] ids, ReadOnlySpan<int> lengths)
    {
        var starts = new int[ids.Length];
        var ends = new int[ids.Length];
        var at = 0;
        for (var i = 0; i < ids.Length; i++)
        {
            starts[i] = at;
            at += lengths[i];
            ends[i] = at;
        }

        return new Word(ids, starts, ends);
    }
}

/// <summary>What turns a word to ids. Remembers short words: texts say the same ones again and again.</summary>
internal abstract class TokenizerModel
{
    private const int LongestCachedWord = 64;
    private const int MostCachedWords = 1 << 16;

    private readonly ConcurrentDictionary<string, Word> _cache = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Word>.AlternateLookup<ReadOnlySpan<char>> _cacheLookup;
    private int _cached;

    protected TokenizerModel() => _cacheLookup = _cache.GetAlternateLookup<ReadOnlySpan<char>>();

    /// <summary>Encodes a word, given in code points.</summary>
    public Word Encode(ReadOnlySpan<int> word)
    {
        if (word.Length > LongestCachedWord)
        {
            return Compute(word, AlignedText.ToText(word));
        }

        Span<char> buffer = stackalloc char[2 * LongestCachedWord];
        var length = 0;
        foreach (var code in word)
        {
            length += new Rune(code).EncodeToUtf16(buffer[length..]);
        }

        ReadOnlySpan<char> key = buffer[..length];
        if (_cacheLookup.TryGetValue(key, out var known))
        {
            return known;
        }

        var result = Compute(word, key);
        if (_cached < MostCachedWords && _cacheLookup.TryAdd(key, result))
        {
            Interlocked.Increment(ref _cached);
        }

        return result;
    }

    /// <summary>Encodes a word.</summary>
    /// <param name="word">In code points.</param>
    /// <param name="text">The same in UTF-16.</param>
    protected abstract Word Compute(ReadOnlySpan<int> word, ReadOnlySpan<char> text);

    /// <summary>The bytes that a code point takes in UTF-8.</summary>
    public static int SizeOf(int code) => code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

    /// <summary>The UTF-16 units that a code point takes.</summary>
    public static int UnitsOf(int code) => code < 0x10000 ? 1 : 2;
}

/// <summary>The tokens <c>&lt;0xNN&gt;</c> that stand for single bytes of what the vocabulary lacks.</summary>
internal sealed class ByteTokens
{
    private readonly int[] _ids = new int[256];

    public ByteTokens(Vocabulary vocabulary)
    {
        for (var value = 0; value < 256; value++)
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>");
            _ids[value] = vocabulary.TryGetId(name, out var id) ? id : -1;
        }
    }

    /// <summary>The id of a byte, or -1.</summary>
    public int this[byte value] => _ids[value];

    /// <summary>Whether all of these bytes have tokens.</summary>
    public bool HaveAll(ReadOnlySpan<byte> bytes)
    {
        foreach (var value in bytes)
        {
            if (_ids[value] < 0)
            {
                return false;
            }
        }

        return true;
    }
}
