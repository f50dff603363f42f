using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace GradientAtoms.Text.Tokenization;

/// <summary>What the model does with symbols that the vocabulary lacks, and with whole words that it has.</summary>
internal sealed record BytePairOptions
{
    /// <summary>The id for unknown symbols; null drops them.</summary>
    public int? UnknownId { get; init; }

    /// <summary>Whether unknown symbols that touch become one token.</summary>
    public bool FuseUnknown { get; init; }

    /// <summary>Whether an unknown symbol becomes its bytes <c>&lt;0xNN&gt;</c>, where the vocabulary has all of them.</summary>
    public bool ByteFallback { get; init; }

    /// <summary>Whether a word that is in the vocabulary as a whole is taken before any merge.</summary>
    public bool IgnoreMerges { get; init; }
}

/// <summary>
/// Byte pair encoding (Sennrich, Haddow and Birch 2016): starts from single symbols and merges neighbours, the best
/// ranked pair first and the leftmost of equal ones.
/// </summary>
internal sealed class BytePairModel
{
    private const int LongestCachedWord = 64;
    private const int MostCachedWords = 1 << 16;

    private readonly Vocabulary _vocabulary;
    private readonly BytePairOptions _options;
    private readonly Dictionary<long, (int Rank, int Id)> _merges;
    private readonly Dictionary<int, int> _symbols = [];
    private readonly int[] _bytes = new int[256];

    // Tokens that only the added tokens have are no result of the model's.
    private readonly int[] _modelIds;
    private readonly ConcurrentDictionary<string, Word> _cache = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Word>.AlternateLookup<ReadOnlySpan<char>> _cacheLookup;
    private int _cached;

    public BytePairModel(Vocabulary vocabulary, Dictionary<long, (int Rank, int Id)> merges, BytePairOptions options)
    {
        _vocabulary = vocabulary;
        _merges = merges;
        _options = options;
        _cacheLookup = _cache.GetAlternateLookup<ReadOnlySpan<char>>();
        _modelIds = new int[(vocabulary.Size + 31) / 32];
        foreach (var (token, id) in vocabulary.Pairs)
        {
            _modelIds[id / 32] |= 1 << (id % 32);
            if (token.Length is 1 or 2 && Rune.TryGetRuneAt(token, 0, out var rune) && rune.Utf16SequenceLength == token.Length)
            {
                _symbols[rune.Value] = id;
            }
        }

        for (var value = 0; value < 256; value++)
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"<0x{value:X2}>");
            _bytes[value] = vocabulary.TryGetId(name, out var id) ? id : -1;
        }
    }

    /// <summary>
    /// Encodes a word. Of each token adds the id and how many UTF-8 bytes of the word it takes; where symbols were
    /// dropped the lengths do not sum to the word's, as in the <c>tokenizers</c> library.
    /// </summary>
    public Word Encode(ReadOnlySpan<int> word)
    {
        if (word.Length > LongestCachedWord)
        {
            return Compute(word, ReadOnlySpan<char>.Empty);
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

    private Word Compute(ReadOnlySpan<int> word, ReadOnlySpan<char> text)
    {
        if (_options.IgnoreMerges)
        {
            if (text.IsEmpty)
            {
                text = AlignedText.ToText(word);
            }

            if (_vocabulary.TryGetId(text, out var whole) && IsModelId(whole))
            {
                return new Word([whole], [Encoding.UTF8.GetByteCount(text)]);
            }
        }

        var ids = new List<int>(word.Length);
        var lengths = new List<int>(word.Length);
        Spell(word, ids, lengths);
        return ids.Count < 2 ? new Word([.. ids], [.. lengths]) : Merge([.. ids], [.. lengths]);
    }

    private bool IsModelId(int id) => id / 32 < _modelIds.Length && (_modelIds[id / 32] & (1 << (id % 32))) != 0;

    private void Spell(ReadOnlySpan<int> word, List<int> ids, List<int> lengths)
    {
        var unknownLength = 0;
        Span<byte> utf8 = stackalloc byte[4];
        foreach (var code in word)
        {
            var length = new Rune(code).EncodeToUtf8(utf8);
            if (_symbols.TryGetValue(code, out var id))
            {
                FlushUnknown(ids, lengths, ref unknownLength);
                ids.Add(id);
                lengths.Add(length);
                continue;
            }

            if (_options.ByteFallback && HasAll(utf8[..length]))
            {
                foreach (var value in utf8[..length])
                {
                    ids.Add(_bytes[value]);
                    lengths.Add(1);
                }

                continue;
            }

            if (_options.UnknownId is not null)
            {
                if (!_options.FuseUnknown)
                {
                    FlushUnknown(ids, lengths, ref unknownLength);
                }

                unknownLength += length;
            }
        }

        FlushUnknown(ids, lengths, ref unknownLength);
    }

    private void FlushUnknown(List<int> ids, List<int> lengths, ref int unknownLength)
    {
        if (unknownLength > 0)
        {
            ids.Add(_options.UnknownId!.Value);
            lengths.Add(unknownLength);
            unknownLength = 0;
        }
    }

    private bool HasAll(ReadOnlySpan<byte> utf8)
    {
        foreach (var value in utf8)
        {
            if (_bytes[value] < 0)
            {
                return false;
            }
        }

        return true;
    }

    private Word Merge(int[] ids, int[] lengths)
    {
        var count = ids.Length;
        var next = new int[count];
        var previous = new int[count];
        var queue = new PriorityQueue<(int At, int Left, int Right, int Merged), long>(count);
        for (var i = 0; i < count; i++)
        {
            (previous[i], next[i]) = (i - 1, i + 1 < count ? i + 1 : -1);
        }

        for (var i = 0; i + 1 < count; i++)
        {
            Offer(queue, ids, i, i + 1);
        }

        var left = count;
        while (queue.TryDequeue(out var pair, out _))
        {
            // What a pair was made of may have been merged away since it was queued; -1 marks a symbol that is gone.
            var right = next[pair.At];
            if (right < 0 || ids[pair.At] != pair.Left || ids[right] != pair.Right)
            {
                continue;
            }

            ids[pair.At] = pair.Merged;
            lengths[pair.At] += lengths[right];
            ids[right] = -1;
            next[pair.At] = next[right];
            if (next[right] >= 0)
            {
                previous[next[right]] = pair.At;
            }

            left--;
            if (previous[pair.At] >= 0)
            {
                Offer(queue, ids, previous[pair.At], pair.At);
            }

            if (next[pair.At] >= 0)
            {
                Offer(queue, ids, pair.At, next[pair.At]);
            }
        }

        var result = new Word(new int[left], new int[left]);
        for (int i = 0, to = 0; i >= 0; i = next[i], to++)
        {
            result.Ids[to] = ids[i];
            result.Lengths[to] = lengths[i];
        }

        return result;
    }

    private void Offer(PriorityQueue<(int At, int Left, int Right, int Merged), long> queue, int[] ids, int at, int right)
    {
        if (_merges.TryGetValue(PairKey(ids[at], ids[right]), out var merge))
        {
            queue.Enqueue((at, ids[at], ids[right], merge.Id), ((long)merge.Rank << 32) | (uint)at);
        }
    }

    /// <summary>The key of a pair of ids among the merges.</summary>
    public static long PairKey(int left, int right) => ((long)left << 32) | (uint)right;

    /// <summary>An encoded word: ids and, for each, how many UTF-8 bytes of the word it takes.</summary>
    public sealed record Word(int[] Ids, int[] Lengths);
}
