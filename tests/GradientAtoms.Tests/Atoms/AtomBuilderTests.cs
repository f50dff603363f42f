using GradientAtoms.Atoms;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Tests.DictionaryLearning;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Atoms;

public sealed class AtomBuilderTests
{
    // Atom 0: + documents 0 to 4, − documents 5 to 8. Atom 1: + documents 9, 0. Atom 2: nothing.
    private static readonly float[,] Dense =
    {
        { 5, 1, 0 }, { 4, 0, 0 }, { 3, 0, 0 }, { 2, 0, 0 }, { 1, 0, 0 },
        { -1, 0, 0 }, { -9, 0, 0 }, { -2, 0, 0 }, { -3, 0, 0 }, { 0, 6, 0 },
    };

    private static readonly string[] Ids = [.. Enumerable.Range(0, 10).Select(document => $"doc-{document}")];

    [Fact]
    public void Poles_list_their_documents_by_code_and_small_ones_are_counted_without_being_a_behaviour()
    {
        var atoms = AtomBuilder.Build(Codes(), Ids, new() { Whitened = new Products() });
        Assert.Equal([0, 1], atoms.Select(atom => atom.Row)); // by energy; the atom without documents is left out
        var (plus, minus) = (atoms[0].Poles[0], atoms[0].Poles[1]);
        Assert.Equal((1, 5, true), (plus.Sign, plus.Documents, plus.Supported));
        Assert.Equal((-1, 4, true), (minus.Sign, minus.Documents, minus.Supported));
        Assert.Equal(["doc-6", "doc-8", "doc-7", "doc-5"], minus.Top.Select(document => document.Id));
        Assert.Equal([-9d, -3, -2, -1], minus.Top.Select(document => document.Code));
        Assert.Equal((atoms[0].Id + "+", atoms[0].Id + "-"), (plus.Id, minus.Id));
        var small = Assert.Single(atoms[1].Poles);
        Assert.Equal((2, false), (small.Documents, small.Supported));
        Assert.Null(small.Coherence);
        Assert.Null(plus.CoherenceRaw); // what was not asked for is absent
        Assert.Null(plus.Keywords);
        Assert.Null(atoms[0].Share);
    }

    [Fact]
    public void Coherence_is_the_mean_pairwise_cosine_of_the_top_documents_and_the_references_mixes_signs()
    {
        var atoms = AtomBuilder.Build(Codes(), Ids, new() { Whitened = new Products(), Raw = new Products() }, new() { TopDocuments = 3 });
        // Products gives (i + 1)(j + 1) / 100. Top three of +: documents 0, 1, 2; of −: 6, 8, 7; mixed: 6 (9), 0 (5), 1 (4).
        Assert.Equal(((1 * 2) + (1 * 3) + (2 * 3)) / 300d, atoms[0].Poles[0].Coherence!.Value, 1e-12);
        Assert.Equal(((7 * 9) + (7 * 8) + (9 * 8)) / 300d, atoms[0].Poles[1].CoherenceRaw!.Value, 1e-12);
        Assert.Equal(((7 * 1) + (7 * 2) + (1 * 2)) / 300d, atoms[0].CoherenceReference!.Value, 1e-12);
    }

    [Fact]
    public void Shares_modules_and_keywords_go_to_their_atoms()
    {
        var evidence = new AtomEvidence
        {
            Shares = new([0.1, 0.4, 0], 0.5),
            ModuleNames = ["first", "second"],
            ModuleShares = new[,] { { 0.3, 0.7 }, { 0.6, 0.4 }, { 0.5, 0.5 } },
            Texts = [.. Enumerable.Range(0, 10).Select(document => (string.Empty, document < 5 ? "an apple" : document < 9 ? "a pear tree" : "nothing"))],
        };
        var atoms = AtomBuilder.Build(Codes(), Ids, evidence);
        Assert.Equal([1, 0], atoms.Select(atom => atom.Row)); // by share
        Assert.Equal([new("second", 0.7), new("first", 0.3)], atoms[1].Modules!);
        Assert.Equal("apple", atoms[1].Poles[0].Keywords![1]);
        Assert.Contains("pear", atoms[1].Poles[1].Keywords!);
        Assert.Null(atoms[0].Poles[0].Keywords);
    }

    [Fact]
    public void Ids_come_from_the_documents_and_not_from_rank_or_order()
    {
        var ids = AtomBuilder.Build(Codes(), Ids, new()).Select(atom => atom.Id).ToArray();
        Assert.All(ids, id => Assert.Matches("^a[0-9a-f]{5}$", id));
        var order = new[] { 3, 9, 0, 1, 8, 2, 7, 4, 6, 5 };
        var shuffled = new float[10, 3];
        for (var document = 0; document < 10; document++)
        {
            for (var atom = 0; atom < 3; atom++)
                shuffled[document, atom] = Dense[order[document], 2 - atom] * 1.001f; // atoms in another order, too
        }

        using var dense = tensor(shuffled);
        var again = AtomBuilder.Build(SparseCodes.FromDense(dense), [.. order.Select(document => Ids[document])], new()).Select(atom => atom.Id).ToArray();
        Assert.Equal(ids, again);
    }

