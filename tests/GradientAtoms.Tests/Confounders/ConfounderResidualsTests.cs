using GradientAtoms.Confounders;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Evaluation;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Confounders;

public sealed class ConfounderResidualsTests
{
    [Fact]
    public void A_planted_confounder_is_no_atom_any_more_and_a_planted_behaviour_still_is()
    {
        using var scope = NewDisposeScope();
        var (rows, behaves, length) = Planted();
        bool[] all = [.. behaves.Select(_ => true)];
        var (rest, share) = ConfounderResiduals.TakeOff(rows, [length], all);
        Assert.InRange(share, 0.3, 0.6);

        var (before, after) = (Nearest(rows), Nearest(rest));
        Assert.All([before[0], before[1], after[0]], found => Assert.InRange(found, 0.9, 1 + 1e-6));
        Assert.InRange(after[1], 0, 0.7);
    }

    [Fact]
    public void What_is_left_is_the_behaviour_whole_and_spare_atoms_split_it_unless_poles_are_gated()
    {
        using var scope = NewDisposeScope();
        var (rows, behaves, length) = Planted();
        var (rest, _) = ConfounderResiduals.TakeOff(rows, [length], [.. behaves.Select(_ => true)]);
        (double Precision, double Recall) Found(int atoms, double? gate = null)
        {
            using var dictionary = DictionaryLearner.Learn(rest, new() { AtomCount = atoms, TargetNonzeros = 0.5, Gate = gate, Starts = 3, Seed = 0 });
            var found = Detection.Of(dictionary.Codes, [.. behaves.Select(own => own ? "behaviour" : "none")]).Single(one => one.Label == "behaviour");
            return (found.Precision, found.Recall);
        }

        // One direction is left: four atoms share it out, each pure and none complete.
        Assert.Equal((1, 1), Found(atoms: 1));
        Assert.True(Found(atoms: 4) is { Precision: 1, Recall: < 0.8 }, $"{Found(atoms: 4)}");
        Assert.Equal((1, 1), Found(atoms: 4, gate: 0.55));
    }

    [Fact]
    public void What_is_left_has_the_same_mean_and_none_of_the_groups_means()
    {
        using var scope = NewDisposeScope();
        var rows = randn([60, 5], generator: new Generator(1)) + 2;
        bool[] learning = [.. Enumerable.Range(0, 60).Select(document => document % 5 > 0)];
        var source = Confounder.OfGroups("source", [.. Enumerable.Range(0, 60).Select(document => document % 3 == 0 ? "books" : "chat")]);
        var (rest, _) = ConfounderResiduals.TakeOff(rows, [source, Confounder.OfGroups("language", new string?[60])], learning);
        var used = tensor(learning);
        Assert.True(rest[used].mean([0L]).allclose(rows[used].mean([0L]), atol: 1e-5));
        var books = tensor([.. Enumerable.Range(0, 60).Select(document => document % 3 == 0 && learning[document])]);
        Assert.True(rest[books].mean([0L]).allclose(rest[used].mean([0L]), atol: 1e-5));
        Assert.Equal(0, ConfounderResiduals.TakeOff(rows, [], learning).Share);
    }

    // A behaviour along the first axis, length along the second.
    private static (Tensor Rows, bool[] Behaves, Confounder Length) Planted()
    {
        using var scope = NewDisposeScope();
        var (documents, size) = (160, 24);
        var random = new Random(3);
        bool[] behaves = [.. Enumerable.Range(0, documents).Select(_ => random.Next(4) == 0)];
        bool[] isLong = [.. Enumerable.Range(0, documents).Select(_ => random.Next(4) == 0)];
        var noise = randn([documents, size], generator: new Generator(5)) * 0.05;
        Tensor Along(bool[] has, int axis) => outer(tensor(has.Select(own => own ? 0.6f : 0).ToArray()), eye(size)[axis]);
        var rows = noise + Along(behaves, 0) + Along(isLong, 1);
        rows -= rows.mean([0L], keepdim: true);
        var length = Confounder.OfNumbers("length", [.. isLong.Select((own, document) => (own ? 200 : 20) + (document % 7.0))]);
        return (rows.MoveToOuterDisposeScope(), behaves, length);
    }

    // |cosine| of each axis with the atom that is nearest to it.
    private static float[] Nearest(Tensor rows)
    {
        using var dictionary = DictionaryLearner.Learn(rows, new() { AtomCount = 4, TargetNonzeros = 1, Starts = 3, Seed = 0 });
        return dictionary.Atoms.abs().amax([0L]).data<float>().ToArray();
    }
}
