using GradientAtoms.Certificates;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Certificates;

public sealed class NullRowsTests
{
    [Theory]
    [InlineData(400, 30, 0)]
    [InlineData(60, 59, 0)]
    [InlineData(300, 30, 0.5)]
    public void A_draw_has_the_lengths_the_mean_and_the_spectrum_of_the_rows(int documents, int size, double offset)
    {
        using var scope = NewDisposeScope();
        var rows = Rows(documents, size, offset);
        using var nulls = NullRows.Fit(rows);
        var draw = nulls.Draw(new Generator(5));
        AssertTensor.Close(rows.norm(1), draw.norm(1), 1e-4);
        Assert.True((rows.mean([0L]) - draw.mean([0L])).norm().item<float>() < 0.03); // of rows of length 1
        var (expected, found) = (Spectrum(rows), Spectrum(draw));
        Assert.Equal(expected.sum().item<double>(), found.sum().item<double>(), 1e-2 * expected.sum().item<double>());
        Assert.All(Enumerable.Range(0, 5), place => Assert.Equal(expected[place].item<double>(), found[place].item<double>(), 0.06 * expected[place].item<double>()));
    }

    [Fact]
    public void A_draw_knows_nothing_of_which_document_is_which()
    {
        using var scope = NewDisposeScope();
        var rows = Rows(400, 30, 0);
        using var nulls = NullRows.Fit(rows);
        var (one, other) = (nulls.Draw(new Generator(5)), nulls.Draw(new Generator(6)));
        // Independent unit rows of this spectrum: the mean cosine over 400 documents is within five of its standard errors of 0.
        Assert.True(Math.Abs((rows * one).sum(1).mean().item<float>()) < 0.08);
        Assert.True(Math.Abs((other * one).sum(1).mean().item<float>()) < 0.08);
    }

    [Fact]
    public void Documents_that_are_alike_are_not_alike_in_a_draw()
    {
        using var scope = NewDisposeScope();
        var rows = Rows(400, 60, 0);
        rows.narrow(0, 0, 12).copy_(nn.functional.normalize(rows.narrow(0, 0, 12) + (3 * rows[0]), dim: 1));
        using var nulls = NullRows.Fit(rows);
        var draw = nulls.Draw(new Generator(5));
        Assert.True(Mean(rows) > 0.8);
        Assert.True(Mean(draw) < 0.3);

        static float Mean(Tensor some) => some.narrow(0, 0, 12).matmul(some.narrow(0, 0, 12).t()).mean().item<float>();
    }

    [Fact]
    public void Two_equal_documents_are_rows_enough()
    {
        using var scope = NewDisposeScope();
        using var nulls = NullRows.Fit(ones(2, 3));
        AssertTensor.Close(ones(2, 3), nulls.Draw(new Generator(5)), 1e-6);
    }

    private static Tensor Rows(int documents, int size, double offset)
    {
        var generator = new Generator(3);
        var scales = arange(1, size + 1, ScalarType.Float32).pow(-0.5);
        return nn.functional.normalize(nn.functional.normalize(randn([documents, size], generator: generator) * scales, dim: 1) + offset, dim: 1);
    }

    private static Tensor Spectrum(Tensor rows) => linalg.svdvals((rows - rows.mean([0L], keepdim: true)).to(ScalarType.Float64)).square();
}
