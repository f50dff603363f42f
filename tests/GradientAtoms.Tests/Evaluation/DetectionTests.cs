using GradientAtoms.DictionaryLearning;
using GradientAtoms.Evaluation;

namespace GradientAtoms.Tests.Evaluation;

public sealed class DetectionTests
{
    [Fact]
    public void A_label_is_told_by_the_pole_whose_worse_figure_is_best()
    {
        // Atom 0, +: a a a b (precision 3/4, recall 3/4). Atom 0, −: b b. Atom 1, +: a (precision 1, recall 1/4).
        string[] labels = ["a", "a", "a", "a", "b", "b", "b", "none"];
        (int Atom, float Code)[][] rows = [[(0, 1), (1, 2)], [(0, 1)], [(0, 0.1f)], [], [(0, 5)], [(0, -1)], [(0, -2)], []];
        var builder = new SparseCodes.Builder(2);
        foreach (var row in rows)
        {
            foreach (var (atom, code) in row)
            {
                builder.Add(atom, code);
            }

            builder.EndDocument();
        }

        var found = Detection.Of(builder.Build(), labels).ToDictionary(detection => detection.Label, StringComparer.Ordinal);
        Assert.Equal(new Detection("a", 4, 0.75, 0.75, 0, 1), found["a"]);
        Assert.Equal(new Detection("b", 3, 1, 2 / 3.0, 0, -1), found["b"]);
        Assert.Equal(new Detection("none", 1, 0, 0, -1, 0), found["none"]);
        Assert.Equal(2 / 3.0, found["b"].Worse);
    }

    [Fact]
    public void Codes_and_labels_must_be_as_many() => Assert.Throws<ArgumentException>(() => Detection.Of(new SparseCodes.Builder(1).Build(), ["a"]));

    [Theory]
    [InlineData(0, 40, 0, 0.0876)]
    [InlineData(40, 40, 0.9124, 1)]
    [InlineData(81, 263, 0.2553, 0.3662)] // Newcombe (1998), table I
    [InlineData(15, 148, 0.0624, 0.1605)]
    public void The_interval_of_a_proportion_is_Wilsons(int count, int total, double low, double high)
    {
        var interval = new Proportion(count, total).Interval;
        Assert.Equal(low, interval.Low, 1e-4);
        Assert.Equal(high, interval.High, 1e-4);
    }

    [Fact]
    public void Nothing_seen_of_nothing_says_nothing()
    {
        var none = new Proportion(0, 0);
        Assert.True(double.IsNaN(none.Rate));
        Assert.Equal((0, 1), none.Interval);
        Assert.Equal(new(2, 3), Proportion.Of([1, 2, 3], number => number > 1));
    }
}
