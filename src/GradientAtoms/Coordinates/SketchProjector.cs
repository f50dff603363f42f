using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace GradientAtoms.Coordinates;

/// <summary>
/// A seeded sparse Johnson–Lindenstrauss sketch (Kane and Nelson 2014, arXiv 1012.1577, the block construction): the k numbers of
/// a row lie in s blocks, and each coordinate is added to one number of each block with a random sign, over √s. Inner products are
/// kept on average, and a cosine is off by about 1/√k.
/// </summary>
/// <remarks>
/// Which numbers and signs a coordinate has is a hash of its position and the seed, so nothing of the sketch is stored. Sums run
/// over the coordinates in their order, row by row: a row's sketch has the same bits in every batch.
/// </remarks>
public sealed class SketchProjector
{
    // Four by default. More entries leave the variance of an inner product as it is and make its tails lighter: where two large coordinates meet, only a quarter of them does.
    private const int DefaultEntries = 4;
    private const int TileColumns = 16_384;

    private readonly ulong _seed;
    private readonly int _entries;

    /// <summary>Makes a sketch.</summary>
    /// <param name="size">Numbers a row, k, above 0.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="name">Of the stream of random numbers.</param>
    /// <param name="entries">Numbers that a coordinate is added to, s, at most k: with fewer it is quicker, and a rare inner product is further off.</param>
    public SketchProjector(int size, long seed, string name = "sketch", int entries = DefaultEntries)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(entries, 1);
        Size = size;
        _seed = (ulong)RandomStream.Seed(seed, name);
        _entries = Math.Min(entries, size);
    }

    /// <summary>Numbers a row, k.</summary>
    public int Size { get; }

    /// <summary>Sketches rows.</summary>
    /// <param name="rows"><c>[n, d]</c>, float32, on the CPU.</param>
    /// <returns><c>[n, k]</c>, float32, on the CPU. The caller owns it.</returns>
    public Tensor Apply(Tensor rows)
    {
        using var scope = NewDisposeScope();
        var (input, sketches) = (rows.contiguous(), zeros([rows.shape[0], Size], dtype: ScalarType.Float32));
        var (places, signs) = (new int[TileColumns * _entries], new float[TileColumns * _entries]);
        for (var first = 0L; first < rows.shape[1]; first += TileColumns)
        {
            var count = (int)Math.Min(TileColumns, rows.shape[1] - first);
            Draw(first, count, places, signs);
            Parallel.For(0, (int)rows.shape[0], new ParallelOptions { MaxDegreeOfParallelism = get_num_threads() }, row =>
            {
                using var ofThread = NewDisposeScope();
                Add(MemoryMarshal.Cast<byte, float>(input[row].narrow(0, first, count).bytes), MemoryMarshal.Cast<byte, float>(sketches[row].bytes), places, signs);
            });
        }

        return sketches.div_(Math.Sqrt(_entries)).MoveToOuterDisposeScope();
    }

    private void Add(ReadOnlySpan<float> source, Span<float> target, int[] places, float[] signs)
    {
        for (int column = 0, entry = 0; column < source.Length; column++)
        {
            var value = source[column];
            for (var i = 0; i < _entries; i++, entry++)
            {
                target[places[entry]] += signs[entry] * value;
            }
        }
    }

    // Entry i of a coordinate lies in block i of the numbers, so that the entries of a coordinate never meet.
    private void Draw(long first, int count, int[] places, float[] signs)
    {
        for (int column = 0, entry = 0; column < count; column++)
        {
            for (var i = 0; i < _entries; i++, entry++)
            {
                var bits = Hash((ulong)(((first + column) * _entries) + i));
                var (begin, end) = ((long)Size * i / _entries, (long)Size * (i + 1) / _entries);
                places[entry] = (int)(begin + (long)(((bits >> 32) * (ulong)(end - begin)) >> 32));
                signs[entry] = (bits & 1) == 0 ? 1 : -1;
            }
        }
    }

    // SplitMix64 (Steele, Lea and Flood 2014) at a position of its stream.
    private ulong Hash(ulong position)
    {
        unchecked
        {
            var z = _seed + ((position + 1) * 0x9E3779B97F4A7C15);
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            return z ^ (z >> 31);
        }
    }
}
