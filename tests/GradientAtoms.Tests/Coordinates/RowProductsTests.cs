using GradientAtoms.Coordinates;
using GradientAtoms.Gradients;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Coordinates;

/// <summary>Rows that are streamed in tiles give what the whole matrix gives, over the ends of tiles and of maps.</summary>
public class RowProductsTests
{
    // The first map takes two tiles, the second a part of one.
    private static readonly ParameterLayout Layout = new([new("a.lora_A", "a", 20, 1000, 0, "a"), new("a.lora_B", "a", 7, 20, 20_000, "a.lora_B")]);

    [Fact]
    public void Products_with_streamed_rows_are_those_of_the_whole_matrix()
    {
        using var scope = NewDisposeScope();
        var (rows, whitening) = Sample();
        var others = randn([3, Layout.Size], generator: new Generator(5));
        var done = new List<long>();

        var products = RowProducts.Compute(new RowsInMemory(rows), Layout, whitening, others, new Relay<StageProgress>(progress => done.Add(progress.Done)));

        Assert.Equal(ScalarType.Float64, products.dtype);
        Assert.Equal([1, 2], done);
        AssertTensor.Close(others.to(ScalarType.Float64).matmul((rows * whitening.Scale).to(ScalarType.Float64).t()), products, relativeToMax: 1e-5);
    }

    [Fact]
    public void Products_of_the_documents_own_rows_are_their_Gram_matrix()
    {
        using var scope = NewDisposeScope();
        var (rows, whitening) = Sample();
        using var gram = GramPass.Compute(new RowsInMemory(rows), Layout, whitening);
        var whitened = (rows * whitening.Scale).to(ScalarType.Float64);

        AssertTensor.Close(gram, RowProducts.Compute(new RowsInMemory(rows), Layout, whitening, rows * whitening.Scale), relativeToMax: 1e-6);
        AssertTensor.Close(whitened.matmul(whitened.t()), gram, relativeToMax: 1e-5);
    }

    [Fact]
    public void Sums_of_rows_meet_at_the_ends_of_tiles()
    {
        using var scope = NewDisposeScope();
        var (rows, _) = Sample();
        var weights = randn([2, 6], generator: new Generator(6));

        AssertTensor.Close(weights.matmul(rows), RowCombination.Sum(new RowsInMemory(rows), Layout, weights), relativeToMax: 1e-6);
    }

    [Fact]
    public void A_pass_over_the_rows_ends_at_the_next_tile_when_it_is_told_to()
    {
        using var scope = NewDisposeScope();
        var (rows, whitening) = Sample();
        using var source = new CancellationTokenSource();
        source.Cancel();

        Assert.Throws<OperationCanceledException>(() => RowProducts.Compute(new RowsInMemory(rows), Layout, whitening, rows, null, source.Token));
    }

    private static (Tensor Rows, Whitening Whitening) Sample() =>
        (randn([6, Layout.Size], generator: new Generator(3)), Whitening.Ekfac(rand([Layout.Size], dtype: ScalarType.Float64, generator: new Generator(4)), 0.1));
}
