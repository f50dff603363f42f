using GradientAtoms.DictionaryLearning;
using static TorchSharp.torch;

namespace GradientAtoms.Atoms;

/// <summary>Two groups of atoms that become one.</summary>
/// <param name="Left">A leaf (below the number of leaves, K) or an earlier merge (K + its index).</param>
/// <param name="Right">The other.</param>
/// <param name="Similarity">Mean similarity of the atoms of the one with those of the other.</param>
/// <param name="Size">Atoms in both.</param>
public sealed record TreeMerge(int Left, int Right, double Similarity, int Size);

/// <summary>A hierarchy of atoms by average linkage (Sokal and Michener 1958).</summary>
/// <param name="Leaves">Atoms, K.</param>
/// <param name="Merges">K − 1 of them, the most similar first.</param>
public sealed record AtomTree(int Leaves, IReadOnlyList<TreeMerge> Merges)
{
    /// <summary>By direction: |cosine|, since atoms are lines.</summary>
    /// <param name="atoms"><c>[K, k]</c>.</param>
    public static AtomTree ByDirection(Tensor atoms)
    {
        using var scope = NewDisposeScope();
        return Link(AtomMap.Cosines(atoms).abs());
    }

    /// <summary>By documents: the cosine of the atoms' absolute codes.</summary>
    /// <param name="codes"><c>[N, K]</c>.</param>
    /// <param name="rows">The atoms that are leaves, as columns of the codes.</param>
    public static AtomTree ByDocuments(SparseCodes codes, IReadOnlyList<int> rows)
    {
        using var scope = NewDisposeScope();
        var leaves = tensor(rows.Select(row => (long)row).ToArray(), dtype: ScalarType.Int64);
        return Link(AtomMap.UseCosines(codes).index_select(0, leaves).index_select(1, leaves));
    }

    /// <summary>Links whatever is similar, in K² steps: along a chain of nearest neighbours until two are each other's (Murtagh 1983).</summary>
    /// <param name="similarity"><c>[K, K]</c>, symmetric.</param>
    public static AtomTree Link(Tensor similarity)
    {
        ArgumentNullException.ThrowIfNull(similarity);
        var count = (int)similarity.shape[0];
        if (similarity.dim() != 2 || similarity.shape[1] != count)
        {
            throw new ArgumentException($"similarities are [K, K], got [{string.Join(", ", similarity.shape)}]", nameof(similarity));
        }

        double[] between;
        using (var scope = NewDisposeScope())
        {
            between = similarity.cpu().to(ScalarType.Float64).contiguous().data<double>().ToArray();
        }

        var (sizes, alive, levels) = (Enumerable.Repeat(1, count).ToArray(), Enumerable.Range(0, count).ToList(), Enumerable.Repeat(double.PositiveInfinity, count).ToArray());
        List<(int Left, int Right, double Similarity)> pairs = [];
        List<int> chain = [];
        while (alive.Count > 1)
        {
            if (chain.Count == 0)
            {
                chain.Add(alive[0]);
            }

            // Of equals the one before in the chain, else the first: the chain then always ends.
            var (top, before) = (chain[^1], chain.Count > 1 ? chain[^2] : -1);
            var nearest = before;
            foreach (var other in alive)
            {
                if (other != top && (nearest < 0 || between[(top * count) + other] > between[(top * count) + nearest]))
                {
                    nearest = other;
                }
            }

            if (nearest != before)
            {
                chain.Add(nearest);
                continue;
            }

            chain.RemoveRange(chain.Count - 2, 2);
            var (kept, gone) = (Math.Min(top, nearest), Math.Max(top, nearest));

            // A mean of equals may be rounded above them: a group is never closer than its parts are.
            levels[kept] = Math.Min(between[(kept * count) + gone], Math.Min(levels[kept], levels[gone]));
            pairs.Add((kept, gone, levels[kept]));
            foreach (var other in alive)
            {
                between[(kept * count) + other] = between[(other * count) + kept] =
                    ((sizes[kept] * between[(kept * count) + other]) + (sizes[gone] * between[(gone * count) + other])) / (sizes[kept] + sizes[gone]);
            }

            sizes[kept] += sizes[gone];
            alive.Remove(gone);
        }

        return new(count, Named(pairs, count));
    }

