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

    /// <summary>Stands before every symbol of a word but the first (<c>##</c>).</summary>
    public string ContinuingPrefix { get; init; } = "";

    /// <summary>Stands behind the last symbol of a word (<c>&lt;/w&gt;</c>).</summary>
    public string EndSuffix { get; init; } = "";
}

/// <summary>
/// Byte pair encoding (Sennrich, Haddow and Birch 2016): starts from single symbols and merges neighbours, the best
/// ranked pair first and the leftmost of equal ones.
/// </summary>
internal sealed class BytePairModel : TokenizerModel
{
    private readonly Vocabulary _vocabulary;
    private readonly BytePairOptions _options;
    private readonly Dictionary<long, (int Rank, int Id)> _merges;
    private readonly Dictionary<int, int> _symbols = [];
    private readonly ByteTokens _bytes;

    // Tokens that only the added tokens have are no result of the model's.
    private readonly int[] _modelIds;

    public BytePairModel(Vocabulary vocabulary, Dictionary<long, (int Rank, int Id)> merges, BytePairOptions options)
    {
        _vocabulary = vocabulary;
        _merges = merges;
        _options = options;
        _modelIds = new int[(vocabulary.Size + 31) / 32];
        foreach (var (token, id) in vocabulary.Pairs)
        {
            _modelIds[id / 32] |= 1 << (id % 32);
            if (token.Length is 1 or 2 && Rune.TryGetRuneAt(token, 0, out var rune) && rune.Utf16SequenceLength == token.Length)
            {
                _symbols[rune.Value] = id;
            }
        }

        _bytes = new ByteTokens(vocabulary);
    }

    /// <inheritdoc/>
    /// <remarks>Where symbols were dropped the spans of what follows are too far left, as in the <c>tokenizers</c> library.</remarks>
    protected override Word Compute(ReadOnlySpan<int> word, ReadOnlySpan<char> text)
    {
        if (_options.IgnoreMerges && _vocabulary.TryGetId(text, out var whole) && IsModelId(whole))
        {
            return Word.Of([whole], [Encoding.UTF8.GetByteCount(text)]);
        }

        var ids = new List<int>(word.Length);
        var lengths = new List<int>(word.Length);
        Spell(word, ids, lengths);
        return ids.Count < 2 ? Word.Of([.. ids], [.. lengths]) : Merge([.. ids], [.. lengths]);
    }

    private bool IsModelId(int id) => id / 32 < _modelIds.Length && (_modelIds[id / 32] & (1 << (id % 32))) != 0;

    private void Spell(ReadOnlySpan<int> word, List<int> ids, List<int> lengths)
    {
        var hasAffixes = _options.ContinuingPrefix.Length + _options.EndSuffix.Length > 0;
        var unknownLength = 0;
        Span<byte> utf8 = stackalloc byte[4];
        for (var i = 0; i < word.Length; i++)
        {
            ReadOnlySpan<byte> bytes = utf8[..new Rune(word[i]).EncodeToUtf8(utf8)];
            var length = bytes.Length;
            var isKnown = _symbols.TryGetValue(word[i], out var id);
            if (hasAffixes)
            {
                var symbol = $"{(i > 0 ? _options.ContinuingPrefix : "")}{new Rune(word[i])}{(i == word.Length - 1 ? _options.EndSuffix : "")}";
                isKnown = _vocabulary.TryGetId(symbol, out id) && IsModelId(id);
                bytes = Encoding.UTF8.GetBytes(symbol);
            }

            if (isKnown)
            {
                FlushUnknown(ids, lengths, ref unknownLength);
                ids.Add(id);
                lengths.Add(length);
            }
            else if (_options.ByteFallback && _bytes.HaveAll(bytes))
            {
                foreach (var value in bytes)
                {
                    ids.Add(_bytes[value]);
                    lengths.Add(1);
                }
            }
            else if (_options.UnknownId is not null)
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

        var (resultIds, resultLengths) = (new int[left], new int[left]);
        for (int i = 0, to = 0; i >= 0; i = next[i], to++)
        {
            resultIds[to] = ids[i];
            resultLengths[to] = lengths[i];
        }

        return Word.Of(resultIds, resultLengths);
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
}
