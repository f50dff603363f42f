using GradientAtoms.DictionaryLearning;
using static TorchSharp.torch;

namespace GradientAtoms.Certificates;

/// <summary>What is to be found by trying.</summary>
public enum SizeQuestion
{
    /// <summary>Nothing: both are given, or follow from the documents and the codes that are asked for.</summary>
    None,

    /// <summary>How many atoms, K.</summary>
    Atoms,

    /// <summary>The penalty on the codes, α.</summary>
    Sparsity,

    /// <summary>First how many atoms, then the penalty.</summary>
    Both,
}

/// <summary>How sizes are tried.</summary>
public sealed record SizeOptions
{
    /// <summary>What is to be found.</summary>
    public required SizeQuestion Question { get; init; }

    /// <summary>Atoms where they are not asked for, and where nothing stays at any size.</summary>
    public required int UsualAtoms { get; init; }

    /// <summary>The penalty, where it is given; null: that of <see cref="Nonzeros"/>.</summary>
    public double? Sparsity { get; init; }

    /// <summary>Codes a document while the atoms are sought; the penalties that are tried are those of a third of it to twice as many.</summary>
    public double Nonzeros { get; init; } = 4.2;

    /// <summary>What signs codes may have.</summary>
    public CodeSigns Codes { get; init; } = CodeSigns.Signed;

    /// <summary>Sizes beyond are not tried.</summary>
    public int LargestAtoms { get; init; } = 512;

    /// <summary>Dictionaries of rows without structure, of each size.</summary>
    public int Nulls { get; init; } = 2;

    /// <summary>Rounds of a dictionary: half of the usual ones, since sizes are only compared.</summary>
    public int Rounds { get; init; } = 15;

    /// <summary>A size with this share of the most that stay is as good: the smallest such is chosen.</summary>
    public double AsGood { get; init; } = 0.95;

    /// <summary>The run's seed.</summary>
    public required long Seed { get; init; }
}

/// <summary>A size to be tried.</summary>
/// <param name="Atoms">K.</param>
/// <param name="Nonzeros">Codes a document that the penalty is searched for; null: it is given.</param>
/// <param name="Sparsity">α, where it is given.</param>
/// <param name="ForPenalty">Whether penalties are compared, not numbers of atoms.</param>
public sealed record SizeTrial(int Atoms, double? Nonzeros, double? Sparsity, bool ForPenalty = false);

/// <summary>What became of a size.</summary>
/// <param name="Atoms">K.</param>
/// <param name="Sparsity">The penalty, α.</param>
/// <param name="Nonzeros">Codes a document, as they came out.</param>
public sealed record SizePoint(int Atoms, double Sparsity, double Nonzeros)
{
    /// <summary>Codes a document that were asked for; null where the penalty is given.</summary>
    public double? Target { get; init; }

    /// <summary>Whether penalties were compared, not numbers of atoms.</summary>
    public bool ForPenalty { get; init; }

    /// <summary>Poles of enough documents.</summary>
    public required int Poles { get; init; }

    /// <summary>Of them, those beyond chance: at an estimated false discovery rate of .05.</summary>
    public required int BeyondChance { get; init; }

    /// <summary>Those that return under a seed of their own.</summary>
    public required int Returning { get; init; }

    /// <summary>Those on which dictionaries of disjoint thirds agree, and which add to the reconstruction of unseen documents, more than null poles.</summary>
    public required int Agreeing { get; init; }

    /// <summary>Those of which all three hold.</summary>
    public required int Staying { get; init; }

    /// <summary>Different directions among these (no two of a cosine of √½ or more): what is compared. A behaviour that is split is counted once.</summary>
    public required int Distinct { get; init; }

    /// <summary>Share of the documents that are on a pole that stays.</summary>
    public required double DocumentShare { get; init; }
}

