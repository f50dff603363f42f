using static TorchSharp.torch;

namespace GradientAtoms.Tests.Support;

internal static class AssertTensor
{
    /// <summary>Largest absolute difference over the largest absolute expected value, plus an absolute allowance.</summary>
    public static void Close(Tensor expected, Tensor actual, double relativeToMax, double absolute = 0)
    {
        Assert.Equal(expected.shape, actual.shape);
        using var scope = NewDisposeScope();
        var (e, a) = (expected.to(ScalarType.Float64), actual.to(ScalarType.Float64));
        var difference = (e - a).abs().max().item<double>();
        var scale = e.abs().max().item<double>();
        Assert.True(difference <= (relativeToMax * scale) + absolute, $"differs by {difference:g4}, the largest expected value is {scale:g4} (allowed {relativeToMax:g3} of it + {absolute:g3})");
    }
}
