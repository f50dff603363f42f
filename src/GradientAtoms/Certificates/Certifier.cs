using GradientAtoms.DictionaryLearning;
using static TorchSharp.torch;

namespace GradientAtoms.Certificates;

/// <summary>A pole of a null.</summary>
/// <param name="Documents">As of a pole.</param>
/// <param name="Separation">As of a pole.</param>
/// <param name="Coherence">As of a pole.</param>
public sealed record NullPole(int Documents, double Separation, double Coherence)
{
    /// <summary>As of a pole; null in a null that was not cut.</summary>
    public double? Agreement { get; init; }

    /// <summary>As of a pole; null in a null that was not cut.</summary>
    public double? Gain { get; init; }
}

/// <summary>What one piece of the work found: a null, another seed, a resample or a cut. Small, and to be kept as it is.</summary>
public sealed record CertificateUnit
{
    /// <summary><c>null</c>, <c>seed</c>, <c>resample</c> or <c>cut</c>.</summary>
    public required string Kind { get; init; }

    /// <summary>Of a null: its poles.</summary>
    public IReadOnlyList<NullPole>? Poles { get; init; }

    /// <summary><c>[K]</c>: |cosine| of each atom to the closest one of the unit's dictionary; null of a cut.</summary>
    public IReadOnlyList<double>? Cosines { get; init; }

    /// <summary>Of a cut, one a pole.</summary>
    public IReadOnlyList<double>? Agreements { get; init; }

    /// <summary>Of a cut, one a pole.</summary>
    public IReadOnlyList<double>? Gains { get; init; }
}

/// <summary>
/// Tells poles from chance. The work is a list of units, so that it can be shown, stopped and continued; each unit depends on the
/// seed and its own place only. What a certificate says and does not say is in <c>docs/certificates.md</c>.
/// </summary>
public sealed class Certifier : IDisposable
{
    private const double BootstrapShare = 0.632;

    private readonly Tensor _rows;
    private readonly Tensor _atoms;
    private readonly DictionaryOptions _rules;
    private readonly CertificateOptions _options;
    private readonly IReadOnlyList<PoleStatistic> _poles;
    private readonly bool _ownsNulls;
    private NullRows? _nulls;

    /// <summary>Looks at the dictionary's poles.</summary>
    /// <param name="rows"><c>[N, k]</c>: the rows that it was learnt from. Taken over by reference: the caller keeps them until this is disposed.</param>
    /// <param name="atoms"><c>[K, k]</c>; likewise.</param>
    /// <param name="rules">How it was learnt; <see cref="DictionaryOptions.Sparsity"/> is the penalty that was used.</param>
    /// <param name="options">What is to be done.</param>
    /// <exception cref="ArgumentException">The penalty is not given.</exception>
    public Certifier(Tensor rows, Tensor atoms, DictionaryOptions rules, CertificateOptions options)
        : this(rows, atoms, rules, options, nulls: null)
    {
    }

    /// <summary>The same with nulls of these rows, which stay the caller's.</summary>
    internal Certifier(Tensor rows, Tensor atoms, DictionaryOptions rules, CertificateOptions options, NullRows? nulls)
    {
        var sparsity = rules.Sparsity ?? throw new ArgumentException("the penalty that was used is needed", nameof(rules));
        (_rows, _atoms, _options, _nulls, _ownsNulls) = (rows, atoms, options, nulls, nulls is null);
        _rules = rules with { Starts = 1, Gate = null, ToleratesDegenerate = true }; // the penalty's codes decide which poles there are
        var codes = SparseCoder.Encode(rows, atoms, new() { Sparsity = sparsity, Codes = rules.Codes }).Codes;
        _poles = PoleStatistics.Of(rows, codes, options);
    }

    /// <summary>Pieces of work.</summary>
    public int UnitCount => _options.Nulls + _options.Seeds + _options.Resamples + _options.Splits;