    /// <summary>The groups that are at least so similar, each with its leaves in the order of the tree; a lone atom is a group of one.</summary>
    /// <param name="similarity">Where the tree is cut.</param>
    public IReadOnlyList<IReadOnlyList<int>> Groups(double similarity)
    {
        var groups = Enumerable.Range(0, Leaves).Select(leaf => (List<int>?)[leaf]).ToList();
        foreach (var merge in Merges)
        {
            // Average linkage never turns back: from here on every merge is less similar.
            if (merge.Similarity < similarity)
            {
                break;
            }

            groups.Add([.. groups[merge.Left]!, .. groups[merge.Right]!]);
            groups[merge.Left] = groups[merge.Right] = null;
        }

        return [.. groups.OfType<List<int>>()];
    }

    /// <summary>
    /// The tree from the top, groups before what is in them. Of merges that follow one another within a step of similarity only the
    /// outermost is a group of its own, so that a reader sees levels and not K − 1 pairs.
    /// </summary>
    /// <param name="step">Similarity that a group within a group has more, at least.</param>
    /// <param name="least">Groups that join below are no groups.</param>
    public IReadOnlyList<TreeLine> Lines(double step = 0.1, double least = 0.1)
    {
        List<TreeLine> lines = [];
        var inside = Merges.SelectMany(merge => (int[])[merge.Left, merge.Right]).ToHashSet();
        var open = new Stack<(int Node, int Depth, double Above)>(Enumerable.Range(0, Leaves + Merges.Count).Where(node => !inside.Contains(node)).Select(node => (node, 0, least - step)));
        while (open.TryPop(out var next))
        {
            if (next.Node < Leaves)
            {
                lines.Add(new(next.Depth, next.Node, 1, 1));
                continue;
            }

            var merge = Merges[next.Node - Leaves];
            var isGroup = merge.Similarity >= next.Above + step;
            if (isGroup)
            {
                lines.Add(new(next.Depth, null, merge.Similarity, merge.Size));
            }

            var (depth, above) = isGroup ? (next.Depth + 1, merge.Similarity) : (next.Depth, next.Above);

            // Larger parts first; of a stack, last in.
            foreach (var part in ((int[])[merge.Left, merge.Right]).OrderBy(node => node < Leaves ? 1 : Merges[node - Leaves].Size).ThenByDescending(node => node))
            {
                open.Push((part, depth, above));
            }
        }

        return lines;
    }

    // The chain finds merges out of order, and names a group by its first leaf: in order, a group is its last merge.
    private static List<TreeMerge> Named(List<(int Left, int Right, double Similarity)> pairs, int count)
    {
        var (groups, sizes) = (Enumerable.Range(0, count).ToArray(), new List<int>(Enumerable.Repeat(1, count)));
        List<TreeMerge> merges = [];
        foreach (var (left, right, similarity) in pairs.OrderByDescending(pair => pair.Similarity))
        {
            var size = sizes[groups[left]] + sizes[groups[right]];
            merges.Add(new(groups[left], groups[right], similarity, size));
            sizes.Add(size);
            groups[left] = count + merges.Count - 1;
        }

        return merges;
    }
}

/// <summary>A line of a tree as people read it: a group, or an atom in it.</summary>
/// <param name="Depth">From 0.</param>
/// <param name="Atom">The leaf; null of a group.</param>
/// <param name="Similarity">At which the group joins.</param>
/// <param name="Size">Atoms in it.</param>
public sealed record TreeLine(int Depth, int? Atom, double Similarity, int Size);
