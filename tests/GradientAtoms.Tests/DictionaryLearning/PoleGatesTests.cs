using GradientAtoms.DictionaryLearning;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.DictionaryLearning;

public sealed class PoleGatesTests
{
    [Fact]
    public void A_document_near_two_close_atoms_is_of_one_by_the_penalty_and_of_both_through_gates()
    {
        using var scope = NewDisposeScope();
        var (rows, atoms) = Close();
        var codes = SparseCoder.Encode(rows, atoms, new() { Sparsity = 0.3 }).Codes;
        Assert.All(Enumerable.Range(0, 8), document => Assert.Equal(1, codes.AtomsOf(document).Length));
        Assert.Equal([4, 4], Enumerable.Range(0, 2).Select(atom => codes.ByAtom().DocumentsOf(atom).Length));

        var gated = PoleGates.Fit(rows, atoms, codes, 0.6, minimumSupport: 4).Encode(rows, atoms);
        Assert.Equal([8, 8, 8], Enumerable.Range(0, 3).Select(atom => gated.ByAtom().DocumentsOf(atom).Length));
        Assert.All(Enumerable.Range(0, 8), document => Assert.Equal([0, 1], gated.AtomsOf(document).ToArray()));
    }

    [Fact]
    public void Gated_codes_are_the_products_that_reach_a_share_of_the_poles_median()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(7);
        var rows = nn.functional.normalize(randn([60, 8], generator: generator), dim: 1);
        var atoms = nn.functional.normalize(randn([5, 8], generator: generator), dim: 1);
        var codes = SparseCoder.Encode(rows, atoms, new() { Sparsity = 0.3 }).Codes;
        var gated = PoleGates.Fit(rows, atoms, codes, 0.7, minimumSupport: 6).Encode(rows, atoms);
        using var lasso = codes.ToDense();
        using var dense = gated.ToDense();
        var products = rows.matmul(atoms.t());
        for (var atom = 0; atom < 5; atom++)
        {
            foreach (var sign in (int[])[1, -1])
            {
                var along = products.select(1, atom).data<float>().Select(product => sign * product).ToArray();
                var own = lasso.select(1, atom).data<float>().Zip(along).Where(pair => sign * pair.First > 0).Select(pair => pair.Second).Order().ToArray();
                var least = own.Length < 6 ? float.PositiveInfinity : 0.7 * (own[(own.Length - 1) / 2] + own[own.Length / 2]) / 2;
                var shown = dense.select(1, atom).data<float>().ToArray();
                for (var document = 0; document < 60; document++)
                {
                    Assert.Equal(along[document] >= least ? sign * along[document] : 0, sign * Math.Max(0, sign * shown[document]), 1e-6);
                }
            }
        }

        Assert.True(gated.MeanNonzeros > 0);
    }

    [Fact]
    public void A_pole_of_few_documents_stays_shut()
    {
        using var scope = NewDisposeScope();
        var (rows, atoms) = Close();
        var codes = SparseCoder.Encode(rows, atoms, new() { Sparsity = 0.3 }).Codes;
        var gates = PoleGates.Fit(rows, atoms, codes, 0.6, minimumSupport: 5);
        Assert.Equal([0, 0, 8], Enumerable.Range(0, 3).Select(atom => gates.Encode(rows, atoms).ByAtom().DocumentsOf(atom).Length));
    }

    [Fact]
    public void Gates_that_were_kept_encode_as_they_did()
    {
        using var scope = NewDisposeScope();
        var (rows, atoms) = Close();
        var gates = PoleGates.Fit(rows, atoms, SparseCoder.Encode(rows, atoms, new() { Sparsity = 0.3 }).Codes, 0.6, minimumSupport: 4);
        var again = PoleGates.From(gates.ToTensor());
        AssertTensor.Close(gates.Encode(rows, atoms).ToDense(), again.Encode(rows, atoms).ToDense(), 0);
    }

    [Fact]
    public void The_atoms_are_those_that_are_learnt_without_gates()
    {
        using var scope = NewDisposeScope();
        var (rows, _) = Close();
        var options = new DictionaryOptions { AtomCount = 3, Sparsity = 0.3, Seed = 1 };
        using var plain = DictionaryLearner.Learn(rows, options);
        using var gated = DictionaryLearner.Learn(rows, options with { Gate = 0.6 });
        Assert.Null(plain.Gates);
        AssertTensor.Close(plain.Atoms, gated.Atoms, 0);
        AssertTensor.Close(gated.Gates!.Encode(rows, gated.Atoms).ToDense(), gated.Codes.ToDense(), 0);
        Assert.True(gated.Codes.MeanNonzeros > plain.Codes.MeanNonzeros);
    }

    // Eight documents, four along each of two atoms at a cosine of .8, and eight along a third.
    private static (Tensor Rows, Tensor Atoms) Close()
    {
        var atoms = tensor(new float[,] { { 1, 0, 0, 0 }, { 0.8f, 0.6f, 0, 0 }, { 0, 0, 1, 0 } });
        var noise = 0.05f * randn([16, 4], generator: new Generator(3));
        var rows = atoms.index_select(0, tensor([0L, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2])) + noise;
        return (nn.functional.normalize(rows, dim: 1), atoms);
    }
}
