using System.Diagnostics;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Speed;

/// <summary>What this machine does in float32 matrix products, measured beside everything that is said as a share of it.</summary>
internal static class MachineRate
{
    private const int Size = 2048;

    /// <summary>The best of some products of two square matrices of 2,048 rows.</summary>
    /// <returns>Floating-point operations a second.</returns>
    public static double Measure(int products = 6)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var (left, right) = (rand([Size, Size]), rand([Size, Size]));
        var best = double.PositiveInfinity;
        for (var i = 0; i < products; i++)
        {
            var watch = Stopwatch.StartNew();
            using var product = matmul(left, right);
            best = Math.Min(best, watch.Elapsed.TotalSeconds);
        }

        return 2.0 * Size * Size * Size / best;
    }
}
