using System.Runtime.InteropServices;
using GradientAtoms.Coordinates;
using static TorchSharp.torch;

namespace GradientAtoms.DictionaryLearning;

/// <summary>
/// Atoms for fixed codes: block-coordinate descent over the sphere (Mairal, Bach, Ponce and Sapiro 2010, algorithm 2, with norms
/// of exactly 1). With C = AᵀX and B = AᵀA the best d_k, all others fixed, has the direction of C_k − Σ_{j≠k} B_kj d_j. Both sums
/// are kept up to date while documents change their codes.
/// </summary>
/// <param name="atomCount">K.</param>
/// <param name="size">k.</param>
internal sealed class AtomUpdate(int atomCount, int size)
{
    private const int ColumnBlock = 512;
    private const double Nothing = 1e-12; // what is left of a product when its documents have been taken out again

    private readonly float[] _weighted = new float[atomCount * size]; // C = AᵀX, [K, k]
    private readonly double[] _products = new double[atomCount * atomCount]; // B = AᵀA, [K, K]
    private readonly int[] _supports = new int[atomCount];

    /// <summary>Begins again with the codes of all documents: sums that were long kept up to date are off by their roundings.</summary>
    /// <param name="rows"><c>[N, k]</c>.</param>
    /// <param name="codes">The codes of each row.</param>
    public void Begin(IRowSource rows, RowCodes[] codes)
    {
        Array.Clear(_weighted);
        Array.Clear(_products);
        Array.Clear(_supports);
        Change(rows, 0, [], codes);
    }

    /// <summary>Takes documents' old codes out of the sums and their new ones in.</summary>
    /// <param name="rows"><c>[N, k]</c>.</param>
    /// <param name="begin">The first of the documents.</param>
    /// <param name="before">The codes that each had; empty: they had none.</param>
    /// <param name="after">The codes that each has now.</param>
    public void Change(IRowSource rows, int begin, ReadOnlySpan<RowCodes> before, ReadOnlySpan<RowCodes> after)
    {
        var (old, now) = (before.ToArray(), after.ToArray());
        foreach (var row in old)
            Count(row, -1);
        foreach (var row in now)
            Count(row, 1);
        for (var first = 0; first < now.Length; first += SparseCoder.BlockSize)
        {
            using var block = NewDisposeScope();
            var (start, count) = (first, Math.Min(SparseCoder.BlockSize, now.Length - first));
            var values = rows.ReadBlock(begin + start, count).to(ScalarType.Float32).cpu().contiguous();

            // By columns, so that the sums of a thread stay in its cache and no two threads write to one place. A document has a few codes only, so rows are added to the atoms they are of.
            Parallel.For(0, (size + ColumnBlock - 1) / ColumnBlock, new ParallelOptions { MaxDegreeOfParallelism = get_num_threads() }, part =>
            {
                var (column, width) = (part * ColumnBlock, Math.Min(ColumnBlock, size - (part * ColumnBlock)));
                var entries = MemoryMarshal.Cast<byte, float>(values.bytes);
                for (var row = 0; row < count; row++)
                {
                    var source = entries.Slice((row * size) + column, width);
                    if (old.Length > 0)
                        AddRow(source, old[start + row], -1, column);
                    AddRow(source, now[start + row], 1, column);
                }
            });
        }
    }

    /// <summary>Replaces the atoms in place, each once. Atoms without a document stay as they are.</summary>
    /// <param name="atoms"><c>[K, k]</c>, row-major.</param>
    public void Sweep(float[] atoms)
    {
        var candidate = new float[size];
        for (var atom = 0; atom < atomCount; atom++)
        {
            if (_supports[atom] == 0)
                continue;
            _weighted.AsSpan(atom * size, size).CopyTo(candidate);
            var products = _products.AsSpan(atom * atomCount, atomCount); // most atoms never meet in a document
            for (var other = 0; other < atomCount; other++)
            {
                if (other != atom && Math.Abs(products[other]) > Nothing)
                    Spans.AddScaled(candidate, atoms.AsSpan(other * size, size), -(float)products[other]);
            }

            var norm = Math.Sqrt(Spans.Dot<float>(candidate, candidate));
            if (norm < Nothing)
                continue;
            var target = atoms.AsSpan(atom * size, size);
            target.Clear();
            Spans.AddScaled(target, candidate, (float)(1 / norm));
        }
    }

    private void Count(RowCodes row, int sign)
    {
        for (var i = 0; i < row.Atoms.Length; i++)
        {
            _supports[row.Atoms[i]] += sign;
            for (var j = 0; j < row.Atoms.Length; j++)
                _products[(row.Atoms[i] * atomCount) + row.Atoms[j]] += sign * row.Values[i] * row.Values[j];
        }
    }

    private void AddRow(ReadOnlySpan<float> source, RowCodes codes, int sign, int column)
    {
        for (var entry = 0; entry < codes.Atoms.Length; entry++)
            Spans.AddScaled(_weighted.AsSpan((codes.Atoms[entry] * size) + column, source.Length), source, sign * (float)codes.Values[entry]);
    }
}
