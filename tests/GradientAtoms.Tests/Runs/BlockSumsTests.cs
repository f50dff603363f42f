using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Stages;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Runs;

/// <summary>Sums over blocks in a fixed tree, in numbers whose order of addition shows.</summary>
public sealed class BlockSumsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static Tensor Leaf(int block) => tensor(new[] { Math.Sin(block) * Math.Pow(10, block % 7), 0.1 * block, -1e16 / (block + 1) });

    private T In<T>(string run, Func<BlockStore, T> work)
    {
        using var scope = NewDisposeScope();
        using var folder = RunFolder.Create(_folder[run]);
        T? result = default;
        new StageRunner(folder).Run(new Stage { Name = "sums", Run = context => result = work(context.Blocks("sums")) });
        return result!;
    }

    private static void Add(BlockStore store, BlockRange range)
    {
        for (var block = range.First; block < range.End; block++)
        {
            using var leaf = Leaf(block);
            new BlockSums(store).Add(block, new Dictionary<string, Tensor>(StringComparer.Ordinal) { ["x"] = leaf }, block + 1, []);
        }
    }

    private static (double[] Sum, long Count, int[] Files) Total(BlockStore store)
    {
        var (sums, count) = new BlockSums(store).Total();
        return (sums["x"].data<double>().ToArray(), count, [.. store.All.Select(block => block.Id)]);
    }

    [Fact]
    public void A_file_has_a_number_of_its_own_for_every_place_in_the_tree()
    {
        var seen = new HashSet<int>();
        for (var level = 0; level < 6; level++)
        {
            for (var index = 0; index < 32 >> level; index++)
            {
                var id = BlockSums.IdOf(level, index);
                Assert.True(seen.Add(id));
                Assert.Equal(new BlockRange(index << level, (index + 1) << level), BlockSums.RangeOf(id));
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(13)]
    [InlineData(16)]
    [InlineData(21)]
    public void Parts_in_any_order_give_the_bits_of_the_whole(int blocks)
    {
        var whole = In($"whole-{blocks}", store =>
        {
            Add(store, new(0, blocks));
            return Total(store);
        });
        Assert.True(whole.Files.Length <= Math.Ceiling(Math.Log2(blocks + 1)));
        Assert.Equal(blocks * (blocks + 1L) / 2, whole.Count);

        var random = new Random(blocks);
        for (var trial = 0; trial < 5; trial++)
        {
            int[] cuts = [0, .. Enumerable.Range(0, 3).Select(_ => random.Next(blocks + 1)).Order(), blocks];
            var parts = cuts.Zip(cuts.Skip(1)).Select(pair => new BlockRange(pair.First, pair.Second)).ToArray();
            random.Shuffle(parts);
            var merged = In($"merged-{blocks}-{trial}", all =>
            {
                foreach (var part in parts)
                {
                    In($"part-{blocks}-{trial}-{part.First}-{part.End}", store =>
                    {
                        Add(store, part);
                        foreach (var sum in store.All.ToList())
                        {
                            all.Adopt(sum, store.PathOf(sum.Id));
                            store.Remove(sum.Id);
                        }

                        return 0;
                    });
                }

                new BlockSums(all).Combine();
                return Total(all);
            });
            Assert.Equal(whole.Files, merged.Files);
            Assert.Equal(whole.Sum, merged.Sum);
            Assert.Equal(whole.Count, merged.Count);
        }
    }

    [Fact]
    public void The_order_of_addition_shows_in_these_numbers()
    {
        using var scope = NewDisposeScope();
        var leaves = Enumerable.Range(0, 13).Select(Leaf).ToList();
        var oneByOne = leaves.Aggregate(zeros(3, dtype: ScalarType.Float64), (sum, leaf) => sum + leaf).data<double>().ToArray();
        var tree = In("tree", store =>
        {
            Add(store, new(0, 13));
            return Total(store);
        });
        Assert.NotEqual(oneByOne, tree.Sum);
        AssertTensor.Close(tensor(oneByOne), tensor(tree.Sum), relativeToMax: 1e-12);
    }

    [Fact]
    public void A_part_goes_on_behind_the_last_block_that_is_summed_and_has_its_rows()
    {
        In("resumed", store =>
        {
            Add(store, new(3, 9));
            var sums = new BlockSums(store);
            Assert.Equal(9, sums.Resume(new(3, 12), _ => true));
            Assert.True(sums.Covers(8));

            // [3], [4, 8), [8]: without the rows of block 5 only the first is of use.
            Assert.Equal(4, sums.Resume(new(3, 12), block => block != 5));
            Assert.Equal([BlockSums.IdOf(0, 3)], store.All.Select(block => block.Id));
            Assert.False(sums.Covers(8));
            Add(store, new(4, 9));
            Assert.Equal(9, sums.Resume(new(3, 12), _ => true));
            return 0;
        });
    }

    [Fact]
    public void Sums_that_a_kill_left_beside_their_own_sum_are_not_counted_twice()
    {
        var (clean, left) = In("killed", store =>
        {
            Add(store, new(0, 4));
            var clean = Total(store);
            using var leaf = Leaf(3);
            store.WriteFile(BlockSums.IdOf(0, 3), path => SafetensorsWriter.Write(path, [("x", leaf)]), new System.Text.Json.Nodes.JsonObject { ["count"] = 4 });
            Assert.Equal(4, new BlockSums(store).Resume(new(0, 4), _ => true));
            return (clean, Total(store));
        });
        Assert.Equal(clean.Files, left.Files);
        Assert.Equal(clean.Sum, left.Sum);
    }
}
