using GradientAtoms.DictionaryLearning;
using static TorchSharp.torch;

namespace GradientAtoms.Atoms;

/// <summary>Where an atom lies on the map.</summary>
/// <param name="X">0 (left) to 1 (right).</param>
/// <param name="Y">0 (bottom) to 1 (top).</param>
public sealed record MapPoint(double X, double Y);

/// <summary>
/// Lays atoms out in two dimensions for a reader's eye: atoms close in direction, or used by the same documents, lie close.
/// Far distances and the axes mean nothing.
/// </summary>
/// <remarks>
/// Atoms are lines, not arrows: their sign is arbitrary. So direction enters as the squared cosine, and use as the cosine of
/// the absolute codes. Classical scaling of these similarities gives the start; the neighbour embedding of van der Maaten and
/// Hinton (2008, t-SNE) spreads it out. Everything is deterministic: no draw is made.
/// </remarks>
public static class AtomMap
{
    private const int RefinementRounds = 400;

    // Above this many atoms the quadratic refinement would take minutes, and its start is shown as it is.
    private const int RefinementLimit = 2_000;

    /// <summary>The map of a dictionary.</summary>
    /// <param name="atoms"><c>[K, k]</c>, one atom a row; rows need not have unit norm.</param>
    /// <param name="codes"><c>[N, K]</c>, the documents' codes; null where only directions count.</param>
    /// <returns>K points, in the order of the rows.</returns>
    /// <exception cref="ArgumentException">Shapes disagree.</exception>
    public static IReadOnlyList<MapPoint> Layout(Tensor atoms, Tensor? codes = null)
    {
        ArgumentNullException.ThrowIfNull(atoms);
        if (atoms.dim() != 2 || (codes is not null && (codes.dim() != 2 || codes.shape[1] != atoms.shape[0])))
        {
            throw new ArgumentException("atoms are [K, k] and codes [N, K]", nameof(atoms));
        }

        using var scope = NewDisposeScope();
        using var gradients = no_grad();
        var direction = Cosines(atoms).square(); // [K, K]
        return LayoutOf(codes is null ? direction : (direction + Cosines(codes.abs().t())) / 2);
    }

    /// <summary>The same for sparse codes.</summary>
    /// <param name="atoms"><c>[K, k]</c>.</param>
    /// <param name="codes"><c>[N, K]</c>.</param>
    /// <returns>K points, in the order of the rows.</returns>
    /// <exception cref="ArgumentException">Shapes disagree.</exception>
    public static IReadOnlyList<MapPoint> Layout(Tensor atoms, SparseCodes codes) => Layout(atoms, codes, [.. Enumerable.Range(0, codes.AtomCount)]);

    /// <summary>The same for some of the atoms.</summary>
    /// <param name="atoms"><c>[K, k]</c>.</param>
    /// <param name="codes"><c>[N, K]</c>.</param>
    /// <param name="rows">The atoms that are laid out, as rows of the one and columns of the other.</param>
    /// <returns>A point an atom, in the order of <paramref name="rows"/>.</returns>
    /// <exception cref="ArgumentException">Shapes disagree.</exception>
    public static IReadOnlyList<MapPoint> Layout(Tensor atoms, SparseCodes codes, IReadOnlyList<int> rows)
    {
        ArgumentNullException.ThrowIfNull(atoms);
        if (atoms.dim() != 2 || codes.AtomCount != atoms.shape[0])
        {
            throw new ArgumentException("atoms are [K, k] and codes [N, K]", nameof(atoms));
        }

        using var scope = NewDisposeScope();
        using var gradients = no_grad();
        var kept = tensor(rows.Select(row => (long)row).ToArray(), dtype: ScalarType.Int64);
        var use = UseCosines(codes).index_select(0, kept).index_select(1, kept);
        return LayoutOf((Cosines(atoms.index_select(0, kept)).square() + use) / 2);
    }

