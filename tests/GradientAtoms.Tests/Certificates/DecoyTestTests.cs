using GradientAtoms.Certificates;

namespace GradientAtoms.Tests.Certificates;

public sealed class DecoyTestTests
{
    [Fact]
    public void False_discovery_rates_count_decoys_above_a_threshold_and_never_fall_with_the_score()
    {
        // By hand: thresholds 9, 5, 5, 2 are passed by 1, 3, 3, 4 poles and 0, 1, 1, 3 of the decoys of four nulls.
        var rates = DecoyTest.FalseDiscoveryRates([5, 9, 2, 5], [[1, 6], [2.5], [0], [3]]);
        Assert.Equal([2.0 / 12, 2.0 / 12, 4.0 / 16, 2.0 / 12], rates, Close);
    }

    [Fact]
    public void Beyond_all_decoys_a_rate_is_one_over_the_nulls_and_the_poles_there()
    {
        Assert.Equal([0.1, 0.1], DecoyTest.FalseDiscoveryRates([8, 9], [.. Enumerable.Range(0, 5).Select(_ => (IReadOnlyList<double>)[1, 2])]), Close);
        Assert.Equal([0.5], DecoyTest.FalseDiscoveryRates([8], [[1, 2], []]), Close);
        Assert.Empty(DecoyTest.FalseDiscoveryRates([], [[1.0]]));
    }

    [Fact]
    public void A_family_wise_rate_is_the_rank_among_the_best_of_the_nulls()
    {
        Assert.Equal([1.0 / 5, 2.0 / 5, 1], DecoyTest.FamilyWiseRates([10, 6, 0], [[1, 7], [2], [3, 5], [4]]), Close);
        // A null without poles has none that is better.
        Assert.Equal([0.5], DecoyTest.FamilyWiseRates([-1], [[]]), Close);
    }

    [Fact]
    public void A_curve_follows_the_null_poles_of_about_the_same_support()
    {
        var curve = new NullCurve(Enumerable.Range(0, 600).Select(place => (Documents: 4 + (place % 60), Value: (place % 60 < 30 ? 0.8 : 0.3) + (0.001 * (place / 60)))));
        Assert.Equal(0.8, curve.At(5).Location, 0.01);
        Assert.Equal(0.3, curve.At(60).Location, 0.01);
        Assert.Equal(0.3, curve.At(5000).Location, 0.01);
        Assert.True(curve.Score(60, 0.8) > 50);
        Assert.Equal((0, 1), new NullCurve([]).At(7));
        Assert.Null(new NullCurve([]).Quantile(7, 0.95));
    }

    private static bool Close(double one, double other) => Math.Abs(one - other) < 1e-12;
}
