using System.Runtime.InteropServices;
using GradientAtoms.DictionaryLearning;
using static TorchSharp.torch;

namespace GradientAtoms.Certificates;

/// <summary>What is compared between a pole and the poles of nulls.</summary>
/// <param name="Atom">Row of the dictionary.</param>
/// <param name="Sign">1 or −1.</param>
/// <param name="Documents">Documents with a code of that sign, less one of each group of near-duplicates.</param>
/// <param name="Separation">Mean over its top documents of the projection on the mean of the others, in standard deviations of all documents along it.</param>
/// <param name="Coherence">Mean pairwise cosine of the same documents, in the coordinates that were learnt from.</param>
internal sealed record PoleStatistic(int Atom, int Sign, int Documents, double Separation, double Coherence);

/// <summary>
/// Reads the poles' statistics out of rows and codes. The tested one is the separation: how far out a pole's document lies along
/// the mean of the pole's other documents. Coherence is not tested: where some directions carry much of the energy, poles of
/// chance along them are more coherent than a true group elsewhere. A document has no part in the direction that it is measured
/// along, nor has the one nearest to it: in many dimensions most of a null pole's coherence is each document with itself.
/// </summary>
internal static class PoleStatistics
{
    private const int TopDocuments = 20;
    private const int FewestDocuments = 4; // below there is no mean of the others to speak of

    /// <summary>The poles of enough documents, by atom and then + before −.</summary>
    /// <param name="rows"><c>[N, k]</c>, that were learnt from.</param>
    /// <param name="codes"><c>[N, K]</c>.</param>
    /// <param name="options">What counts as a pole.</param>
    public static IReadOnlyList<PoleStatistic> Of(Tensor rows, SparseCodes codes, CertificateOptions options)
    {
        using var scope = NewDisposeScope();
        var narrow = rows.to(ScalarType.Float32);
        var centred = narrow - narrow.mean([0L], keepdim: true);
        var covariance = centred.t().matmul(centred) / centred.shape[0]; // [k, k]
        var spread = centred.matmul(covariance); // x_i Σ, [N, k]
        var byAtom = codes.ByAtom();
        var minimum = Math.Max(FewestDocuments, options.MinimumSupport);
        var poles = new List<PoleStatistic>();
        for (var atom = 0; atom < codes.AtomCount; atom++)
        {
            var (documents, values) = (byAtom.DocumentsOf(atom).ToArray(), byAtom.CodesOf(atom).ToArray());
            foreach (var sign in (int[])[1, -1])
            {
                var members = Enumerable.Range(0, documents.Length).Where(place => Math.Sign(values[place]) == sign)
                    .OrderByDescending(place => Math.Abs(values[place])).ThenBy(place => documents[place])
                    .Select(place => documents[place]).ToArray();
                if (members.Length >= minimum && Measure(centred, spread, members, options.NearDuplicate) is var (count, separation, coherence) && count >= minimum)
                    poles.Add(new(atom, sign, count, separation, coherence));
            }
        }

        return poles;
    }

    // Members are sorted, the strongest first.
    private static (int Count, double Separation, double Coherence) Measure(Tensor centred, Tensor spread, int[] members, double nearDuplicate)
    {
        using var scope = NewDisposeScope();
        // Beyond twice the top, near-duplicates are not looked for: so large a pole does not depend on them.
        var looked = Math.Min(members.Length, 2 * TopDocuments);
        var places = tensor(members.Take(looked).Select(document => (long)document).ToArray(), device: centred.device);
        var some = centred.index_select(0, places);
        var products = MemoryMarshal.Cast<byte, float>(some.matmul(some.t()).cpu().contiguous().bytes).ToArray(); // x_i·x_j
        var crossed = MemoryMarshal.Cast<byte, float>(spread.index_select(0, places).matmul(some.t()).cpu().contiguous().bytes).ToArray(); // x_i Σ x_j
        double Cosine(int i, int j) => products[(i * looked) + j] / Math.Sqrt(Math.Max(double.Epsilon, (double)products[(i * looked) + i] * products[(j * looked) + j]));
        var kept = WithoutRepeats(looked, Cosine, nearDuplicate);
        var top = kept.Take(TopDocuments).ToArray();
        var count = members.Length - looked + kept.Count;
        if (top.Length < FewestDocuments)
            return (count, 0, 0);
        double separation = 0, coherence = 0;
        foreach (var document in top)
        {
            var nearest = top.Where(other => other != document).MaxBy(other => Cosine(document, other));
            var others = top.Where(other => other != document && other != nearest).ToArray();
            coherence += top.Where(other => other != document).Average(other => Cosine(document, other));
            var variance = others.Sum(left => others.Sum(right => (double)crossed[(left * looked) + right]));
            separation += others.Sum(other => (double)products[(document * looked) + other]) / Math.Sqrt(Math.Max(variance, double.Epsilon));
        }

        return (count, separation / top.Length, coherence / top.Length);
    }

    // A document and its near-duplicate are one observation. Three and more alike are a pole already: of each group one is left out, not all but one.
    private static List<int> WithoutRepeats(int count, Func<int, int, double> cosine, double nearDuplicate)
    {
        var (kept, leaders, hasRepeat) = (new List<int>(), new List<int>(), new HashSet<int>());
        for (var document = 0; document < count; document++)
        {
            var leader = leaders.FindIndex(earlier => cosine(document, earlier) >= nearDuplicate);
            if (leader < 0)
                leaders.Add(document);
            if (leader < 0 || !hasRepeat.Add(leader))
                kept.Add(document);
        }

        return kept;
    }
}
