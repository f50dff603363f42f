using System.Numerics;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Stages;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>Some of the blocks of a plan, one after another.</summary>
/// <param name="First">The first block.</param>
/// <param name="End">The block behind the last.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct BlockRange(int First, int End)
{
    public int Count => End - First;

    /// <summary>For people: <c>blocks 10 to 19</c>.</summary>
    public override string ToString() => Count == 0 ? "no blocks" : Count == 1 ? $"block {First}" : $"blocks {First} to {End - 1}";
}

/// <summary>
/// Sums over blocks, added up in a fixed tree: blocks 0 and 1, blocks 2 and 3, the sums of these two, and so on. Which process has
/// computed a block, and when, changes no addition and so no bit. A file holds the sum of 2^l blocks; two that belong together
/// become one as soon as both are there, so that of B blocks about log2 B files are left.
/// </summary>
/// <param name="store">The files: number (2i + 1)·2^l − 1 is the sum of the i-th 2^l blocks, so that every pair (i, l) has one of its own.</param>
internal sealed class BlockSums(BlockStore store)
{
    private const string CountNote = "count";
    private const string StageNote = "notes";

    /// <summary>The files.</summary>
    public BlockStore Store => store;

    /// <summary>The number of the file of the <paramref name="index"/>-th 2^<paramref name="level"/> blocks.</summary>
    public static int IdOf(int level, int index) => (((2 * index) + 1) << level) - 1;

    /// <summary>The blocks that a file is the sum of.</summary>
    public static BlockRange RangeOf(int id)
    {
        var count = 1 << BitOperations.TrailingZeroCount(id + 1);
        var first = (id + 1 - count) / 2;
        return new(first, first + count);
    }

    /// <summary>Whether some file has a block in its sum.</summary>
    public bool Covers(int block) => store.All.Any(sum => RangeOf(sum.Id) is var range && range.First <= block && block < range.End);

    /// <summary>
    /// The block up to which a range is summed, every block of which is there. Sums behind it, and those that have gone into larger
    /// ones, are removed.
    /// </summary>
    /// <param name="range">The blocks that shall be summed.</param>
    /// <param name="isThere">Whether a block's rows are there: a sum without its rows is of no use.</param>
    /// <returns>The first block that is to be computed.</returns>
    public int Resume(BlockRange range, Func<int, bool> isThere)
    {
        var (next, kept) = (range.First, new HashSet<int>());
        while (store.All.Where(sum => RangeOf(sum.Id) is var found && found.First == next && found.End <= range.End).MaxBy(sum => RangeOf(sum.Id).Count) is { } longest
            && Enumerable.Range(next, RangeOf(longest.Id).Count).All(isThere))
        {
            kept.Add(longest.Id);
            next = RangeOf(longest.Id).End;
        }

        foreach (var sum in store.All.Where(sum => !kept.Contains(sum.Id)).ToList())
        {
            store.Remove(sum.Id);
        }

        return next;
    }

    /// <summary>What the stage had noted when the last of the sums was written, or null.</summary>
    public JsonNode? LastNotes() => store.All.MaxBy(sum => RangeOf(sum.Id).End)?.Notes?[StageNote];

    /// <summary>Adds the sum of a block: to those of its neighbours where they are there, and to the disk.</summary>
    /// <param name="block">The block.</param>
    /// <param name="sums">Its sums by name, float64, all of one set of names. They are changed.</param>
    /// <param name="count">What they count.</param>
    /// <param name="notes">Of the stage, so far.</param>
    public void Add(int block, IReadOnlyDictionary<string, Tensor> sums, long count, JsonObject notes)
    {
        var (level, index, parts) = (0, block, new List<int>());
        while (index % 2 == 1 && store.Has(IdOf(level, index - 1)))
        {
            var left = IdOf(level, index - 1);
            count += AddFile(left, sums);
            parts.Add(left);
            (level, index) = (level + 1, index / 2);
        }

        Write(IdOf(level, index), sums, count, notes);
        parts.ForEach(store.Remove);
    }

    /// <summary>Adds up what belongs together, where sums came from several processes.</summary>
    public void Combine()
    {
        while (Pair() is var (left, right, parent) && parent >= 0)
        {
            using var scope = NewDisposeScope();
            var sums = Read(left);
            var count = Count(left) + AddFile(right, sums);
            Write(parent, sums, count, (store[right].Notes?[StageNote] as JsonObject)?.DeepClone() as JsonObject ?? []);
            store.Remove(left);
            store.Remove(right);
        }
    }

    /// <summary>The sums of all the blocks. The caller owns the tensors.</summary>
    public (Dictionary<string, Tensor> Sums, long Count) Total()
    {
        var files = store.All.Select(sum => sum.Id).OrderBy(id => RangeOf(id).First).ToList();
        var total = Read(files[0]);
        var count = Count(files[0]) + files.Skip(1).Sum(id => AddFile(id, total));
        return (total, count);
    }

    // Two files whose sum is a third one's.
    private (int Left, int Right, int Parent) Pair()
    {
        foreach (var id in store.All.Select(sum => sum.Id))
        {
            var level = BitOperations.TrailingZeroCount(id + 1);
            var index = RangeOf(id).First >> level;
            if (index % 2 == 0 && store.Has(IdOf(level, index + 1)))
            {
                return (id, IdOf(level, index + 1), IdOf(level + 1, index / 2));
            }
        }

        return (-1, -1, -1);
    }

    private void Write(int id, IReadOnlyDictionary<string, Tensor> sums, long count, JsonObject notes) => store.WriteFile(
        id,
        path => SafetensorsWriter.Write(path, sums.Select(pair => (pair.Key, pair.Value))),
        new JsonObject { [CountNote] = count, [StageNote] = notes.DeepClone() });

    private Dictionary<string, Tensor> Read(int id)
    {
        using var file = SafetensorsFile.Open(store.PathOf(id));
        return file.Names.ToDictionary(name => name, file.ReadRaw, StringComparer.Ordinal);
    }

    // A tensor at a time: the sums of a large model are large.
    private long AddFile(int id, IReadOnlyDictionary<string, Tensor> sums)
    {
        using var file = SafetensorsFile.Open(store.PathOf(id));
        foreach (var (name, sum) in sums)
        {
            using var other = file.ReadRaw(name);
            sum.add_(other);
        }

        return Count(id);
    }

    private long Count(int id) => (long)store[id].Notes![CountNote]!;
}
