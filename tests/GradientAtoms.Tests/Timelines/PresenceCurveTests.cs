using GradientAtoms.Evaluation;
using GradientAtoms.Timelines;

namespace GradientAtoms.Tests.Timelines;

public sealed class PresenceCurveTests
{
    [Theory]
    [InlineData(new[] { 0, 0, 0.1, 0.9, 1.0 }, 3, 3, null)] // planted in the second half
    [InlineData(new[] { 0, 0.9, 1.0, 1.0, 0.9 }, 1, 1, null)]
    [InlineData(new[] { 0, 0.5, 1.0, 0.4, 0.1 }, 1, 1, 3)] // learnt and lost again
    [InlineData(new[] { 0, 1.0, 0.3, 1.1, 0.2 }, 1, 1, 4)] // a dip that is made good is no fading
    [InlineData(new[] { 0, -0.2, -0.5, 0.01, 0.005 }, null, null, null)] // never beyond its error
    public void A_curve_says_when_it_appears_grows_and_fades(double[] presence, int? appears, int? grows, int? fades)
    {
        var curve = new PresenceCurve([.. presence.Select(value => new PresencePoint(value, 0, value, 0.01))]);
        Assert.Equal((appears, grows, fades), (curve.Appears, curve.Grows, curve.Fades));
    }

    [Fact]
    public void Presence_is_what_is_gained_beyond_the_counterparts_with_the_error_of_a_mean()
    {
        // Sums over 2 tokens: documents 0 and 1 gain 1.5 and .5 nats a token, their counterparts .25 on average.
        DocumentLosses[] losses = [new([6, 6, 6, 6, 0], [2, 2, 2, 2, 0]), new([3, 5, 5.5, 5.5, 0], [2, 2, 2, 2, 0])];
        var curve = PresenceCurves.Of(losses, [0, 1], [[2, 3], [3, 2, 4]])!;
        Assert.Equal(new(0, 0, 0, 0), curve.Points[0]);
        Assert.Equal(1, curve.Points[1].Own, 1e-12);
        Assert.Equal(0.25, curve.Points[1].Others, 1e-12);
        Assert.Equal(0.75, curve.Points[1].Presence, 1e-12);
        Assert.Equal(0.5, curve.Points[1].Error, 1e-12); // deviations ±.5, sample standard deviation √.5, over √2
        Assert.Null(PresenceCurves.Of(losses, [0, 1], [[2], []]));
    }

    [Fact]
    public void Counterparts_are_asked_alike_and_of_those_the_nearest_in_length()
    {
        var counterparts = new Counterparts(["what is the capital of Peru", "what is the capital of Chad", "what is a lemon", "add 4 and five", "what is the capital of Mali", ""], [5, 9, 5, 5, 6, 5]);
        Assert.Equal([4, 1, 2], counterparts.Of(0, [1, 2, 3, 4], 3));
        Assert.Equal([4], counterparts.Of(5, [1, 4], 1)); // nothing to go by but the length
    }
}
