using GradientAtoms.Certificates;

namespace GradientAtoms.Tests.Certificates;

public sealed class HolmCorrectionTests
{
    [Fact]
    public void Values_keep_their_order_and_never_fall()
    {
        // .01·4, max(.04, .02·3), max(.06, .03·2), .5
        Assert.Equal([0.06, 0.04, 0.5, 0.06], HolmCorrection.Adjust([0.02, 0.01, 0.5, 0.03]), (one, other) => Math.Abs(one - other) < 1e-12);
        Assert.Equal([1.0, 1.0], HolmCorrection.Adjust([0.9, 0.7]));
        Assert.Empty(HolmCorrection.Adjust([]));
    }

    [Fact]
    public void Tests_that_gave_one_count_too() => Assert.Equal(HolmCorrection.Adjust([0.02, 0.01, 1, 1, 1]).Take(2), HolmCorrection.Adjust([0.02, 0.01], tests: 5));
}
