using System.Runtime.InteropServices;

namespace GradientAtoms.Confounders;

/// <summary>How confounders are weighed.</summary>
internal sealed record ConfounderOptions
{
    /// <summary>Shuffles of the codes that chance is told from.</summary>
    public int Draws { get; init; } = 99;

    /// <summary>Stretches that a number is cut into, at most.</summary>
    public int Stretches { get; init; } = 4;

    /// <summary>Documents of a stretch, at least.</summary>
    public int StretchDocuments { get; init; } = 4;

    /// <summary>The share of the codes' variance from which a pole is marked as only the confounder.</summary>
    public double Mark { get; init; } = 0.5;

    /// <summary>Where the shuffles come from.</summary>
    public long Seed { get; init; }
}

/// <summary>What a pole's confounders came out as.</summary>
/// <param name="Shares">Every confounder that varies, the one that explains most first.</param>
/// <param name="Only">Those that explain at least the share that marks a pole, and more than in any shuffle.</param>
internal sealed record ConfounderFinding(IReadOnlyList<ConfounderShare> Shares, IReadOnlyList<string> Only);

/// <summary>
/// The share of the variance of a pole's codes that lies between the groups of a confounder: with y [N] the codes, 0 for all
/// documents that are not on the pole, R² = (Σ_g (Σ_{i∈g} y_i)²/n_g − (Σ y)²/N) / (Σ y² − (Σ y)²/N). A number is cut into up to
/// four stretches first, one cut after another where it gains most (a regression tree): so a pole of middling lengths is found,
/// and a transform of the number changes nothing.
/// </summary>
/// <remarks>
/// Groups that were cut to fit explain something of anything, the more the fewer documents a pole has. So the same is done with
/// the codes given to random documents, m is the mean of R² there, and what is reported is (R² − m)/(1 − m).
/// </remarks>
internal static class ConfounderTest
{
    /// <summary>Weighs the confounders of one pole.</summary>
    /// <param name="documents">Rows of the pole's documents, each once.</param>
    /// <param name="codes">Their codes, in the same order.</param>
    /// <param name="confounders">All of the same documents.</param>
    /// <param name="name">The pole, as the name of its random numbers.</param>
    /// <param name="options">How.</param>
    public static ConfounderFinding Weigh(ReadOnlySpan<int> documents, ReadOnlySpan<float> codes, IReadOnlyList<Confounder> confounders, string name, ConfounderOptions? options = null)
    {
        options ??= new();
        if (documents.Length != codes.Length)
            throw new ArgumentException($"{codes.Length} codes for {documents.Length} documents", nameof(codes));
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Draws, 1);
        Confounder[] varying = [.. confounders.Where(confounder => confounder.Varies)];
        if (varying.Length == 0 || documents.Length == 0)
            return new([], []);
        var count = varying[0].DocumentCount;
        if (varying.Any(confounder => confounder.DocumentCount != count))
            throw new ArgumentException("confounders of different documents", nameof(confounders));
        var fits = varying.Select(_ => default(Fit)).ToArray();
        for (var i = 0; i < varying.Length; i++)
            fits[i] = FitOf(varying[i], documents, codes, options);
        var (sums, largest) = (new double[varying.Length], new double[varying.Length]);
        var random = RandomStream.Integers(options.Seed, $"confounders/{name}");
        int[] shuffled = [.. Enumerable.Range(0, count)];
        for (var draw = 0; draw < options.Draws; draw++)
        {
            // The first few of a shuffle are a draw without replacement, from whatever order the last one has left.
            for (var place = 0; place < documents.Length; place++)
            {
                var other = random.Next(place, count);
                (shuffled[place], shuffled[other]) = (shuffled[other], shuffled[place]);
            }

            for (var i = 0; i < varying.Length; i++)
            {
                var share = FitOf(varying[i], shuffled.AsSpan(0, documents.Length), codes, options).Share;
                sums[i] += share;
                largest[i] = Math.Max(largest[i], share);
            }
        }

        var shares = new List<(ConfounderShare Share, bool IsOnly)>();
        for (var i = 0; i < varying.Length; i++)
        {
            var chance = sums[i] / options.Draws;
            var explained = chance < 1 ? Math.Max(0, (fits[i].Share - chance) / (1 - chance)) : 0;
            shares.Add((new(varying[i].Name, explained, chance, explained > 0 ? Names(varying[i], fits[i].Parts!) : null), explained >= options.Mark && fits[i].Share > largest[i]));
        }

