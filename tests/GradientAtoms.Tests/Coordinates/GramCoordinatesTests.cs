using GradientAtoms.Coordinates;
using GradientAtoms.Curvature;
using GradientAtoms.Gradients;
using GradientAtoms.Tests.Gradients;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Coordinates;

public class GramCoordinatesTests
{
    private static readonly ParameterLayout Layout = new([new("a.lora_A", "a", 3, 5, 0, "a"), new("a.lora_B", "a", 4, 3, 15, "a.lora_B")]);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Coordinates_have_the_inner_products_of_the_whitened_unit_rows(bool center)
    {
        using var scope = NewDisposeScope();
        var (rows, whitening) = Sample();
        using var gram = GramPass.Compute(new RowsInMemory(rows), Layout, whitening);
        using var coordinates = GramCoordinates.Fit(gram, Learning(9), center);
        var unit = Unit(rows, whitening, center);
        AssertTensor.Close(unit.matmul(unit.t()), coordinates.Rows.matmul(coordinates.Rows.t()), relativeToMax: 1e-5);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_direction_goes_back_to_the_whitened_space_as_a_combination_of_documents(bool center)
    {
        using var scope = NewDisposeScope();
        var (rows, whitening) = Sample();
        using var gram = GramPass.Compute(new RowsInMemory(rows), Layout, whitening);
        using var coordinates = GramCoordinates.Fit(gram, Learning(9), center);
        var direction = randn(1, coordinates.Rows.shape[1]);
        var lifted = RowCombination.Sum(new RowsInMemory(rows), Layout, coordinates.DocumentWeights(direction)) * whitening.Scale; // [1, d]
        var unit = Unit(rows, whitening, center);
        AssertTensor.Close(coordinates.Rows.matmul(direction.t()), unit.to(ScalarType.Float32).matmul(lifted.t()), relativeToMax: 1e-4);
        AssertTensor.Close(direction.norm(), lifted.norm(), relativeToMax: 1e-4);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_document_of_the_space_encoded_as_a_new_one_lands_on_its_own_row(bool center)
    {
        using var scope = NewDisposeScope();
        var (rows, whitening) = Sample();
        using var gram = GramPass.Compute(new RowsInMemory(rows), Layout, whitening);
        using var coordinates = GramCoordinates.Fit(gram, Learning(9), center);
        var encoded = coordinates.Encode(gram.narrow(0, 3, 2), coordinates.Norms.narrow(0, 3, 2), gram, Learning(9), center);
        AssertTensor.Close(coordinates.Rows.narrow(0, 3, 2), encoded, relativeToMax: 1e-4);
    }

    [Fact]
    public void Energies_by_map_add_up_to_the_squared_norm_of_the_direction()
    {
        using var scope = NewDisposeScope();
        var (rows, whitening) = Sample();
        var weights = randn(2, 9);
        var energies = RowCombination.EnergyByMap(new RowsInMemory(rows), Layout, whitening, weights);
        var lifted = RowCombination.Sum(new RowsInMemory(rows), Layout, weights) * whitening.Scale;
        AssertTensor.Close(lifted.square().sum(1), energies.sum(1), relativeToMax: 1e-5);
    }

    [Fact]
    public void The_ledger_adds_up_and_says_what_the_reference_drops()
    {
        using var scope = NewDisposeScope();
        var (rows, _) = Sample();
        using var whitening = Whitening.Reference(Layout, arange(1, 28, dtype: ScalarType.Float64), keptPerMap: 4);
        using var gram = GramPass.Compute(new RowsInMemory(rows), Layout, whitening);
        var ledger = EnergyLedger.Of(rows.square().mean([0L], type: ScalarType.Float64), 9, Layout, whitening);
        Assert.Equal(8, whitening.KeptCount);
        Assert.Equal(rows.square().sum().item<float>(), ledger.Sum(line => line.RawEnergy), 1e-3);
        Assert.Equal(gram.diagonal().sum().item<double>(), ledger.Sum(line => line.WhitenedEnergy), 1e-6);
        var kept = rows.index_select(1, tensor(new long[] { 11, 12, 13, 14, 23, 24, 25, 26 }));
        Assert.Equal(kept.square().sum().item<float>(), ledger.Sum(line => line.RawKept), 1e-3);
    }

    [Fact]
    public void Rotation_keeps_inner_products_and_goes_back()
    {
        using var scope = NewDisposeScope();
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var documents = SomeDocuments.Random(6);
        var source = new AdapterGradientSource(model, adapter);
        using var sums = new CovarianceSums(source.Layout);
        source.Run(documents, [0, 1, 2, 3, 4, 5], sums);
        using var bases = CurvatureBases.Fit(source.Layout, sums);
        var rows = AdapterGradientSourceTests.Rows(model, adapter, documents, [0, 1, 2, 3, 4, 5]);
        var rotated = bases.Rotate(rows);
        AssertTensor.Close(rows.matmul(rows.t()), rotated.matmul(rotated.t()), relativeToMax: 1e-5);
        AssertTensor.Close(rows, bases.RotateBack(rotated), relativeToMax: 1e-5);
    }

    private static bool[] Learning(int count) => [.. Enumerable.Range(0, count).Select(index => index != 4)];

    private static (Tensor Rows, Whitening Whitening) Sample()
    {
        var generator = new Generator(5);
        var rows = randn([9, Layout.Size], generator: generator);
        using var squares = new EkfacEigenvalues(Layout.Size);
        squares.Add(rows);
        return (rows, Whitening.Ekfac(squares.Values(), 0.01));
    }

    private static Tensor Unit(Tensor rows, Whitening whitening, bool center)
    {
        var white = (rows * whitening.Scale).to(ScalarType.Float64);
        var unit = white / white.norm(1, keepdim: true);
        var learning = tensor(Learning(9).Select((learn, index) => (learn, index)).Where(pair => pair.learn).Select(pair => (long)pair.index).ToArray());
        return center ? unit - unit.index_select(0, learning).mean([0L], keepdim: true) : unit;
    }
}
