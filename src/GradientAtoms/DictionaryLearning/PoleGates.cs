using System.Runtime.InteropServices;
using GradientAtoms.Coordinates;
using static TorchSharp.torch;

namespace GradientAtoms.DictionaryLearning;

/// <summary>
/// Where atoms lie close together, the penalty explains a document by the nearest one alone, so that the documents of one behaviour
/// are split among poles. A gate undoes that: a document is of a pole where its product with the atom is at least a share of the
/// median product of the documents that the penalty gave the pole, whatever other atoms explain it too. Its code is the product.
/// </summary>
/// <remarks>
/// Gated codes are no longer the optimum of the dictionary's objective and do not add up to the document: they say what it is of,
/// and how strongly. The penalty's codes decide which poles there are; one of fewer documents than the minimum support stays shut.
/// </remarks>
public sealed class PoleGates
{
    private readonly float[] _least; // [K, 2]: what x·d must reach for the + pole, what −x·d must reach for the − pole

    private PoleGates(float[] least) => _least = least;

    /// <summary>Atoms, K.</summary>
    public int AtomCount => _least.Length / 2;

    /// <summary>Measures the gates on rows in memory.</summary>
    /// <inheritdoc cref="Fit(IRowSource, Tensor, SparseCodes, double, int)"/>
    public static PoleGates Fit(Tensor rows, Tensor atoms, SparseCodes codes, double share, int minimumSupport) =>
        Fit(SparseCoder.InMemory(rows), atoms, codes, share, minimumSupport);

    /// <summary>Measures the gates.</summary>
    /// <param name="rows"><c>[N, k]</c>.</param>
    /// <param name="atoms"><c>[K, k]</c>.</param>
    /// <param name="codes"><c>[N, K]</c>, of the rows by the penalty.</param>
    /// <param name="share">Of a pole's median product, above 0.</param>
    /// <param name="minimumSupport">Documents below which a pole stays shut.</param>
    public static PoleGates Fit(IRowSource rows, Tensor atoms, SparseCodes codes, double share, int minimumSupport)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(share);
        var atomCount = codes.AtomCount;
        var own = new List<float>[2 * atomCount]; // products of the documents that the penalty gave each pole
        for (var pole = 0; pole < own.Length; pole++)
            own[pole] = [];
        foreach (var (document, products) in Products(rows, atoms))
        {
            var of = codes.AtomsOf(document);
            var values = codes.CodesOf(document);
            for (var entry = 0; entry < of.Length; entry++)
                own[(2 * of[entry]) + (values[entry] > 0 ? 0 : 1)].Add(Math.Sign(values[entry]) * products.Span[of[entry]]);
        }

        // A median at or below zero says that the pole's documents are not along its atom: a gate there would let everything in.
        return new([.. own.Select(products => products.Count >= minimumSupport && Median(products) is > 0 and var median ? (float)(share * median) : float.PositiveInfinity)]);
    }

    /// <summary>The codes of rows in memory that pass.</summary>
    /// <inheritdoc cref="Encode(IRowSource, Tensor)"/>
    public SparseCodes Encode(Tensor rows, Tensor atoms) => Encode(SparseCoder.InMemory(rows), atoms);

    /// <summary>The codes that pass.</summary>
    /// <param name="rows"><c>[N, k]</c>, documents of the fit or others.</param>
    /// <param name="atoms"><c>[K, k]</c>, as fitted.</param>
    /// <returns><c>[N, K]</c>.</returns>
    public SparseCodes Encode(IRowSource rows, Tensor atoms)
    {
        var builder = new SparseCodes.Builder(AtomCount);
        foreach (var (_, products) in Products(rows, atoms))
        {
            for (var atom = 0; atom < AtomCount; atom++)
            {
                var product = products.Span[atom];
                if (product >= _least[2 * atom] || -product >= _least[(2 * atom) + 1])
                    builder.Add(atom, product);
            }

            builder.EndDocument();
        }

        return builder.Build();
    }

    /// <summary>The gates as float32 <c>[K, 2]</c>, + before −, infinite where shut. The caller owns it.</summary>
    public Tensor ToTensor() => tensor(_least, [AtomCount, 2], ScalarType.Float32);

    /// <summary>Gates that were kept.</summary>
    /// <param name="gates"><c>[K, 2]</c> float32, as <see cref="ToTensor"/> gives them.</param>
    public static PoleGates From(Tensor gates)
    {
        ArgumentNullException.ThrowIfNull(gates);
        return new(Values(gates));
    }

    // x·d of each document in turn, [K].
    private static IEnumerable<(int Document, ReadOnlyMemory<float> Products)> Products(IRowSource rows, Tensor atoms)
    {
        for (var first = 0; first < rows.RowCount; first += SparseCoder.BlockSize)
        {
            var (count, atomCount) = (Math.Min(SparseCoder.BlockSize, rows.RowCount - first), (int)atoms.shape[0]);
            var products = BlockProducts(rows, atoms, first, count);
            for (var row = 0; row < count; row++)
                yield return (first + row, products.AsMemory(row * atomCount, atomCount));
        }
    }

    private static float[] BlockProducts(IRowSource rows, Tensor atoms, int first, int count)
    {
        using var scope = NewDisposeScope();
        return Values(rows.ReadBlock(first, count).to(ScalarType.Float32).matmul(atoms.to(ScalarType.Float32).t()));
    }

    private static float[] Values(Tensor tensor)
    {
        using var dense = tensor.detach().cpu().contiguous();
        return MemoryMarshal.Cast<byte, float>(dense.bytes).ToArray();
    }

    private static float Median(List<float> values)
    {
        values.Sort();
        var half = values.Count / 2;
        return values.Count % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
    }
}