/// <summary>What was chosen.</summary>
/// <param name="Atoms">K.</param>
/// <param name="Sparsity">α, where it was asked for or given; null: that of the codes a document that were asked for.</param>
/// <param name="Why">In words.</param>
public sealed record SizeChoice(int Atoms, double? Sparsity, string Why);

/// <summary>
/// Finds how many atoms, and which penalty, leave the most different poles that are beyond chance and stay. A size is a dictionary, one under
/// another seed, one cut of the documents into thirds, and two nulls that are cut too: about seven starts of half the rounds. Sizes
/// double from a sixteenth of the largest on, until fewer than two thirds of the most are left; then those between the best and its
/// neighbours are tried. No label is looked at, and nothing is certified here: the dictionary that is then learnt is judged anew.
/// </summary>
public sealed class SizeSearch : IDisposable
{
    /// <summary>Penalties that are tried.</summary>
    public const int Penalties = 6;

    /// <summary>Dictionaries that a size is judged by, of one start and half of the rounds: itself, another seed, a cut, and two nulls with a cut each.</summary>
    public const int DictionariesOfTrial = 7;

    private const int Rungs = 5;
    private const int DocumentsPerAtom = 4;
    private const double GoesOn = 2.0 / 3;
    private const double SameDirection = 0.7071; // as of an atom that has returned

    private readonly Tensor _rows;
    private readonly SizeOptions _options;
    private NullRows? _nulls;

    /// <summary>Takes the rows.</summary>
    /// <param name="rows"><c>[N, k]</c>: what is learnt from. The caller keeps them until this is disposed.</param>
    /// <param name="options">What is asked.</param>
    public SizeSearch(Tensor rows, SizeOptions options) => (_rows, _options) = (rows, options);

    /// <summary>Trials at most.</summary>
    public int MostTrials => (AsksAtoms ? Rungs + 2 : 0) + (AsksSparsity ? Penalties : 0);

    private bool AsksAtoms => _options.Question is SizeQuestion.Atoms or SizeQuestion.Both;

    private bool AsksSparsity => _options.Question is SizeQuestion.Sparsity or SizeQuestion.Both;

    // Steps of √2, from a third of the usual codes to twice as many.
    private IReadOnlyList<double> Targets => [.. Enumerable.Range(-3, Penalties).Select(step => _options.Nonzeros * Math.Pow(2, step / 2.0))];

    /// <summary>The sizes of atoms that are tried first, ascending.</summary>
    /// <param name="documents">Documents, N.</param>
    /// <param name="largest">Sizes beyond are not tried.</param>
    public static IReadOnlyList<int> Ladder(int documents, int largest)
    {
        var top = Math.Clamp(documents / DocumentsPerAtom, 1, largest);
        return [.. Enumerable.Range(0, Rungs).Select(rung => Math.Max(1, (int)Math.Round(top / Math.Pow(2, Rungs - 1 - rung)))).Distinct()];
    }

    /// <summary>What to try next, by what has been found; null: enough.</summary>
    /// <param name="found">All points so far, in the order of the trials.</param>
    public SizeTrial? Next(IReadOnlyList<SizePoint> found)
    {
        var atoms = _options.UsualAtoms;
        if (AsksAtoms)
        {
            var ladder = Ladder((int)_rows.shape[0], _options.LargestAtoms);
            var sizes = found.Where(point => !point.ForPenalty).ToList();
            SizeTrial Of(int size) => new(size, _options.Sparsity is null ? _options.Nonzeros : null, _options.Sparsity);
            var most = sizes.Select(point => point.Distinct).DefaultIfEmpty(0).Max();
            var onLadder = sizes.TakeWhile((point, place) => place < ladder.Count && point.Atoms == ladder[place]).ToList();
            if (onLadder.Count == sizes.Count && sizes.Count < ladder.Count && (sizes.Count == 0 || sizes[^1].Distinct >= GoesOn * most))
                return Of(ladder[sizes.Count]);
            if (most > 0)
            {
                var peak = onLadder.First(point => point.Distinct == onLadder.Max(other => other.Distinct)).Atoms;
                foreach (var between in (int[])[(int)Math.Round(peak / Math.Sqrt(2)), (int)Math.Round(peak * Math.Sqrt(2))])
                {
                    if (between >= 1 && between <= ladder[^1] && sizes.All(point => point.Atoms != between))
                        return Of(between);
                }
            }

            atoms = Best(sizes)?.Atoms ?? _options.UsualAtoms;
        }

        if (!AsksSparsity)
            return null;
        foreach (var target in Targets)
        {
            if (!found.Any(point => point.Atoms == atoms && point.Target == target))
                return new(atoms, target, null, ForPenalty: true);
        }

        return null;
    }

