using GradientAtoms.Evaluation.Sweeps;

namespace GradientAtoms.Tests.Evaluation.Sweeps;

public class PairedProportionsTests
{
    // The first is the example of Newcombe's paper (1998, table II): .0569 to .3404; the others were computed in Python from its formulas.
    [Theory]
    [InlineData(36, 12, 2, 0, 0.05692958400323869, 0.3404276029749407)]
    [InlineData(36, 14, 0, 0, 0.1528395178558573, 0.41665123695956563)]
    [InlineData(43, 0, 1, 10, -0.08417376166208511, 0.04356444132274502)]
    [InlineData(10, 8, 2, 20, -0.006233601877243117, 0.2948055597187846)]
    [InlineData(0, 0, 0, 20, -0.16112515805281938, 0.16112515805281938)]
    [InlineData(5, 15, 0, 20, 0.2069200375641641, 0.5183899416587142)]
    public void The_interval_is_newcombes(int both, int gained, int lost, int neither, double low, double high)
    {
        var (foundLow, foundHigh) = new PairedProportions(both, gained, lost, neither).Interval;
        Assert.Equal(low, foundLow, 1e-12);
        Assert.Equal(high, foundHigh, 1e-12);
    }

    [Fact]
    public void The_interval_turns_with_the_direction_and_covers_the_truth_nineteen_times_in_twenty()
    {
        var (one, other) = (new PairedProportions(10, 8, 2, 20).Interval, new PairedProportions(10, 2, 8, 20).Interval);
        Assert.Equal(one.Low, -other.High, 1e-12);

        // 40 questions, 30 % before, 60 % after, as answers that go together somewhat have it.
        var random = new Random(5);
        var covered = 0;
        for (var draw = 0; draw < 2000; draw++)
        {
            var pairs = PairedProportions.Of(Enumerable.Range(0, 40).Select(_ => random.NextDouble() switch { < 0.25 => (true, true), < 0.6 => (false, true), < 0.65 => (true, false), _ => (false, false) }));
            covered += pairs.Interval is var (low, high) && low <= 0.3 && 0.3 <= high ? 1 : 0;
        }

        Assert.InRange(covered / 2000.0, 0.935, 0.985);
    }

    [Theory]
    [InlineData(0, 0, 1)]
    [InlineData(1, 1, 1)]
    [InlineData(5, 0, 2.0 / 32)]
    [InlineData(0, 5, 2.0 / 32)]
    [InlineData(9, 1, 2.0 * 11 / 1024)]
    [InlineData(8, 2, 2.0 * (1 + 10 + 45) / 1024)]
    public void McNemars_test_counts_tosses_of_a_coin(int gained, int lost, double p) => Assert.Equal(p, new PairedProportions(3, gained, lost, 4).McNemar, 1e-12);

    [Fact]
    public void Of_no_question_nothing_is_known()
    {
        var none = PairedProportions.Of([]);
        Assert.Equal((-1.0, 1.0), none.Interval);
        Assert.Equal(1, none.McNemar);
        Assert.True(double.IsNaN(none.Change));
    }
}