    /// <summary>The map of given similarities.</summary>
    /// <param name="similarity"><c>[K, K]</c>, symmetric, 1 on the diagonal, 0 to 1 elsewhere.</param>
    /// <returns>K points.</returns>
    internal static IReadOnlyList<MapPoint> LayoutOf(Tensor similarity)
    {
        var count = (int)similarity.shape[0];
        if (count < 3)
        {
            return [.. Enumerable.Range(0, count).Select(index => new MapPoint(count == 1 ? 0.5 : index, 0.5))];
        }

        using var scope = NewDisposeScope();
        var squaredDistances = ((1 - similarity) * 2).clamp(min: 0); // [K, K]
        var points = ClassicalScaling(squaredDistances);
        if (count <= RefinementLimit)
        {
            NeighbourEmbedding.Refine(points, squaredDistances.contiguous().data<double>().ToArray(), RefinementRounds);
        }

        return Fit(points);
    }

    /// <summary>Cosines of rows with one another, <c>[K, K]</c>, float64.</summary>
    internal static Tensor Cosines(Tensor rows)
    {
        using var scope = NewDisposeScope();
        var exact = rows.cpu().to(ScalarType.Float64);
        var unit = exact / exact.norm(1, keepdim: true).clamp(min: 1e-30);
        return unit.matmul(unit.t()).clamp(-1, 1).MoveToOuterDisposeScope(); // [K, K]
    }

    /// <summary>Cosines of the absolute codes of each two atoms, <c>[K, K]</c>: 1 where the same documents use them alike.</summary>
    internal static Tensor UseCosines(SparseCodes codes)
    {
        var count = codes.AtomCount;
        var products = new double[count * count];
        for (var document = 0; document < codes.DocumentCount; document++)
        {
            var atoms = codes.AtomsOf(document);
            var values = codes.CodesOf(document);
            for (var left = 0; left < atoms.Length; left++)
            {
                for (var right = 0; right < atoms.Length; right++)
                {
                    products[(atoms[left] * count) + atoms[right]] += Math.Abs((double)values[left] * values[right]);
                }
            }
        }

        using var scope = NewDisposeScope();
        var gram = tensor(products).reshape(count, count);
        var norms = gram.diagonal().sqrt().clamp(min: 1e-30);
        return (gram / norms.unsqueeze(0) / norms.unsqueeze(1)).clamp(0, 1).MoveToOuterDisposeScope();
    }

    /// <summary>Torgerson's scaling: the two leading eigenvectors of the doubly centred Gram matrix, times their roots.</summary>
    private static double[] ClassicalScaling(Tensor squaredDistances)
    {
        using var scope = NewDisposeScope();
        var rowMeans = squaredDistances.mean([1], keepdim: true);
        var gram = (squaredDistances - rowMeans - rowMeans.t() + squaredDistances.mean()) * -0.5; // [K, K]
        var (values, vectors) = linalg.eigh(gram);
        var count = (int)gram.shape[0];
        var points = new double[count * 2];
        for (var axis = 0; axis < 2; axis++)
        {
            var column = vectors.select(1, count - 1 - axis).contiguous().data<double>().ToArray();
            var length = Math.Sqrt(Math.Max(values[count - 1 - axis].item<double>(), 0));

            // An eigenvector's sign is the solver's whim: the largest entry is made positive.
            var sign = Math.Sign(column.MaxBy(Math.Abs));
            for (var point = 0; point < count; point++)
            {
                points[(point * 2) + axis] = column[point] * length * (sign == 0 ? 1 : sign);
            }
        }

        return points;
    }

    private static List<MapPoint> Fit(double[] points)
    {
        var count = points.Length / 2;
        var (left, right, bottom, top) = (double.MaxValue, double.MinValue, double.MaxValue, double.MinValue);
        for (var point = 0; point < count; point++)
        {
            (left, right) = (Math.Min(left, points[point * 2]), Math.Max(right, points[point * 2]));
            (bottom, top) = (Math.Min(bottom, points[(point * 2) + 1]), Math.Max(top, points[(point * 2) + 1]));
        }

        // One scale for both axes, so that distances stay comparable.
        var extent = Math.Max(Math.Max(right - left, top - bottom), 1e-12);
        return [.. Enumerable.Range(0, count).Select(point => new MapPoint(
            0.5 + ((points[point * 2] - ((left + right) / 2)) / extent),
            0.5 + ((points[(point * 2) + 1] - ((bottom + top) / 2)) / extent)))];
    }
}
