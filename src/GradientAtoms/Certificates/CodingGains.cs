using GradientAtoms.DictionaryLearning;
using static TorchSharp.torch;

namespace GradientAtoms.Certificates;

/// <summary>
/// What each pole adds to the reconstruction of documents. A document is refitted by least squares on the atoms S that it encodes
/// on; without atom k the fit explains c_k² / [(D_S D_Sᵀ)⁻¹]_kk less, c_k its coefficient.
/// </summary>
internal sealed class CodingGains
{
    private readonly double[] _plus;
    private readonly double[] _minus;

    /// <summary>Adds up over the documents.</summary>
    /// <param name="rows"><c>[N, k]</c>; stays the caller's.</param>
    /// <param name="codes"><c>[N, K]</c>, of these rows.</param>
    /// <param name="atoms"><c>[K, k]</c>; stays the caller's.</param>
    public CodingGains(Tensor rows, SparseCodes codes, Tensor atoms)
    {
        using var scope = NewDisposeScope();
        (_plus, _minus) = (new double[codes.AtomCount], new double[codes.AtomCount]);
        var (gram, energies) = (SparseCoder.Gram(atoms), SparseCoder.Energies(rows));
        var transposed = atoms.to(ScalarType.Float64).t();
        var products = new double[Math.Min(SparseCoder.BlockSize, codes.DocumentCount) * codes.AtomCount];
        for (var first = 0; first < codes.DocumentCount; first += SparseCoder.BlockSize)
        {
            var count = Math.Min(SparseCoder.BlockSize, codes.DocumentCount - first);
            SparseCoder.Products(rows, transposed, first, count, ScalarType.Float64, products);
            for (var document = first; document < first + count; document++)
                Add(codes.AtomsOf(document), codes.CodesOf(document), products.AsSpan((document - first) * codes.AtomCount, codes.AtomCount), gram, codes.AtomCount);
        }

        var total = Math.Max(energies.Sum(), double.Epsilon);
        for (var atom = 0; atom < codes.AtomCount; atom++)
            (_plus[atom], _minus[atom]) = (_plus[atom] / total, _minus[atom] / total);
    }

    /// <summary>A pole's gain, as a share of the documents' energy.</summary>
    public double Of(int atom, int sign) => sign > 0 ? _plus[atom] : _minus[atom];

    private void Add(ReadOnlySpan<int> used, ReadOnlySpan<float> values, ReadOnlySpan<double> products, double[] gram, int atomCount)
    {
        var size = used.Length;
        for (var place = 0; place < size; place++)
        {
            // Column `place` of the inverse; its inner product with the row's products is the coefficient.
            var column = new double[size];
            column[place] = 1;
            var matrix = new double[size, size];
            for (var i = 0; i < size; i++)
            {
                for (var j = 0; j <= i; j++)
                    matrix[i, j] = gram[(used[i] * atomCount) + used[j]];
            }

            Cholesky.Solve(matrix, column);
            var coefficient = 0d;
            for (var i = 0; i < size; i++)
                coefficient += column[i] * products[used[i]];
            var gain = coefficient * coefficient / column[place];
            if (values[place] > 0)
                _plus[used[place]] += gain;
            else
                _minus[used[place]] += gain;
        }
    }
}
