using GradientAtoms.Atoms;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Atoms;

public class AtomStructureTests
{
    [Fact]
    public void The_chance_of_so_many_together_is_that_of_counting_every_draw()
    {
        // 5 of 9 documents on the one, 4 on the other: all C(9, 4) draws.
        var counts = new int[5];
        for (var draw = 0; draw < 512; draw++)
        {
            if (int.PopCount(draw) == 4)
            {
                counts[int.PopCount(draw & 31)]++;
            }
        }

        for (var both = 0; both <= 4; both++)
        {
            Assert.Equal(counts.Skip(both).Sum() / (double)counts.Sum(), PolePairs.Tail(both, 5, 4, 9), 1e-12);
        }
    }

    [Fact]
    public void Poles_that_share_documents_are_found_those_of_one_atom_and_those_of_chance_are_not()
    {
        var random = new Random(1);
        int[] Draw(int count) => [.. Enumerable.Range(0, 400).OrderBy(_ => random.Next()).Take(count)];
        var whole = Draw(60);
        IReadOnlyList<int>[] poles = [whole, whole.Take(30).ToArray(), whole, Draw(50), Draw(40), Draw(20)];
        var pairs = PolePairs.Find(poles, [0, 1, 0, 2, 3, 4], 400);
        Assert.Equal([(0, 1), (1, 2)], pairs.Select(pair => (pair.First, pair.Second)).Order());
        Assert.Equal((30, 400.0 / 60, 0.5), (pairs[0].Together, pairs[0].Lift, pairs[0].Jaccard));
        Assert.All(pairs, pair => Assert.InRange(pair.Adjusted, pair.P, 1e-10));
    }

    [Fact]
    public void Of_200_tables_without_any_pair_at_most_a_few_have_one_listed()
    {
        var random = new Random(2);
        var wrong = 0;
        for (var table = 0; table < 200; table++)
        {
            var poles = Enumerable.Range(0, 12).Select(_ => (IReadOnlyList<int>)[.. Enumerable.Range(0, 100).Where(_ => random.Next(6) == 0)]).ToArray();
            wrong += PolePairs.Find(poles, [.. Enumerable.Range(0, 12)], 100).Count > 0 ? 1 : 0;
        }

        Assert.InRange(wrong, 0, 18); // .05 of them on average; 18 would be 2.6 standard deviations above
    }

    [Fact]
    public void A_tree_of_known_groups_has_the_mean_similarities_of_their_members()
    {
        // (.4 + .3 + .6 + .5) / 4 between the pairs, (.1 + .2 + .1 + .1) / 4 with the last.
        using var similarity = tensor(new double[] { 1, .95, .4, .3, .1, .95, 1, .6, .5, .2, .4, .6, 1, .9, .1, .3, .5, .9, 1, .1, .1, .2, .1, .1, 1 }).view(5, 5);
        var tree = AtomTree.Link(similarity);
        Assert.Equal([(0, 1, 2), (2, 3, 2), (5, 6, 4), (4, 7, 5)], tree.Merges.Select(merge => (Math.Min(merge.Left, merge.Right), Math.Max(merge.Left, merge.Right), merge.Size)));
        AssertClose([.95, .9, .45, .125], tree.Merges.Select(merge => merge.Similarity));
        Assert.Equal([[4], [0, 1], [2, 3]], tree.Groups(0.5).OrderBy(group => group.Count).ThenBy(group => group[0]));
        Assert.Equal(5, tree.Groups(0.96).Count);
        Assert.Equal([[0, 1, 2, 3, 4]], tree.Groups(0).Select(group => group.Order().ToArray()));
    }

    [Theory]
    [InlineData(40, 1)]
    [InlineData(3, 2)]
    [InlineData(1, 3)]
    public void The_chain_gives_the_merges_of_the_plain_search(int count, int seed)
    {
        using var scope = NewDisposeScope();
        using var atoms = randn([count, 5], generator: new Generator((ulong)seed));
        var tree = AtomTree.ByDirection(atoms);
        Assert.Equal(Math.Max(count - 1, 0), tree.Merges.Count);
        var unit = atoms.to(ScalarType.Float64) / atoms.to(ScalarType.Float64).norm(1, keepdim: true);
        var cosines = unit.matmul(unit.t()).abs().data<double>().ToArray();
        List<int[]> groups = [.. Enumerable.Range(0, count).Select(leaf => (int[])[leaf])];
        foreach (var merge in tree.Merges)
        {
            var (best, one, other) = Enumerable.Range(0, groups.Count).SelectMany(i => Enumerable.Range(0, i).Select(j => (Mean(groups[i], groups[j]), i, j))).Max();
            Assert.Equal(best, merge.Similarity, 1e-9);
            groups[other] = [.. groups[other], .. groups[one]];
            groups.RemoveAt(one);
            Assert.Contains(groups, group => group.Length == merge.Size);
        }

        double Mean(int[] left, int[] right) => left.SelectMany(i => right.Select(j => cosines[(i * count) + j])).Average();
    }

    [Fact]
    public void Equal_atoms_make_a_tree_that_never_turns_back()
    {
        using var atoms = ones([6, 3]);
        var tree = AtomTree.ByDirection(atoms);
        Assert.Equal([0, 1, 2, 3, 4, 5], tree.Groups(0.9).Single().Order());
        Assert.Equal(10, tree.Merges.SelectMany(merge => new[] { merge.Left, merge.Right }).Distinct().Count());
    }

    private static void AssertClose(double[] expected, IEnumerable<double> actual) => Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 1e-12));
}
