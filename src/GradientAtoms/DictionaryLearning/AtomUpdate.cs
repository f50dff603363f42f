using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace GradientAtoms.DictionaryLearning;

/// <summary>
/// Atoms for fixed codes: block-coordinate descent over the sphere (Mairal, Bach, Ponce and Sapiro 2010, algorithm 2, with norms
/// of exactly 1). With C = AᵀX and B = AᵀA the best d_k, all others fixed, has the direction of C_k − Σ_{j≠k} B_kj d_j.
/// </summary>
internal static class AtomUpdate
{
    private const int BlockSize = 2048;
    private const int ColumnBlock = 512;

    /// <summary>Replaces the atoms in place, each once a sweep. Atoms without a document stay as they are.</summary>
    /// <param name="rows"><c>[N, k]</c>.</param>
    /// <param name="codes">The codes of each row.</param>
    /// <param name="atoms"><c>[K, k]</c>, row-major.</param>
    /// <param name="size">k.</param>
    /// <param name="sweeps">Sweeps over the atoms.</param>
    public static void Run(Tensor rows, RowCodes[] codes, float[] atoms, int size, int sweeps)
    {
        var atomCount = atoms.Length / size;
        var weights = WeightedRows(rows, codes, atomCount); // [K, k]
        var neighbours = Neighbours(codes, atomCount);
        var candidate = new float[size];
        for (var sweep = 0; sweep < sweeps; sweep++)
        {
            for (var atom = 0; atom < atomCount; atom++)
            {
                if (neighbours[atom].Count == 0)
                    continue;
                weights.AsSpan(atom * size, size).CopyTo(candidate);
                foreach (var (other, product) in neighbours[atom])
                {
                    if (other != atom)
                        Spans.AddScaled(candidate, atoms.AsSpan(other * size, size), -product);
                }

                var norm = Math.Sqrt(Spans.Dot<float>(candidate, candidate));
                if (norm < 1e-12)
                    continue;
                var target = atoms.AsSpan(atom * size, size);
                target.Clear();
                Spans.AddScaled(target, candidate, (float)(1 / norm));
            }
        }
    }

    /// <summary>C = AᵀX, <c>[K, k]</c> row-major. A document has a few codes only, so rows are added to the atoms they are of.</summary>
    /// <param name="rows"><c>[N, k]</c>.</param>
    /// <param name="codes">The codes of each row.</param>
    /// <param name="atomCount">K.</param>
    internal static float[] WeightedRows(Tensor rows, RowCodes[] codes, int atomCount)
    {
        using var scope = NewDisposeScope();
        var size = (int)rows.shape[1];
        var sums = new float[atomCount * size];
        for (var first = 0; first < codes.Length; first += BlockSize)
        {
            using var block = NewDisposeScope();
            var (start, count) = (first, Math.Min(BlockSize, codes.Length - first));
            var values = rows.narrow(0, start, count).to(ScalarType.Float32).cpu().contiguous();

            // By columns, so that the sums of a thread stay in its cache and no two threads write to one place.
            Parallel.For(0, (size + ColumnBlock - 1) / ColumnBlock, new ParallelOptions { MaxDegreeOfParallelism = get_num_threads() }, part =>
            {
                var (column, width) = (part * ColumnBlock, Math.Min(ColumnBlock, size - (part * ColumnBlock)));
                var entries = MemoryMarshal.Cast<byte, float>(values.bytes);
                for (var row = 0; row < count; row++)
                {
                    var rowCodes = codes[start + row];
                    var source = entries.Slice((row * size) + column, width);
                    for (var entry = 0; entry < rowCodes.Atoms.Length; entry++)
                        Spans.AddScaled(sums.AsSpan((rowCodes.Atoms[entry] * size) + column, width), source, (float)rowCodes.Values[entry]);
                }
            });
        }

        return sums;
    }

    /// <summary>B = AᵀA by row, where it is not zero, in ascending order: most atoms never meet in a document.</summary>
    private static List<(int Atom, float Product)>[] Neighbours(RowCodes[] codes, int atomCount)
    {
        var products = new double[atomCount * atomCount];
        foreach (var row in codes)
        {
            for (var i = 0; i < row.Atoms.Length; i++)
            {
                for (var j = 0; j < row.Atoms.Length; j++)
                    products[(row.Atoms[i] * atomCount) + row.Atoms[j]] += row.Values[i] * row.Values[j];
            }
        }

        var neighbours = new List<(int, float)>[atomCount];
        for (var atom = 0; atom < atomCount; atom++)
        {
            neighbours[atom] = [];
            for (var other = 0; other < atomCount; other++)
            {
                if (products[(atom * atomCount) + other] != 0)
                    neighbours[atom].Add((other, (float)products[(atom * atomCount) + other]));
            }
        }

        return neighbours;
    }
}