    /// <summary>Tries a size.</summary>
    /// <param name="trial">The size.</param>
    /// <param name="cancellationToken">Looked at every round.</param>
    /// <returns>The same trial gives the same point, whatever was tried before.</returns>
    public SizePoint Measure(SizeTrial trial, CancellationToken cancellationToken = default)
    {
        using var scope = NewDisposeScope();
        var seed = RandomStream.Seed(_options.Seed, FormattableString.Invariant($"sizes/{trial.Atoms}/{trial.Nonzeros ?? trial.Sparsity}"));
        var rules = new DictionaryOptions
        {
            AtomCount = trial.Atoms,
            Sparsity = trial.Sparsity,
            TargetNonzeros = trial.Nonzeros ?? _options.Nonzeros,
            Codes = _options.Codes,
            Rounds = _options.Rounds,
            Seed = RandomStream.Seed(seed, "dictionary"),
            ToleratesDegenerate = true,
        };
        LearnedDictionary dictionary;
        try
        {
            dictionary = DictionaryLearner.Learn(_rows, rules, null, cancellationToken);
        }
        catch (DictionaryException)
        {
            // So many codes are not to be had of so few atoms: a size at which nothing stays.
            return new(trial.Atoms, 0, 0) { Target = trial.Nonzeros, ForPenalty = trial.ForPenalty, Poles = 0, BeyondChance = 0, Returning = 0, Agreeing = 0, Staying = 0, Distinct = 0, DocumentShare = 0 };
        }

        using var learnt = dictionary;
        _nulls ??= NullRows.Fit(_rows);
        var limits = new CertificateOptions { Nulls = _options.Nulls, NullSplits = _options.Nulls, Seeds = 1, Resamples = 0, Splits = 1, Seed = seed, IsEstimate = true };
        using var certifier = new Certifier(_rows, dictionary.Atoms, rules with { Sparsity = dictionary.Sparsity }, limits, _nulls);
        var poles = certifier.Certify(null, cancellationToken);
        bool Passes(PoleCertificate pole, params string[] parts) => !pole.Reasons.Any(reason => parts.Contains(reason, StringComparer.Ordinal));
        var staying = poles.Where(pole => Passes(pole, "chance", "seeds", "thirds", "gain")).ToList();
        return new(trial.Atoms, dictionary.Sparsity, dictionary.Codes.MeanNonzeros)
        {
            Target = trial.Nonzeros,
            ForPenalty = trial.ForPenalty,
            Poles = poles.Count,
            BeyondChance = poles.Count(pole => Passes(pole, "chance")),
            Returning = poles.Count(pole => Passes(pole, "seeds")),
            Agreeing = poles.Count(pole => Passes(pole, "thirds", "gain")),
            Staying = staying.Count,
            Distinct = Different(dictionary.Atoms, staying),
            DocumentShare = Covered(dictionary.Codes, staying),
        };
    }

