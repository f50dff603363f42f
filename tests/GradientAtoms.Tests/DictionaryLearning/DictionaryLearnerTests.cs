using GradientAtoms.Coordinates;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.DictionaryLearning;

public sealed class DictionaryLearnerTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void The_planted_atoms_of_the_fixture_are_found_at_the_objective_of_scikit_learn(long seed)
    {
        var path = Path.Combine(Fixtures.Need("dictionary"), "expected.safetensors");
        using var scope = NewDisposeScope();
        using var learnt = DictionaryLearner.Learn(Planted.Read(path, "X"), new() { AtomCount = 80, Sparsity = 0.1, Seed = seed });
        Assert.True(learnt.Objective <= 0.1625, $"objective {learnt.Objective}");
        Assert.True(Planted.Recovery(Planted.Read(path, "true_atoms"), learnt.Atoms) >= 0.90);
    }

    [Theory]
    [InlineData(CodeSigns.Signed)]
    [InlineData(CodeSigns.Nonnegative)]
    public void Learning_lowers_the_objective_and_ends_with_exact_codes_of_unit_atoms(CodeSigns signs)
    {
        using var scope = NewDisposeScope();
        var (rows, _) = Planted.Problem();
        using var learnt = DictionaryLearner.Learn(rows, new() { AtomCount = 30, Sparsity = 0.1, Codes = signs, Seed = 5 });
        using var hasty = DictionaryLearner.Learn(rows, new() { AtomCount = 30, Sparsity = 0.1, Codes = signs, Seed = 5, Rounds = 1 });
        Assert.True(learnt.Objective < hasty.Objective);
        Assert.InRange(learnt.DualityGap, 0, 1e-7);
        AssertTensor.Close(ones(30), learnt.Atoms.norm(1), 1e-5);
        // The stated objective is that of the tensors that are handed out.
        var codes = learnt.Codes.ToDense();
        var objective = ((rows - codes.matmul(learnt.Atoms)).square().sum() * 0.5 + codes.abs().sum() * 0.1).item<float>() / rows.shape[0];
        Assert.Equal(objective, learnt.Objective, 1e-5);
        Assert.True(signs == CodeSigns.Signed || learnt.Codes.Values.All(code => code > 0));
    }

    [Fact]
    public void A_target_of_few_codes_is_met_though_no_document_has_one_on_the_way()
    {
        using var scope = NewDisposeScope();
        var (rows, _) = Planted.Problem(documents: 60, size: 20, atoms: 8);
        using var learnt = DictionaryLearner.Learn(rows, new() { AtomCount = 8, TargetNonzeros = 0.1, Seed = 1, ToleratesDegenerate = false });
        Assert.InRange(learnt.Codes.MeanNonzeros, 0.05, 0.15);
    }

    [Fact]
    public void Rows_that_are_read_in_blocks_give_what_rows_in_memory_give()
    {
        using var scope = NewDisposeScope();
        var (rows, _) = Planted.Problem(documents: 1100, size: 40, atoms: 20); // more than one block
        var options = new DictionaryOptions { AtomCount = 30, TargetNonzeros = 2, Gate = 0.6, Starts = 2, Rounds = 6, Seed = 1 };
        using var memory = DictionaryLearner.Learn(rows, options);
        var copies = new CopiedRows(rows);
        using var read = DictionaryLearner.Learn(copies, options);
        Assert.InRange(copies.Longest, 1, 1024);
        AssertTensor.Close(memory.Atoms, read.Atoms, 1e-6);
        Assert.Equal(memory.Objective, read.Objective, 1e-9);
        Assert.Equal(memory.Codes.Values.Length, read.Codes.Values.Length);
        var (whole, blocks) = (
            SparseCoder.Encode(rows, memory.Atoms, new() { Sparsity = 0.1 }),
            SparseCoder.Encode(copies, memory.Atoms, new() { Sparsity = 0.1 }));
        Assert.Equal(whole.Objective, blocks.Objective, 1e-12);
        Assert.Equal(memory.Gates!.Encode(rows, memory.Atoms).Values.ToArray(), memory.Gates.Encode(copies, memory.Atoms).Values.ToArray());
    }

    // Every read is a copy of its own, as from a file.
    private sealed class CopiedRows(Tensor rows) : IRowSource
    {
        public int Longest { get; private set; }

        public int RowCount => (int)rows.shape[0];

        public long ColumnCount => rows.shape[1];

        public Tensor ReadColumns(long first, long count) => throw new NotSupportedException();

        public Tensor ReadRows(IReadOnlyList<int> documents)
        {
            Longest = Math.Max(Longest, documents.Count);
            using var indices = tensor(documents.ToArray(), ScalarType.Int64);
            return rows.index_select(0, indices);
        }
    }

    [Fact]
    public void Planted_atoms_are_found_again()
    {
        using var scope = NewDisposeScope();
        var (rows, atoms) = Planted.Problem(documents: 400, size: 40, atoms: 20);
        using var learnt = DictionaryLearner.Learn(rows, new() { AtomCount = 30, Sparsity = 0.1, Seed = 1 });
        Assert.True(Planted.Recovery(atoms, learnt.Atoms) >= 0.95);
    }

    [Theory]
    [InlineData(0.1)]
    [InlineData(null)]
    public void Wide_rows_are_learnt_narrow_first_and_end_as_well(double? sparsity)
    {
        using var scope = NewDisposeScope();
        var (few, planted) = Planted.Problem(documents: 300, size: 60, atoms: 20, noise: 0.1);

        // The same problem in a wide space, turned at random: the plain rounds see the rows' inner products alone, the narrow ones do not.
        var turn = linalg.qr(randn([5000, 60], generator: new Generator(3))).Q.t();
        var options = new DictionaryOptions { AtomCount = 24, Sparsity = sparsity, TargetNonzeros = 3, Seed = 1 };
        using var plain = DictionaryLearner.Learn(few, options);
        using var wide = DictionaryLearner.Learn(few.matmul(turn), options);
        Assert.True(wide.Objective <= plain.Objective * 1.02, $"{wide.Objective} and {plain.Objective}");
        Assert.True(Planted.Recovery(planted.matmul(turn), wide.Atoms) >= 0.95);
        Assert.InRange(wide.DualityGap, 0, 1e-6);
        using var again = DictionaryLearner.Learn(few.matmul(turn), options);
        Assert.True(wide.Atoms.equal(again.Atoms).all().item<bool>());
    }

    [Fact]
    public void Narrow_rows_keep_the_inner_products_of_wide_ones_but_for_their_error()
    {
        using var scope = NewDisposeScope();
        var rows = nn.functional.normalize(randn([400, 5000], generator: new Generator(1)) + (2 * randn([1, 5000], generator: new Generator(2))), dim: 1);
        var narrow = DictionaryLearner.Narrowed(new RowsInMemory(rows), seed: 0);
        var off = narrow.matmul(narrow.t()) - rows.matmul(rows.t());
        Assert.Equal([400, 1024], narrow.shape);
        Assert.InRange(off.square().mean().sqrt().item<float>(), 0.005, 1.5 / Math.Sqrt(1024));
        Assert.True(off.square().mean().item<float>() > (DictionaryLearner.Narrowed(new RowsInMemory(rows), seed: 0) - narrow).square().sum().item<float>());
        Assert.True((DictionaryLearner.Narrowed(new RowsInMemory(rows), seed: 1) - narrow).square().sum().item<float>() > 1);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4.3)]
    [InlineData(7)]
    public void Without_a_penalty_one_is_found_for_the_stated_number_of_codes(double target)
    {
        using var scope = NewDisposeScope();
        var (rows, _) = Planted.Problem(noise: 0.3);
        using var learnt = DictionaryLearner.Learn(rows, new() { AtomCount = 30, TargetNonzeros = target, Seed = 1 });
        Assert.Equal(target, learnt.Codes.MeanNonzeros, 0.1);
        using var given = DictionaryLearner.Learn(rows, new() { AtomCount = 30, Sparsity = learnt.Sparsity, Seed = 1 });
        Assert.Equal(given.Objective, learnt.Objective, 0.02 * given.Objective);
    }

    [Fact]
    public void The_same_seed_gives_the_same_bytes_and_another_seed_another_dictionary()
    {
        using var scope = NewDisposeScope();
        var (rows, _) = Planted.Problem();
        using var first = DictionaryLearner.Learn(rows, new() { AtomCount = 25, Seed = 1 });
        using var second = DictionaryLearner.Learn(rows, new() { AtomCount = 25, Seed = 1 });
        using var other = DictionaryLearner.Learn(rows, new() { AtomCount = 25, Seed = 2 });
        Assert.Equal(first.Atoms.bytes.ToArray(), second.Atoms.bytes.ToArray());
        Assert.Equal(first.Codes.Values, second.Codes.Values);
        Assert.NotEqual(first.Atoms.bytes.ToArray(), other.Atoms.bytes.ToArray());
    }

    [Fact]
    public void The_best_of_several_starts_is_kept()
    {
        using var scope = NewDisposeScope();
        var (rows, _) = Planted.Problem(noise: 0.5);
        using var learnt = DictionaryLearner.Learn(rows, new() { AtomCount = 25, Sparsity = 0.1, Starts = 3, Rounds = 5, Seed = 1 });
        Assert.Equal(3, learnt.StartObjectives.Distinct().Count());
        Assert.Equal(learnt.StartObjectives.Min(), learnt.Objective);
    }

    [Fact]
    public void The_plus_pole_has_more_energy()
    {
        using var scope = NewDisposeScope();
        var (rows, _) = Planted.Problem();
        using var learnt = DictionaryLearner.Learn(rows, new() { AtomCount = 25, Seed = 1 });
        var codes = learnt.Codes.ToDense();
        Assert.True((codes * codes.abs()).sum([0L]).ge(0).all().item<bool>());
        Assert.True(codes.lt(0).any().item<bool>());
    }

    [Fact]
    public void Atoms_that_start_as_one_document_are_taken_anew()
    {
        using var scope = NewDisposeScope();
        var (rows, _) = Planted.Problem(documents: 100, atoms: 20);
        // Most documents are copies of one, so most atoms start equal, and only one of equals gets codes.
        var copies = cat([rows[0].expand(100, -1), rows], 0);
        using var learnt = DictionaryLearner.Learn(copies, new() { AtomCount = 20, Sparsity = 0.1, Seed = 1 });
        Assert.True(learnt.ReseededAtoms > 0);
        Assert.Equal(0, learnt.DeadAtoms);
    }

    [Fact]
    public void Rows_that_are_not_of_norm_one_are_no_obstacle()
    {
        using var scope = NewDisposeScope();
        var (rows, atoms) = Planted.Problem();
        var shifted = rows + (0.5 * ones(rows.shape[1]) / Math.Sqrt(rows.shape[1]));
        var centred = shifted - shifted.mean([0], keepdim: true);
        centred[7] = zeros(rows.shape[1]); // a document at the centre
        using var learnt = DictionaryLearner.Learn(centred, new() { AtomCount = 30, Sparsity = 0.1, Seed = 1 });
        Assert.True(Planted.Recovery(atoms, learnt.Atoms) >= 0.95);
        Assert.Empty(learnt.Codes.AtomsOf(7).ToArray());
    }

    [Fact]
    public void A_dictionary_that_would_be_none_is_a_coded_error()
    {
        using var scope = NewDisposeScope();
        var (rows, _) = Planted.Problem(documents: 50);
        Assert.Equal("GA2510", Assert.Throws<DictionaryException>(() => DictionaryLearner.Learn(rows, new() { AtomCount = 10, Sparsity = 1.01, Seed = 1 })).Code);
        Assert.Equal("GA2512", Assert.Throws<DictionaryException>(() => DictionaryLearner.Learn(rows, new() { AtomCount = 51, Seed = 1 })).Code);
        Assert.Equal("GA2511", Assert.Throws<DictionaryException>(() => DictionaryLearner.Learn(rows[0].expand(50, -1), new() { AtomCount = 10, Sparsity = 0.1, Seed = 1 })).Code);
        Assert.Equal("GA2513", Assert.Throws<DictionaryException>(() => DictionaryLearner.Learn(rows, new() { AtomCount = 10, TargetNonzeros = 11, Seed = 1 })).Code);
        rows[3, 0] = float.PositiveInfinity;
        Assert.Throws<NumericalException>(() => DictionaryLearner.Learn(rows, new() { AtomCount = 10, Seed = 1 }));
    }

    [Fact]
    public void Learning_stops_within_a_round_of_being_cancelled()
    {
        using var scope = NewDisposeScope();
        using var cancellation = new CancellationTokenSource();
        var (rows, _) = Planted.Problem();
        var rounds = new CountRounds(cancellation);
        Assert.ThrowsAny<OperationCanceledException>(() => DictionaryLearner.Learn(rows, new() { AtomCount = 30, Sparsity = 0.1, Seed = 1, Tolerance = 0 }, rounds, cancellation.Token));
        Assert.Equal(3, rounds.Count);
    }

    [Fact]
    public void Nothing_but_the_atoms_outlives_learning()
    {
        var (rows, atoms) = Planted.Problem();
        var before = TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        var learnt = DictionaryLearner.Learn(rows, new() { AtomCount = 30, Sparsity = 0.1, Seed = 1 });
        Assert.Equal(before + 1, TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount);
        learnt.Dispose();
        rows.Dispose();
        atoms.Dispose();
    }

    private sealed class CountRounds(CancellationTokenSource cancellation) : IProgress<StageProgress>
    {
        public int Count { get; private set; }

        public void Report(StageProgress value)
        {
            if (++Count == 3)
                cancellation.Cancel();
        }
    }
}
