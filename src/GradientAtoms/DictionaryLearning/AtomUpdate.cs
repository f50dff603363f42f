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

    private static float[] WeightedRows(Tensor rows, RowCodes[] codes, int atomCount)
    {
        using var scope = NewDisposeScope();
        var sum = zeros([atomCount, rows.shape[1]], ScalarType.Float32, rows.device);
        for (var first = 0; first < codes.Length; first += BlockSize)
        {
            using var block = NewDisposeScope();
            var count = Math.Min(BlockSize, codes.Length - first);
            var dense = zeros([count, atomCount], ScalarType.Float32);
            var entries = MemoryMarshal.Cast<byte, float>(dense.bytes);
            for (var row = 0; row < count; row++)
            {
                var rowCodes = codes[first + row];
                for (var entry = 0; entry < rowCodes.Atoms.Length; entry++)
                    entries[(row * atomCount) + rowCodes.Atoms[entry]] = (float)rowCodes.Values[entry];
            }

            sum.addmm_(dense.to(rows.device).t(), rows.narrow(0, first, count).to(ScalarType.Float32), 1, 1);
        }

        return MemoryMarshal.Cast<byte, float>(sum.cpu().contiguous().bytes).ToArray();
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