    /// <summary>Does a piece.</summary>
    /// <param name="unit">0 to <see cref="UnitCount"/> less 1, in any order.</param>
    /// <param name="cancellationToken">Looked at every round.</param>
    public CertificateUnit Run(int unit, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(unit);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(unit, UnitCount);
        foreach (var (kind, count) in ((string, int)[])[("null", _options.Nulls), ("seed", _options.Seeds), ("resample", _options.Resamples), ("cut", _options.Splits)])
        {
            if (unit < count)
            {
                var seed = RandomStream.Seed(_options.Seed, FormattableString.Invariant($"certificates/{kind}/{unit}"));
                return kind switch
                {
                    "null" => Null(seed, isCut: unit < _options.NullSplits, cancellationToken),
                    "seed" => new() { Kind = kind, Cosines = Return(_rows, seed, cancellationToken) },
                    "resample" => Resample(seed, cancellationToken),
                    _ => Cut(seed, cancellationToken),
                };
            }

            unit -= count;
        }

        throw new ArgumentOutOfRangeException(nameof(unit));
    }

    /// <summary>Does all of it.</summary>
    /// <param name="progress">Told after every piece.</param>
    /// <param name="cancellationToken">Looked at every round.</param>
    public IReadOnlyList<PoleCertificate> Certify(IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var units = new List<CertificateUnit>();
        for (var unit = 0; unit < UnitCount; unit++)
        {
            units.Add(Run(unit, cancellationToken));
            progress?.Report(new("certificates", unit + 1, UnitCount, "dictionaries"));
        }

        return Judge(units);
    }

    /// <summary>Puts the pieces together.</summary>
    /// <param name="units">All of them, in any order.</param>
    /// <returns>One a pole of enough documents, by atom and then + before −.</returns>
    public IReadOnlyList<PoleCertificate> Judge(IReadOnlyList<CertificateUnit> units) => CertificateJudge.Judge(_poles, units, _options);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_ownsNulls)
            _nulls?.Dispose();
    }

    private CertificateUnit Null(long seed, bool isCut, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        _nulls ??= NullRows.Fit(_rows);
        using var generator = RandomStream.Torch(seed, "rows");
        var rows = _nulls.Draw(generator);
        using var dictionary = DictionaryLearner.Learn(rows, _rules with { Seed = RandomStream.Seed(seed, "dictionary") }, null, cancellationToken);
        var poles = PoleStatistics.Of(rows, dictionary.Codes, _options);
        var figures = isCut ? SplitCheck.Run(rows, dictionary.Atoms, poles, _rules, RandomStream.Seed(seed, "cut"), cancellationToken) : null;
        return new()
        {
            Kind = "null",
            Poles = [.. poles.Select((pole, place) => new NullPole(pole.Documents, pole.Separation, pole.Coherence) { Agreement = figures?.Agreements[place], Gain = figures?.Gains[place] })],
            Cosines = Closest(dictionary.Atoms),
        };
    }

    private CertificateUnit Resample(long seed, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var order = Enumerable.Range(0, (int)_rows.shape[0]).Select(document => (long)document).ToArray();
        RandomStream.Integers(seed, "documents").Shuffle(order);
        var drawn = order.Take(Math.Max(1, (int)Math.Round(BootstrapShare * order.Length))).Order().ToArray();
        return new() { Kind = "resample", Cosines = Return(_rows.index_select(0, tensor(drawn, device: _rows.device)), seed, cancellationToken) };
    }

    private CertificateUnit Cut(long seed, CancellationToken cancellationToken)
    {
        var figures = SplitCheck.Run(_rows, _atoms, _poles, _rules, seed, cancellationToken);
        return new() { Kind = "cut", Agreements = figures?.Agreements, Gains = figures?.Gains };
    }

    private double[] Return(Tensor rows, long seed, CancellationToken cancellationToken)
    {
        var atoms = Math.Min(_rules.AtomCount, Math.Max(1, (int)rows.shape[0] / 2));
        using var dictionary = DictionaryLearner.Learn(rows, _rules with { AtomCount = atoms, Seed = RandomStream.Seed(seed, "dictionary") }, null, cancellationToken);
        return Closest(dictionary.Atoms);
    }

    private double[] Closest(Tensor atoms) => [.. SplitCheck.Counterparts(_atoms, atoms).Select(pair => Math.Abs(pair.Cosine))];
}
