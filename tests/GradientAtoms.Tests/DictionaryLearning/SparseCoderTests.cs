using GradientAtoms.DictionaryLearning;
using GradientAtoms.Tests.Reference;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.DictionaryLearning;

public sealed class SparseCoderTests
{
    [Theory]
    [InlineData("lasso.signed", CodeSigns.Signed)]
    [InlineData("lasso.positive", CodeSigns.Nonnegative)]
    public void Codes_of_a_fixed_dictionary_are_those_of_the_exact_lasso(string name, CodeSigns signs)
    {
        var path = Path.Combine(Fixtures.Need("dictionary"), "expected.safetensors");
        using var scope = NewDisposeScope();
        var rows = Planted.Read(path, "X").narrow(0, 0, 50);
        var encoded = SparseCoder.Encode(rows, Planted.Read(path, "alpha0.1.components"), new() { Sparsity = 0.1, Codes = signs });
        AssertTensor.Close(Planted.Read(path, name), encoded.Codes.ToDense(), 0, 1e-6);
        Assert.InRange(encoded.DualityGap, 0, 1e-8);
    }

    [Fact]
    public void A_penalty_of_one_leaves_no_codes_of_unit_rows()
    {
        var path = Path.Combine(Fixtures.Need("dictionary"), "expected.safetensors");
        using var scope = NewDisposeScope();
        var encoded = SparseCoder.Encode(Planted.Read(path, "X"), Planted.Read(path, "alpha0.1.components"), new() { Sparsity = 1 });
        Assert.Empty(encoded.Codes.Values);
        Assert.Equal(0.5, encoded.Objective, 1e-6);
    }

    [Theory]
    [InlineData(0.2, CodeSigns.Signed)]
    [InlineData(0.02, CodeSigns.Signed)]
    [InlineData(0.1, CodeSigns.Nonnegative)]
    [InlineData(0.03, CodeSigns.Nonnegative)]
    public void Codes_agree_with_the_plain_reference_however_many_there_are(double sparsity, CodeSigns signs)
    {
        using var scope = NewDisposeScope();
        var generator = new Generator(3);
        var rows = nn.functional.normalize(randn([20, 12], generator: generator), dim: 1);
        var atoms = nn.functional.normalize(randn([30, 12], generator: generator), dim: 1); // more atoms than dimensions
        var encoded = SparseCoder.Encode(rows, atoms, new() { Sparsity = sparsity, Codes = signs, MaxIterations = 100_000, Tolerance = 1e-12 });
        using var dense = encoded.Codes.ToDense();
        var plainAtoms = Enumerable.Range(0, 30).Select(atom => Doubles(atoms[atom])).ToArray();
        var objective = 0d;
        for (var document = 0; document < 20; document++)
        {
            var expected = PlainLasso.Solve(Doubles(rows[document]), plainAtoms, sparsity, signs == CodeSigns.Nonnegative, 100_000);
            objective += PlainLasso.Objective(Doubles(rows[document]), plainAtoms, expected, sparsity) / 20;
            AssertTensor.Close(tensor(expected), dense[document], 0, 1e-5);
        }

        Assert.Equal(objective, encoded.Objective, 1e-9);
        Assert.InRange(encoded.LargestDualityGap, 0, 1e-7);
    }

    [Theory]
    [InlineData(CodeSigns.Signed)]
    [InlineData(CodeSigns.Nonnegative)]
    public void Nearly_parallel_atoms_do_not_keep_codes_from_the_optimum(CodeSigns signs)
    {
        using var scope = NewDisposeScope();
        var generator = new Generator(5);
        var rows = nn.functional.normalize(randn([20, 12], generator: generator), dim: 1);
        var some = nn.functional.normalize(randn([15, 12], generator: generator), dim: 1);
        var atoms = nn.functional.normalize(cat([some, some + (1e-3 * randn(some.shape, generator: generator))], 0), dim: 1);
        var encoded = SparseCoder.Encode(rows, atoms, new() { Sparsity = 0.001, Codes = signs });
        Assert.InRange(encoded.LargestDualityGap, 0, 1e-8);
        Assert.True(encoded.Codes.MeanNonzeros > 5);
    }

    [Fact]
    public void The_duality_gap_tells_that_codes_are_not_yet_optimal()
    {
        using var scope = NewDisposeScope();
        var generator = new Generator(4);
        var rows = nn.functional.normalize(randn([10, 12], generator: generator), dim: 1);
        var atoms = nn.functional.normalize(randn([30, 12], generator: generator), dim: 1);
        var hasty = SparseCoder.Encode(rows, atoms, new() { Sparsity = 0.01, MaxIterations = 3 });
        var exact = SparseCoder.Encode(rows, atoms, new() { Sparsity = 0.01, MaxIterations = 100_000 });
        Assert.True(hasty.DualityGap > 1e-3);
        // The gap bounds the distance to the optimum.
        Assert.True(hasty.Objective - exact.Objective <= hasty.LargestDualityGap * hasty.Objective * 10);
        Assert.True(hasty.Objective > exact.Objective);
    }

    [Fact]
    public void A_row_that_is_not_finite_is_named()
    {
        using var scope = NewDisposeScope();
        var rows = ones([5, 3]);
        rows[3, 1] = float.NaN;
        var error = Assert.Throws<NumericalException>(() => SparseCoder.Encode(rows, eye(3), new() { Sparsity = 0.1 }));
        Assert.Contains("document 3", error.Location, StringComparison.Ordinal);
    }

    [Fact]
    public void Codes_survive_the_way_through_a_dense_matrix_and_by_atom()
    {
        var codes = new SparseCodes([0, 2, 2, 3], [0, 3, 1], [0.5f, -1f, 2f], atomCount: 4);
        using var dense = codes.ToDense();
        var again = SparseCodes.FromDense(dense);
        Assert.Equal(codes.RowPointers, again.RowPointers);
        Assert.Equal(codes.Columns, again.Columns);
        Assert.Equal(codes.Values, again.Values);
        var byAtom = codes.ByAtom();
        Assert.Equal([0], byAtom.DocumentsOf(3).ToArray());
        Assert.Equal([-1f], byAtom.CodesOf(3).ToArray());
        Assert.Equal([2], byAtom.DocumentsOf(1).ToArray());
        Assert.Empty(byAtom.DocumentsOf(2).ToArray());
    }

    [Theory]
    [InlineData(new[] { 0, 2 }, new[] { 1, 1 })]
    [InlineData(new[] { 0, 1 }, new[] { 0, 1 })]
    [InlineData(new[] { 0, 2 }, new[] { 0, 7 })]
    [InlineData(new[] { 0, 3, 2 }, new[] { 0, 1 })]
    public void Arrays_that_are_no_codes_are_refused(int[] pointers, int[] columns) =>
        Assert.Throws<ArgumentException>(() => new SparseCodes(pointers, columns, [1f, 1f], atomCount: 4));

    private static double[] Doubles(Tensor row) => row.to(ScalarType.Float64).data<double>().ToArray();
}
