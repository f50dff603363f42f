using System.Text.Json;
using GradientAtoms.Certificates;
using GradientAtoms.DictionaryLearning;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Certificates;

public sealed class CertifierTests
{
    private const int Documents = 160;
    private const int Groups = 3;
    private const int Members = 16;

    [Fact]
    public void Planted_groups_are_certified_with_every_part_of_the_certificate()
    {
        using var world = World(planted: true);
        var poles = world.Certifier.Certify();
        var certified = poles.Where(pole => pole.Certified).ToList();
        Assert.Equal(Enumerable.Range(0, Groups), certified.Select(pole => GroupOf(world.Dictionary.Codes, pole)).Where(group => group < Groups).Distinct().Order());
        Assert.All(certified, pole =>
        {
            Assert.True(pole.Fdr <= 0.05 && pole.FamilyWise <= 0.05, $"{pole}");
            Assert.True(pole.Separation > pole.SeparationNull, $"{pole}");
            Assert.True(pole.Recurrence > 0.9 && pole.Resampled > 0.8, $"{pole}");
            Assert.True(pole.Agreement > pole.AgreementNull && pole.CodingGain > pole.CodingGainNull, $"{pole}");
        });
    }

    [Fact]
    public void Rows_without_structure_certify_nothing()
    {
        using var world = World(planted: false);
        var poles = world.Certifier.Certify();
        Assert.NotEmpty(poles);
        Assert.All(poles, pole => Assert.NotEmpty(pole.Reasons));
    }

    [Fact]
    public void Pieces_of_work_do_not_depend_on_their_order_and_survive_being_written_down()
    {
        using var world = World(planted: true, nulls: 3);
        var forward = Enumerable.Range(0, world.Certifier.UnitCount).Select(unit => world.Certifier.Run(unit)).ToList();
        using var again = World(planted: true, nulls: 3);
        var backward = Enumerable.Range(0, world.Certifier.UnitCount).Reverse().Select(unit => JsonSerializer.Deserialize<CertificateUnit>(JsonSerializer.Serialize(again.Certifier.Run(unit)))!).Reverse().ToList();
        Assert.Equal(JsonSerializer.Serialize(forward), JsonSerializer.Serialize(backward));
        Assert.Equal(JsonSerializer.Serialize(world.Certifier.Judge(forward)), JsonSerializer.Serialize(again.Certifier.Judge(backward)));
    }

    [Fact]
    public void With_fewer_nulls_than_a_rank_of_5_percent_needs_nothing_is_certified()
    {
        using var world = World(planted: true, nulls: 5);
        Assert.All(world.Certifier.Certify(), pole => Assert.True(pole.FamilyWise > 0.05 && !pole.Certified));
    }

    [Fact]
    public void Of_near_duplicates_one_is_left_out()
    {
        using var scope = NewDisposeScope();
        var rows = nn.functional.normalize(randn([30, 20], generator: new Generator(3)), dim: 1);
        int[] pointers = [0, 1, 2, 3, 4, 5, 6, .. Enumerable.Repeat(6, 24)];
        var codes = new SparseCodes(pointers, [0, 0, 0, 0, 0, 0], [0.9f, 0.8f, 0.7f, 0.6f, 0.5f, 0.4f], 1);
        int Documents() => PoleStatistics.Of(rows, codes, new() { Seed = 0 }).Select(pole => pole.Documents).SingleOrDefault();
        Assert.Equal(6, Documents());
        rows[1] = rows[0];
        Assert.Equal(5, Documents());
        rows[3] = rows[2];
        Assert.Equal(4, Documents());
        rows[5] = rows[4];
        Assert.Equal(0, Documents()); // three pairs are three documents
        rows.narrow(0, 0, 6).copy_(rows[0].unsqueeze(0).expand(6, 20));
        Assert.Equal(5, Documents()); // six alike are a pole
    }

