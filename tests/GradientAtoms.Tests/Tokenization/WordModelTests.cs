using CsCheck;
using GradientAtoms.Tests.Reference;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Tests.Tokenization;

/// <summary>Models of words against their plain definitions, on vocabularies and words drawn at random.</summary>
public sealed class WordModelTests
{
    private const double Unknown = -30;

    private static readonly Gen<string> Word = Gen.Char["abc"].Array[1, 9].Select(letters => new string(letters));

    // Scores are sums of powers of two, so that no sum is rounded and equal ones are equal.
    private static readonly Gen<Dictionary<string, double>> Scores = Gen.Select(Gen.Char["ab"].Array[1, 4].Select(letters => new string(letters)), Gen.Int[-40, -1])
        .Array[1, 12].Select(pairs => pairs.DistinctBy(pair => pair.Item1).ToDictionary(pair => pair.Item1, pair => pair.Item2 / 4.0, StringComparer.Ordinal));

    [Fact]
    public void Unigram_finds_the_best_of_all_ways_to_cut_a_word() => Gen.Select(Word, Scores).Sample((word, scores) =>
    {
        var (vocabulary, pieces) = Pieces(scores, floor: Unknown + 10);
        var found = new UnigramModel(vocabulary, pieces, unknownId: 0, byteFallback: false, "test").Encode(AlignedText.ToCodePoints(word));
        Assert.Equal(word.Length, found.Ends[^1]);
        var score = found.Ids.Select((id, i) => id == 0 ? Unknown * (found.Ends[i] - found.Starts[i]) : scores[word[found.Starts[i]..found.Ends[i]]]).Sum();
        Assert.Equal(PlainSegmentation.BestScore(word, scores, Unknown), score);
        Assert.All(found.Ids.Select((id, i) => (id, i)), token => Assert.Equal(token.id == 0 ? "<unk>" : word[found.Starts[token.i]..found.Ends[token.i]], vocabulary.TokenOf(token.id)));
    });

    [Fact]
    public void Scored_pairs_are_merged_as_one_at_a_time() => Gen.Select(Word, Scores).Sample((word, scores) =>
    {
        var (vocabulary, pieces) = Pieces(scores, floor: null);
        var model = new ScoredPairModel(vocabulary, pieces.Where(piece => piece.Id > 0).Select(piece => (piece, false)), unknownId: 0, byteFallback: false);
        var found = model.Encode(AlignedText.ToCodePoints(word));
        var expected = new List<string>();
        foreach (var part in PlainSegmentation.MergeByScore(word, scores))
        {
            // What is no piece is unknown, and unknown ones that touch are one.
            var text = scores.ContainsKey(part) ? part : "<unk>";
            if (text != "<unk>" || expected.LastOrDefault() != "<unk>")
            {
                expected.Add(text);
            }
        }

        Assert.Equal(expected, found.Ids.Select(id => vocabulary.TokenOf(id)!));
        Assert.Equal(word.Length, found.Ends[^1]);
    });

    [Fact]
    public void An_unused_piece_is_a_step_and_falls_apart_again()
    {
        var vocabulary = new Vocabulary(8);
        string[] tokens = ["<unk>", "a", "b", "c", "ab", "abc", "bc"];
        for (var id = 0; id < tokens.Length; id++)
        {
            vocabulary.Add(tokens[id], id, "test");
        }

        var pieces = tokens.Select((text, id) => (Piece: new ScoredPiece(text, id, -id), IsUnused: text is "ab")).Skip(1);
        var model = new ScoredPairModel(vocabulary, pieces, unknownId: 0, byteFallback: false);
        Assert.Equal([5], model.Encode(AlignedText.ToCodePoints("abc")).Ids); // a+b, then ab+c
        Assert.Equal([1, 2, 1], model.Encode(AlignedText.ToCodePoints("aba")).Ids);
    }

    [Fact]
    public void WordPiece_takes_the_longest_piece_from_the_left() => Gen.Select(Word, Scores, Scores).Sample((word, beginnings, continuations) =>
    {
        string[] tokens = ["[UNK]", .. beginnings.Keys, .. continuations.Keys.Select(piece => "##" + piece)];
        var ids = tokens.Select((token, id) => (token, id)).ToDictionary(pair => pair.token, pair => pair.id, StringComparer.Ordinal);
        var found = new WordPieceModel(ids, unknownId: 0, "##", longestWord: 8).Encode(AlignedText.ToCodePoints(word));
        var expected = word.Length > 8 ? null : PlainSegmentation.LongestFirst(word, ids.Keys.ToHashSet(StringComparer.Ordinal), "##");
        Assert.Equal(expected ?? ["[UNK]"], found.Ids.Select(id => tokens[id]));
        Assert.Equal(word.Length, found.Ends[^1]);
    });

    [Fact]
    public void A_long_text_takes_no_quadratic_time()
    {
        var (vocabulary, pieces) = Pieces(new Dictionary<string, double>(StringComparer.Ordinal) { ["a"] = -1, ["b"] = -1, ["ab"] = -1.5, ["aba"] = -3 }, floor: null);
        var word = AlignedText.ToCodePoints(string.Concat(Enumerable.Repeat("ab", 100_000)));
        Assert.Equal(100_000, new UnigramModel(vocabulary, pieces, unknownId: 0, byteFallback: false, "test").Encode(word).Ids.Length);
        Assert.Equal(100_000, new ScoredPairModel(vocabulary, pieces.Skip(1).Select(piece => (piece, false)), unknownId: 0, byteFallback: false).Encode(word).Ids.Length);
    }

    [Fact]
    public void Without_a_token_for_the_unknown_an_unknown_character_is_an_error()
    {
        var (vocabulary, pieces) = Pieces(new Dictionary<string, double>(StringComparer.Ordinal) { ["a"] = -1 }, floor: null);
        var model = new UnigramModel(vocabulary, pieces, unknownId: null, byteFallback: false, "test");
        Assert.Equal("GA2110", Assert.Throws<TokenizerException>(() => model.Encode(['a', 'b'])).Code);
    }

    /// <summary>A vocabulary of the pieces with <c>&lt;unk&gt;</c> before; <paramref name="floor"/> is the score of a piece that no word has.</summary>
    private static (Vocabulary Vocabulary, List<ScoredPiece> Pieces) Pieces(Dictionary<string, double> scores, double? floor)
    {
        var pieces = new List<ScoredPiece> { new("<unk>", 0, 0) };
        pieces.AddRange(scores.Select((pair, i) => new ScoredPiece(pair.Key, i + 1, pair.Value)));
        if (floor is { } least)
        {
            pieces.Add(new ScoredPiece("never", pieces.Count, least));
        }

        var vocabulary = new Vocabulary(pieces.Count);
        pieces.ForEach(piece => vocabulary.Add(piece.Text, piece.Id, "test"));
        return (vocabulary, pieces);
    }
}
