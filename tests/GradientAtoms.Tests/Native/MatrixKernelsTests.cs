using System.Diagnostics;
using System.Globalization;
using GradientAtoms.Models.Native;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Native;

/// <summary>The kernels of matrix products are those of the processor, and give the products.</summary>
public class MatrixKernelsTests
{
    [Fact]
    public void The_processor_is_used_in_full_where_MKL_would_not()
    {
        Assert.Equal(Environment.GetEnvironmentVariable("GATOMS_MKL") != "own" && MatrixKernels.IsHeldBack ? "kernels for AVX-512" : "kernels as MKL chooses them", MatrixKernels.Status);
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(7, 13, 5)]
    [InlineData(64, 576, 1536)]
    [InlineData(333, 257, 129)]
    public void Products_are_those_of_double_precision(int rows, int inner, int columns)
    {
        using var scope = NewDisposeScope();
        var generator = new Generator(3);
        var (left, right) = (randn([rows, inner], generator: generator), randn([columns, inner], generator: generator));
        var exact = left.to(ScalarType.Float64).matmul(right.to(ScalarType.Float64).t());
        foreach (var product in new[] { left.matmul(right.t()), nn.functional.linear(left, right), left.unsqueeze(0).bmm(right.t().unsqueeze(0)).squeeze(0) })
        {
            Assert.InRange((product.to(ScalarType.Float64) - exact).abs().max().item<double>(), 0, 1e-6 * inner);
        }
    }

    [Fact]
    public void The_choice_can_be_left_to_MKL()
    {
        // The library is loaded once a process, so another one is asked.
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "gatoms.dll"), "doctor", "--json"]) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        start.Environment["GATOMS_MKL"] = "own";
        using var process = Process.Start(start)!;
        var shown = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"torch {__version__}, kernels as MKL chooses them; "), shown, StringComparison.Ordinal);
    }
}
