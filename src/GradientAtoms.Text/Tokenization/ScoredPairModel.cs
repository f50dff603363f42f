using System.Runtime.InteropServices;
using System.Text;

namespace GradientAtoms.Text.Tokenization;

/// <summary>
/// Byte pair encoding as sentencepiece keeps it: no list of merges, but a score a piece. Neighbours whose text together is a
/// piece are merged, the pair of the best score first and the leftmost of equal ones.
/// </summary>
internal sealed class ScoredPairModel : TokenizerModel
{
    private readonly Dictionary<string, (int Id, float Score, bool IsUnused)> _pieces;
    private readonly Dictionary<string, (int Id, float Score, bool IsUnused)>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    private readonly int? _unknownId;
    private readonly ByteTokens? _bytes;

    /// <summary>Makes the model.</summary>
    /// <param name="vocabulary">All tokens.</param>
    /// <param name="pieces">Those that a text is merged to, and whether each is only a step on the way to others.</param>
    /// <param name="unknownId">What stands for characters that no piece covers; null drops them.</param>
    /// <param name="byteFallback">Whether unknown characters become their bytes, where the vocabulary has all of them.</param>
    public ScoredPairModel(Vocabulary vocabulary, IEnumerable<(ScoredPiece Piece, bool IsUnused)> pieces, int? unknownId, bool byteFallback)
    {
        _pieces = new(StringComparer.Ordinal);
        foreach (var (piece, isUnused) in pieces)
        {
            _pieces[piece.Text] = (piece.Id, (float)piece.Score, isUnused);
        }

        _lookup = _pieces.GetAlternateLookup<ReadOnlySpan<char>>();
        _unknownId = unknownId;
        _bytes = byteFallback ? new ByteTokens(vocabulary) : null;
    }

    /// <inheritdoc/>
    protected override Word Compute(ReadOnlySpan<int> word, ReadOnlySpan<char> text)
    {
        var symbols = new Symbol[word.Length];
        var at = 0;
        for (var i = 0; i < symbols.Length; i++)
        {
            symbols[i] = new Symbol(at, at + UnitsOf(word[i]), i - 1, i + 1 < symbols.Length ? i + 1 : -1);
            at = symbols[i].To;
        }

        var unusedFrom = Merge(symbols, text);
        var output = new Speller(this);
        for (var i = symbols.Length > 0 ? 0 : -1; i >= 0; i = symbols[i].Next)
        {
            output.Add(text, symbols[i].From, symbols[i].To, unusedFrom);
        }

        return output.Finish();
    }

    /// <summary>Merges until nothing can be; returns where each unused piece that came up on the way was merged: [from, to) → middle.</summary>
    private Dictionary<(int From, int To), int> Merge(Symbol[] symbols, ReadOnlySpan<char> text)
    {
        var queue = new PriorityQueue<(int Left, int Right, int Units), (float Score, int Left)>(new ByScore());
        var unusedFrom = new Dictionary<(int From, int To), int>();
        for (var i = 1; i < symbols.Length; i++)
        {
            Offer(symbols, text, i - 1, i, queue, unusedFrom);
        }

        while (queue.TryDequeue(out var pair, out _))
        {
            // Either side may have been merged away, or grown, since the pair was queued.
            ref var left = ref symbols[pair.Left];
            ref var right = ref symbols[pair.Right];
            if (left.IsGone || right.IsGone || right.To - left.From != pair.Units || left.To != right.From)
            {
                continue;
            }

            left = left with { To = right.To, Next = right.Next };
            right = right with { IsGone = true };
            if (left.Next >= 0)
            {
                symbols[left.Next] = symbols[left.Next] with { Previous = pair.Left };
            }

            Offer(symbols, text, left.Previous, pair.Left, queue, unusedFrom);
            Offer(symbols, text, pair.Left, left.Next, queue, unusedFrom);
        }

        return unusedFrom;
    }

    private void Offer(
        Symbol[] symbols,
        ReadOnlySpan<char> text,
        int left,
        int right,
        PriorityQueue<(int Left, int Right, int Units), (float Score, int Left)> queue,
        Dictionary<(int From, int To), int> unusedFrom)
    {
        if (left < 0 || right < 0)
        {
            return;
        }

        var (from, to) = (symbols[left].From, symbols[right].To);
        if (_lookup.TryGetValue(text[from..to], out var piece))
        {
            queue.Enqueue((left, right, to - from), (piece.Score, left));
            if (piece.IsUnused)
            {
                unusedFrom[(from, to)] = symbols[right].From;
            }
        }
    }

    [StructLayout(LayoutKind.Auto)]
    private readonly record struct Symbol(int From, int To, int Previous, int Next)
    {
        public bool IsGone { get; init; }
    }

    private sealed class ByScore : IComparer<(float Score, int Left)>
    {
        public int Compare((float Score, int Left) x, (float Score, int Left) y)
        {
            var byScore = y.Score.CompareTo(x.Score);
            return byScore != 0 ? byScore : x.Left.CompareTo(y.Left);
        }
    }

    /// <summary>Writes symbols as ids: pieces, the parts of unused ones, bytes, or the unknown token.</summary>
    private sealed class Speller(ScoredPairModel model)
    {
        private readonly List<int> _ids = [];
        private readonly List<int> _starts = [];
        private readonly List<int> _ends = [];
        private int _at;
        private bool _endsUnknown;

        public void Add(ReadOnlySpan<char> text, int from, int to, Dictionary<(int From, int To), int> unusedFrom)
        {
            var left = new Stack<(int From, int To)>();
            left.Push((from, to));
            while (left.TryPop(out var part))
            {
                var isKnown = model._lookup.TryGetValue(text[part.From..part.To], out var piece);
                if (isKnown && piece.IsUnused && unusedFrom.TryGetValue(part, out var middle))
                {
                    left.Push((middle, part.To));
                    left.Push((part.From, middle));
                }
                else
                {
                    Add(text[part.From..part.To], isKnown ? piece.Id : null);
                }
            }
        }

        private void Add(ReadOnlySpan<char> symbol, int? id)
        {
            var start = _at;
            _at += Encoding.UTF8.GetByteCount(symbol);
            if (id is { } known)
            {
                Put(known, start);
                _endsUnknown = false;
                return;
            }

            Span<byte> utf8 = stackalloc byte[4]; // what is in no piece is a single character
            var bytes = utf8[..Encoding.UTF8.GetBytes(symbol, utf8)];
            if (model._bytes is { } tokens && tokens.HaveAll(bytes))
            {
                foreach (var value in bytes)
                {
                    Put(tokens[value], start);
                }

                _endsUnknown = false;
            }
            else if (_endsUnknown)
            {
                _ends[^1] = _at; // unknown characters that touch are one token
            }
            else if (model._unknownId is { } unknown)
            {
                Put(unknown, start);
                _endsUnknown = true;
            }
        }

        public Word Finish() => new([.. _ids], [.. _starts], [.. _ends]);

        private void Put(int id, int start)
        {
            _ids.Add(id);
            _starts.Add(start);
            _ends.Add(_at);
        }
    }
}