        shares.Sort((one, other) => other.Share.Explained.CompareTo(one.Share.Explained) is not 0 and var order ? order : string.CompareOrdinal(one.Share.Name, other.Share.Name));
        return new([.. shares.Select(entry => entry.Share)], [.. shares.Where(entry => entry.IsOnly).Select(entry => entry.Share.Name)]);
    }

    private static Fit FitOf(Confounder confounder, ReadOnlySpan<int> documents, ReadOnlySpan<float> codes, ConfounderOptions options)
    {
        var (sum, squares) = (0d, 0d);
        var levels = new int[documents.Length];
        var values = new double[documents.Length];
        for (var i = 0; i < documents.Length; i++)
        {
            (levels[i], values[i]) = (confounder.Levels[documents[i]], codes[i]);
            sum += values[i];
            squares += values[i] * values[i];
        }

        Array.Sort(levels, values);
        var shared = sum * sum / confounder.DocumentCount;
        var total = squares - shared;
        if (total <= 1e-12 * squares)
            return default; // codes that are all alike have no variance to explain
        var parts = confounder.IsOrdered ? Stretches(confounder, levels, values, options) : Groups(confounder, levels, values);
        var between = parts.Sum(part => part.Energy) - shared;
        return new(Math.Clamp(between / total, 0, 1), parts);
    }

    // Where codes are more than on average: of groups those of most of it, the strongest first; of a number its stretches in their order, those that meet as one.
    private static string? Names(Confounder confounder, List<Part> parts)
    {
        var average = parts.Sum(part => part.Sum) / confounder.DocumentCount;
        Part[] raised = [.. parts.Where(part => part.Sum > average * part.Documents).OrderByDescending(part => part.Energy).ThenBy(part => part.First)];
        var (named, energy, whole) = (new List<(int First, int End)>(), 0d, raised.Sum(part => part.Energy));
        foreach (var part in raised)
        {
            if (energy >= 0.8 * whole && !confounder.IsOrdered)
                break;
            energy += part.Energy;
            named.Add((part.First, part.End));
        }

        if (confounder.IsOrdered)
        {
            named.Sort();
            for (var place = named.Count - 1; place > 0; place--)
            {
                if (named[place].First == named[place - 1].End)
                {
                    named[place - 1] = (named[place - 1].First, named[place].End);
                    named.RemoveAt(place);
                }
            }
        }

        return named.Count > 0 ? string.Join(", ", named.Take(3).Select(place => confounder.Describe(place.First, place.End))) + (named.Count > 3 ? ", …" : string.Empty) : null;
    }

    private static List<Part> Groups(Confounder confounder, int[] levels, double[] values)
    {
        var parts = new List<Part>();
        for (var from = 0; from < levels.Length;)
        {
            var (to, sum) = (from, 0d);
            for (; to < levels.Length && levels[to] == levels[from]; to++)
                sum += values[to];
            parts.Add(Part.Of(confounder, levels[from], levels[from] + 1, sum));
            from = to;
        }

        return parts;
    }

    private static List<Part> Stretches(Confounder confounder, int[] levels, double[] values, ConfounderOptions options)
    {
        var parts = new List<Part> { Part.Of(confounder, 0, confounder.Before.Length - 1, values.Sum()) };
        while (parts.Count < options.Stretches)
        {
            var best = parts.Select((part, place) => (Cut: BestCut(confounder, part, levels, values, options.StretchDocuments), Place: place)).MaxBy(entry => entry.Cut.Gain);
            if (best.Cut.Gain <= 0)
                break;
            var part = parts[best.Place];
            parts[best.Place] = Part.Of(confounder, part.First, best.Cut.At, best.Cut.Left);
            parts.Add(Part.Of(confounder, best.Cut.At, part.End, part.Sum - best.Cut.Left));
        }

        return parts;
    }

    // Between two documents of the pole the left sum does not change, and S_L²/n_L + S_R²/n_R is convex in n_L: the best cut lies at a document of the pole.
    private static (double Gain, int At, double Left) BestCut(Confounder confounder, Part part, int[] levels, double[] values, int least)
    {
        var before = confounder.Before;
        var (best, left) = ((Gain: 0d, At: 0, Left: 0d), 0d);
        var place = Array.BinarySearch(levels, part.First);
        place = place < 0 ? ~place : place;
        while (place > 0 && levels[place - 1] == part.First)
            place--;
        while (place < levels.Length && levels[place] < part.End)
        {
            var level = levels[place];
            Try(level);
            for (; place < levels.Length && levels[place] == level; place++)
                left += values[place];
            Try(level + 1);
        }

        return best;

        void Try(int at)
        {
            var (inLeft, inRight) = (before[at] - before[part.First], before[part.End] - before[at]);
            if (inLeft < least || inRight < least)
                return;
            var right = part.Sum - left;
            var gain = (left * left / inLeft) + (right * right / inRight) - part.Energy;
            if (gain > best.Gain)
                best = (gain, at, left);
        }
    }

    private readonly record struct Fit(double Share, List<Part>? Parts);

    /// <summary>Levels from First to before End: their documents, the sum of the pole's codes there, and sum²/documents.</summary>
    [StructLayout(LayoutKind.Auto)]
    private readonly record struct Part(int First, int End, int Documents, double Sum)
    {
        public double Energy => Sum * Sum / Documents;

        public static Part Of(Confounder confounder, int first, int end, double sum) => new(first, end, confounder.Before[end] - confounder.Before[first], sum);
    }
}