    [Fact]
    public void Atoms_with_the_same_documents_have_ids_of_their_own()
    {
        using var dense = tensor(new float[,] { { 1, 2, -1 }, { 1, 1, -1 } });
        var ids = AtomBuilder.Build(SparseCodes.FromDense(dense), ["a", "b"], new()).Select(atom => atom.Id).ToArray();
        Assert.Equal(3, ids.Distinct().Count());
    }

    [Fact]
    public void Shares_of_the_refit_and_the_unexplained_rest_add_up_to_all_energy()
    {
        using var scope = NewDisposeScope();
        var (rows, _) = Planted.Problem();
        using var learnt = DictionaryLearner.Learn(rows, new() { AtomCount = 25, Seed = 1 });
        var energies = Enumerable.Range(0, 300).Select(document => 1d + (document % 7)).ToArray();
        var shares = AtomShares.Of(rows, learnt.Codes, learnt.Atoms, energies);
        Assert.Equal(1, shares.Atoms.Sum() + shares.Unexplained, 1e-12);
        // The unexplained part is that of a least-squares fit on each document's atoms.
        var (lost, total) = (0d, 0d);
        for (var document = 0; document < 300; document++)
        {
            var row = rows[document].to(ScalarType.Float64).unsqueeze(1);
            var used = learnt.Atoms.index_select(0, tensor(learnt.Codes.AtomsOf(document).ToArray(), ScalarType.Int64)).to(ScalarType.Float64).t();
            var fit = used.matmul(linalg.pinv(used).matmul(row));
            lost += energies[document] * (row - fit).square().sum().item<double>();
            total += energies[document] * row.square().sum().item<double>();
        }

        Assert.Equal(lost / total, shares.Unexplained, 1e-8);
    }

    [Fact]
    public void The_share_of_an_atom_that_alone_carries_its_documents_is_their_energy()
    {
        using var scope = NewDisposeScope();
        var rows = tensor(new float[,] { { 1, 0, 0 }, { 0.6f, 0.8f, 0 }, { 0, 0, 1 } });
        var codes = new SparseCodes([0, 1, 2, 2], [0, 0], [0.5f, 0.1f], atomCount: 2);
        var shares = AtomShares.Of(rows, codes, eye(2, 3), [1, 2, 1]);
        AssertTensor.Close(tensor(new[] { (1 + (2 * 0.36)) / 4, 0, 1 - ((1 + (2 * 0.36)) / 4) }), tensor(new[] { shares.Atoms[0], shares.Atoms[1], shares.Unexplained }), 0, 1e-7);
    }

    [Fact]
    public void Shares_of_more_documents_than_are_read_at_once_are_those_of_each()
    {
        // Two documents over and over, of other lengths: x = (1, s) on the first atom explains 1/(1 + s²).
        using var scope = NewDisposeScope();
        const int Count = 2500;
        var rows = stack([ones(Count), arange(Count).remainder(2) + 1], dim: 1);
        var codes = new SparseCodes([.. Enumerable.Range(0, Count + 1)], new int[Count], [.. Enumerable.Repeat(0.5f, Count)], atomCount: 1);
        var read = new List<(int First, int Count)>();
        Tensor RowsOf(int first, int count)
        {
            read.Add((first, count));
            return rows.narrow(0, first, count).clone();
        }

        var shares = AtomShares.OfBlocks(Count, RowsOf, codes, eye(1, 2), rowEnergies: null);
        Assert.All(shares.Documents.Index(), share => Assert.Equal(share.Index % 2 == 0 ? 0.5 : 0.2, share.Item!.Value, 1e-9));
        Assert.Equal(2.0 / 7, shares.Atoms[0], 1e-9);
        Assert.Equal(Count, read.Sum(block => block.Count));
        Assert.True(read.Max(block => block.Count) < Count);
    }

    private static SparseCodes Codes()
    {
        using var dense = tensor(Dense);
        return SparseCodes.FromDense(dense);
    }

    /// <summary>No cosines, but numbers that tell which documents were asked for.</summary>
    private sealed class Products : IDocumentCosines
    {
        public double[,] Cosines(IReadOnlyList<int> documents)
        {
            var result = new double[documents.Count, documents.Count];
            for (var i = 0; i < documents.Count; i++)
            {
                for (var j = 0; j < documents.Count; j++)
                    result[i, j] = (documents[i] + 1) * (documents[j] + 1) / 100d;
            }

            return result;
        }
    }
}