    /// <summary>Chooses.</summary>
    /// <param name="found">All points, after <see cref="Next"/> has returned null.</param>
    public SizeChoice Choose(IReadOnlyList<SizePoint> found)
    {
        var (atoms, penalty, reasons) = (_options.UsualAtoms, _options.Sparsity, new List<string>());
        if (AsksAtoms)
        {
            var sizes = found.Where(point => !point.ForPenalty).ToList();
            atoms = Best(sizes)?.Atoms ?? atoms;
            reasons.Add(Best(sizes) is { } best
                ? FormattableString.Invariant($"of {sizes.Count} sizes from {sizes.Min(point => point.Atoms)} to {sizes.Max(point => point.Atoms)} atoms, {Most(sizes)}; {best.Atoms} atoms are the fewest that leave {best.Distinct}{Edge(best.Atoms == Ladder((int)_rows.shape[0], _options.LargestAtoms)[^1], "the largest size that was tried")}")
                : FormattableString.Invariant($"no pole stays at any of {sizes.Count} sizes: {atoms} atoms, as without trying"));
        }

        if (AsksSparsity)
        {
            var penalties = found.Where(point => point.Atoms == atoms && point.Target is not null).OrderBy(point => point.Target).ToList();
            var best = penalties.Count == 0 || penalties.Max(point => point.Distinct) == 0 ? null : penalties.First(point => point.Distinct >= _options.AsGood * penalties.Max(other => other.Distinct));
            penalty = best?.Sparsity;
            reasons.Add(best is not null
                ? FormattableString.Invariant($"of {penalties.Count} penalties, {Most(penalties)}; {best.Sparsity:g3} with {best.Nonzeros:0.0} codes a document is the largest that leaves {best.Distinct}{Edge(best == penalties[^1], "the smallest penalty that was tried")}")
                : FormattableString.Invariant($"no pole stays at any of {penalties.Count} penalties: that of {_options.Nonzeros:0.0} codes a document, as without trying"));
        }

        return new(atoms, penalty, string.Join("; ", reasons));
    }

    /// <inheritdoc/>
    public void Dispose() => _nulls?.Dispose();

    private static string Edge(bool isEdge, string what) => isEdge ? $" ({what})" : string.Empty;

    private static string Most(List<SizePoint> points) => FormattableString.Invariant($"at most {points.Max(point => point.Distinct)} different poles are beyond chance and stay");

    // Those of most documents first; one that is near to an earlier one is not counted.
    private static int Different(Tensor atoms, List<PoleCertificate> poles)
    {
        if (poles.Count == 0)
            return 0;
        using var scope = NewDisposeScope();
        var order = poles.OrderByDescending(pole => pole.Documents).ThenBy(pole => pole.Atom).ToArray();
        var directions = atoms.to(ScalarType.Float64).index_select(0, tensor(order.Select(pole => (long)pole.Atom).ToArray())) * tensor(order.Select(pole => (double)pole.Sign).ToArray()).unsqueeze(1);
        var cosines = directions.matmul(directions.t()).data<double>().ToArray();
        var counted = new List<int>();
        for (var pole = 0; pole < order.Length; pole++)
        {
            if (counted.All(earlier => cosines[(pole * order.Length) + earlier] < SameDirection))
                counted.Add(pole);
        }

        return counted.Count;
    }

    private static double Covered(SparseCodes codes, List<PoleCertificate> poles)
    {
        var signs = poles.Select(pole => (pole.Atom, pole.Sign)).ToHashSet();
        var covered = Enumerable.Range(0, codes.DocumentCount).Count(document =>
        {
            var atoms = codes.AtomsOf(document);
            var values = codes.CodesOf(document);
            for (var place = 0; place < atoms.Length; place++)
            {
                if (signs.Contains((atoms[place], Math.Sign(values[place]))))
                    return true;
            }

            return false;
        });
        return (double)covered / Math.Max(1, codes.DocumentCount);
    }

    private SizePoint? Best(List<SizePoint> points) => points.Count == 0 || points.Max(point => point.Distinct) == 0
        ? null
        : points.Where(point => point.Distinct >= _options.AsGood * points.Max(other => other.Distinct)).MinBy(point => point.Atoms);
}
