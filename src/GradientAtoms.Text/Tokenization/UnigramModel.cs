using System.Text;

namespace GradientAtoms.Text.Tokenization;

/// <summary>A piece of a Unigram vocabulary.</summary>
/// <param name="Text">The piece.</param>
/// <param name="Id">Its id.</param>
/// <param name="Score">The logarithm of its probability.</param>
internal sealed record ScoredPiece(string Text, int Id, double Score);

/// <summary>
/// The unigram language model (Kudo 2018): of all ways to cut a word into pieces the one with the largest sum of scores,
/// found by dynamic programming. Of equal ones the one whose last piece is longest.
/// </summary>
internal sealed class UnigramModel : TokenizerModel
{
    // The penalty of sentencepiece and tokenizers for a character that no piece covers.
    private const double UnknownPenalty = 10;

    private readonly Vocabulary _vocabulary;
    private readonly PieceTrie _trie = new();
    private readonly Dictionary<int, double> _scores;
    private readonly double _unknownScore;
    private readonly int? _unknownId;
    private readonly ByteTokens? _bytes;
    private readonly string _location;

    /// <summary>Makes the model.</summary>
    /// <param name="vocabulary">All tokens.</param>
    /// <param name="pieces">Those that a text is cut into.</param>
    /// <param name="unknownId">What stands for characters that no piece covers; null: such a text is an error.</param>
    /// <param name="byteFallback">Whether unknown characters become their bytes, where the vocabulary has all of them.</param>
    /// <param name="location">How errors name it.</param>
    public UnigramModel(Vocabulary vocabulary, IReadOnlyCollection<ScoredPiece> pieces, int? unknownId, bool byteFallback, string location)
    {
        _vocabulary = vocabulary;
        _unknownId = unknownId;
        _bytes = byteFallback ? new ByteTokens(vocabulary) : null;
        _location = location;
        _scores = new Dictionary<int, double>(pieces.Count);
        foreach (var piece in pieces)
        {
            if (piece.Text.Length > 0)
            {
                _trie.Add(piece.Text, piece.Id);
            }

            _scores[piece.Id] = piece.Score;
        }

        _unknownScore = pieces.Select(piece => piece.Score).DefaultIfEmpty(0).Min() - UnknownPenalty;
    }

    /// <inheritdoc/>
    protected override Word Compute(ReadOnlySpan<int> word, ReadOnlySpan<char> text)
    {
        var cuts = BestCuts(word);
        var output = new Output();
        var (at, bytes) = (0, 0);
        for (var i = 0; i < cuts.Count;)
        {
            // Unknown characters that touch are one unknown piece.
            var (end, id) = cuts[i++];
            while (id == _unknownId && i < cuts.Count && cuts[i].Id == _unknownId)
            {
                end = cuts[i++].End;
            }

            var piece = word[at..end];
            var length = 0;
            foreach (var code in piece)
            {
                length += SizeOf(code);
            }

            Add(piece, id, bytes, bytes + length, output);
            (at, bytes) = (end, bytes + length);
        }

        return new Word([.. output.Ids], [.. output.Starts], [.. output.Ends]);
    }

    /// <summary>The best cut: where each piece ends, and its id.</summary>
    private List<(int End, int Id)> BestCuts(ReadOnlySpan<int> word)
    {
        var best = new (double Score, int Start, int Id)[word.Length + 1];
        for (var i = 1; i <= word.Length; i++)
        {
            best[i].Start = -1;
        }

        for (var start = 0; start < word.Length; start++)
        {
            var before = best[start].Score;
            var hasSingle = false;
            var node = 0;
            for (var end = start + 1; end <= word.Length && (node = _trie.Next(node, word[end - 1])) >= 0; end++)
            {
                if (_trie.IdAt(node) is >= 0 and var id)
                {
                    Improve(ref best[end], before + _scores[id], start, id);
                    hasSingle |= end == start + 1;
                }
            }

            if (!hasSingle)
            {
                var unknown = _unknownId ?? throw new TokenizerException(
                    "GA2110",
                    _location,
                    $"the vocabulary has no piece for U+{word[start]:X4}, and no token for what is unknown",
                    "Leave the document out, or use a tokenizer with an unk_id.");
                Improve(ref best[start + 1], before + _unknownScore, start, unknown);
            }
        }

        var cuts = new List<(int End, int Id)>();
        for (var end = word.Length; end > 0; end = best[end].Start)
        {
            cuts.Add((end, best[end].Id));
        }

        cuts.Reverse();
        return cuts;
    }

    private static void Improve(ref (double Score, int Start, int Id) node, double score, int start, int id)
    {
        if (node.Start < 0 || score > node.Score)
        {
            node = (score, start, id);
        }
    }

    private void Add(ReadOnlySpan<int> piece, int id, int start, int end, Output output)
    {
        if (id == _unknownId)
        {
            var text = AlignedText.ToText(piece);
            if (_vocabulary.TryGetId(text, out var known) && _scores.ContainsKey(known))
            {
                id = known; // several unknown characters may be a piece together, one too unlikely to be chosen
            }
            else if (_bytes is not null && Encoding.UTF8.GetBytes(text) is var utf8 && _bytes.HaveAll(utf8))
            {
                foreach (var value in utf8)
                {
                    output.Add(_bytes[value], start, end);
                }

                return;
            }
        }

        output.Add(id, start, end);
    }

    private sealed class Output
    {
        public List<int> Ids { get; } = [];

        public List<int> Starts { get; } = [];

        public List<int> Ends { get; } = [];

        public void Add(int id, int start, int end)
        {
            Ids.Add(id);
            Starts.Add(start);
            Ends.Add(end);
        }
    }
}
