using System.Runtime.InteropServices;
using GradientAtoms.DictionaryLearning;
using static TorchSharp.torch;

namespace GradientAtoms.Certificates;

/// <summary>What documents that a dictionary has not seen say of poles. One figure a pole; both are 0 where no unseen document encodes.</summary>
/// <param name="Agreements">Cosine of the codes that two dictionaries of disjoint thirds give the documents of the third that neither has seen, 0 to 1.</param>
/// <param name="Gains">Share of the unseen documents' energy that the pole's counterpart adds to what the other atoms reconstruct.</param>
internal sealed record SplitFigures(double[] Agreements, double[] Gains);

/// <summary>
/// Cuts documents into three thirds and learns a dictionary on each. An atom's counterpart in a third is the atom of largest
/// |cosine|. Each two thirds are compared by how their counterparts encode the remaining one; each third's counterparts are judged
/// by what they add to the reconstruction of the other two.
/// </summary>
internal static class SplitCheck
{
    private const int Parts = 3;
    private const int FewestDocuments = 8; // of a third

    /// <summary>Checks poles once.</summary>
    /// <param name="rows"><c>[N, k]</c>.</param>
    /// <param name="atoms"><c>[K, k]</c>: the atoms whose poles are checked.</param>
    /// <param name="poles">The poles.</param>
    /// <param name="rules">How a dictionary is learnt; its penalty is given. A third with few documents gets fewer atoms: half as many as documents.</param>
    /// <param name="seed">Of the cut and the starts.</param>
    /// <param name="cancellationToken">Looked at every round.</param>
    /// <returns>Null where there are too few documents to cut.</returns>
    public static SplitFigures? Run(Tensor rows, Tensor atoms, IReadOnlyList<PoleStatistic> poles, DictionaryOptions rules, long seed, CancellationToken cancellationToken)
    {
        var count = (int)rows.shape[0];
        if (count < Parts * FewestDocuments)
            return null;
        using var scope = NewDisposeScope();
        var order = Enumerable.Range(0, count).ToArray();
        RandomStream.Integers(seed, "cut").Shuffle(order);
        var part = new int[count]; // of each document
        for (var place = 0; place < count; place++)
            part[order[place]] = place % Parts;
        var sides = Enumerable.Range(0, Parts).Select(index => Learn(rows, atoms, part, index, rules with { Seed = RandomStream.Seed(seed, FormattableString.Invariant($"third/{index}")) }, cancellationToken)).ToArray();
        return new([.. poles.Select(pole => Agreement(sides, part, pole))], [.. poles.Select(pole => sides.Average(side => side.Gain(pole)))]);
    }

    private static Side Learn(Tensor rows, Tensor atoms, int[] part, int index, DictionaryOptions rules, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var own = rows[tensor(part.Select(other => other == index).ToArray())];
        using var dictionary = DictionaryLearner.Learn(own, rules with { AtomCount = Math.Min(rules.AtomCount, (int)own.shape[0] / 2), Starts = 1 }, null, cancellationToken);
        var unseen = Enumerable.Range(0, part.Length).Where(document => part[document] != index).ToArray();
        var others = rows.index_select(0, tensor(unseen.Select(document => (long)document).ToArray()));
        var codes = SparseCoder.Encode(others, dictionary.Atoms, new() { Sparsity = dictionary.Sparsity, Codes = rules.Codes }, null, cancellationToken).Codes;
        return new(Counterparts(atoms, dictionary.Atoms), unseen, codes, new(others, codes, dictionary.Atoms));
    }

    /// <summary>For each atom the one of largest |cosine| in another dictionary, with the cosine.</summary>
    internal static (int Atom, double Cosine)[] Counterparts(Tensor atoms, Tensor others)
    {
        using var scope = NewDisposeScope();
        var (count, size) = ((int)atoms.shape[0], (int)others.shape[0]);
        var cosines = MemoryMarshal.Cast<byte, double>(atoms.to(ScalarType.Float64).matmul(others.to(ScalarType.Float64).t()).cpu().contiguous().bytes);
        var found = new (int, double)[count];
        for (var atom = 0; atom < count; atom++)
        {
            var best = 0;
            for (var other = 1; other < size; other++)
            {
                if (Math.Abs(cosines[(atom * size) + other]) > Math.Abs(cosines[(atom * size) + best]))
                    best = other;
            }

            // What lies beyond is rounding, which depends on how a product is cut among threads.
            found[atom] = (best, Math.Round(cosines[(atom * size) + best], 6));
        }

        return found;
    }

    private static double Agreement(Side[] sides, int[] part, PoleStatistic pole)
    {
        double both = 0, one = 0, other = 0;
        for (var held = 0; held < Parts; held++)
        {
            var (left, right) = (sides[(held + 1) % Parts].Codes(pole), sides[(held + 2) % Parts].Codes(pole));
            one += left.Where(pair => part[pair.Key] == held).Sum(pair => pair.Value * pair.Value);
            other += right.Where(pair => part[pair.Key] == held).Sum(pair => pair.Value * pair.Value);
            both += left.Where(pair => part[pair.Key] == held).Sum(pair => pair.Value * right.GetValueOrDefault(pair.Key));
        }

        return one > 0 && other > 0 ? both / Math.Sqrt(one * other) : 0;
    }

    /// <summary>A third's dictionary and what it makes of the other two thirds.</summary>
    private sealed class Side((int Atom, double Cosine)[] counterparts, int[] documents, SparseCodes codes, CodingGains gains)
    {
        private readonly CodesByAtom _byAtom = codes.ByAtom();

        /// <summary>The unseen documents on a pole's counterpart, with the sizes of their codes.</summary>
        public Dictionary<int, double> Codes(PoleStatistic pole)
        {
            var (atom, sign) = Counterpart(pole);
            var (members, values) = (_byAtom.DocumentsOf(atom).ToArray(), _byAtom.CodesOf(atom).ToArray());
            return Enumerable.Range(0, members.Length).Where(place => Math.Sign(values[place]) == sign).ToDictionary(place => documents[members[place]], place => (double)Math.Abs(values[place]));
        }

        public double Gain(PoleStatistic pole)
        {
            var (atom, sign) = Counterpart(pole);
            return gains.Of(atom, sign);
        }

        private (int Atom, int Sign) Counterpart(PoleStatistic pole) => (counterparts[pole.Atom].Atom, counterparts[pole.Atom].Cosine < 0 ? -pole.Sign : pole.Sign);
    }
}