    [Fact]
    public void The_separation_of_a_pole_is_that_of_the_slow_formula()
    {
        using var scope = NewDisposeScope();
        var rows = nn.functional.normalize(randn([50, 8], generator: new Generator(3)) + 0.3, dim: 1).to(ScalarType.Float64);
        var codes = new SparseCodes([0, 1, 2, 3, 4, 5, .. Enumerable.Repeat(5, 45)], [0, 0, 0, 0, 0], [-0.9f, -0.8f, -0.7f, -0.6f, -0.5f], 1);
        var found = Assert.Single(PoleStatistics.Of(rows, codes, new() { Seed = 0 }));
        var centred = rows - rows.mean([0L], keepdim: true);
        var expected = 0d;
        for (var document = 0; document < 5; document++)
        {
            var others = Enumerable.Range(0, 5).Where(other => other != document)
                .OrderBy(other => nn.functional.cosine_similarity(centred[document], centred[other], dim: 0).item<double>()).Take(3).Select(other => (long)other).ToArray();
            var direction = nn.functional.normalize(centred.index_select(0, tensor(others)).mean([0L]), dim: 0);
            expected += centred[document].dot(direction).item<double>() / centred.matmul(direction).square().mean().sqrt().item<double>() / 5;
        }

        Assert.Equal(expected, found.Separation, 1e-5);
        Assert.Equal(-1, found.Sign);
    }

    [Fact]
    public void A_coding_gain_is_what_the_fit_loses_without_the_pole()
    {
        using var scope = NewDisposeScope();
        var (rows, _) = DictionaryLearning.Planted.Problem(documents: 60, size: 20, atoms: 8, active: 3, noise: 0.3);
        using var dictionary = DictionaryLearner.Learn(rows, new() { AtomCount = 10, TargetNonzeros = 3, Seed = 1 });
        var gains = new CodingGains(rows, dictionary.Codes, dictionary.Atoms);
        for (var atom = 0; atom < 10; atom++)
        {
            foreach (var sign in (int[])[1, -1])
                Assert.Equal(Plain(rows, dictionary, atom, sign), gains.Of(atom, sign), 1e-6);
        }
    }

    // Fits every document of the pole with and without the atom.
    private static double Plain(Tensor rows, LearnedDictionary dictionary, int atom, int sign)
    {
        using var scope = NewDisposeScope();
        var (gain, atoms) = (0d, dictionary.Atoms.to(ScalarType.Float64));
        for (var document = 0; document < rows.shape[0]; document++)
        {
            var used = dictionary.Codes.AtomsOf(document).ToArray();
            var place = Array.IndexOf(used, atom);
            if (place < 0 || Math.Sign(dictionary.Codes.CodesOf(document)[place]) != sign)
                continue;
            var row = rows[document].to(ScalarType.Float64);
            gain += Explained(row, used) - Explained(row, [.. used.Where(other => other != atom)]);
        }

        return gain / rows.to(ScalarType.Float64).square().sum().item<double>();

        double Explained(Tensor row, int[] used)
        {
            if (used.Length == 0)
                return 0;
            var basis = linalg.qr(atoms.index_select(0, tensor(used.Select(other => (long)other).ToArray())).t()).Q;
            return row.matmul(basis).square().sum().item<double>();
        }
    }

    private static int GroupOf(SparseCodes codes, PoleCertificate pole)
    {
        var byAtom = codes.ByAtom();
        var members = byAtom.DocumentsOf(pole.Atom).ToArray().Zip(byAtom.CodesOf(pole.Atom).ToArray()).Where(pair => Math.Sign(pair.Second) == pole.Sign).OrderByDescending(pair => Math.Abs(pair.Second)).Take(Members).Select(pair => pair.First / Members).ToArray();
        return members.GroupBy(group => group).MaxBy(group => group.Count())!.Key;
    }

    // The first documents are the groups.
    private static SmallWorld World(bool planted, int nulls = 20)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(7);
        var rows = nn.functional.normalize(randn([Documents, 40], generator: generator) * arange(1, 41, ScalarType.Float32).pow(-0.25), dim: 1);
        if (planted)
        {
            for (var group = 0; group < Groups; group++)
            {
                var direction = nn.functional.normalize(randn([1, 40], generator: generator), dim: 1);
                rows.narrow(0, group * Members, Members).mul_(Math.Sqrt(0.4)).add_(Math.Sqrt(0.6) * direction);
            }

            rows = nn.functional.normalize(rows, dim: 1);
        }

        var rules = new DictionaryOptions { AtomCount = 8, TargetNonzeros = 1.5, Starts = 2, Seed = 1 };
        var dictionary = DictionaryLearner.Learn(rows, rules);
        return new(rows.DetachFromDisposeScope(), dictionary, new(rows, dictionary.Atoms, rules with { Sparsity = dictionary.Sparsity }, new() { Seed = 1, Nulls = nulls }));
    }

    private sealed record SmallWorld(Tensor Rows, LearnedDictionary Dictionary, Certifier Certifier) : IDisposable
    {
        public void Dispose()
        {
            Certifier.Dispose();
            Dictionary.Dispose();
            Rows.Dispose();
        }
    }
}
