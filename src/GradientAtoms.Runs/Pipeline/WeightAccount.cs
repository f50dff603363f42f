using GradientAtoms.Atoms;
using GradientAtoms.Localisation;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>How much of what the fine-tune did to the weights the atoms explain (docs/method.md, section 6).</summary>
public sealed record WeightAccount
{
    /// <summary><c>known</c>: the run tuned the adapter, and knows where it began. <c>assumed</c>: the adapter was given; B began at zero, and A is taken as not moved, since its start is not in the adapter.</summary>
    public required string Start { get; init; }

    /// <summary>‖θ_tuned − θ₀‖.</summary>
    public required double Norm { get; init; }

    /// <summary><c>euclidean</c>, and <c>curvature</c>: weighted with it.</summary>
    public required IReadOnlyList<WeightMetric> Metrics { get; init; }

    /// <summary>Of what was lifted.</summary>
    internal static WeightAccount? Of(LiftedChange? change, IReadOnlyList<Atom> atoms) => change is null ? null : new()
    {
        Start = change.Start.Kind,
        Norm = Math.Sqrt(change.Euclidean.Squared),
        Metrics = [Metric("euclidean", change.Euclidean, change, atoms), Metric("curvature", change.Curvature, change, atoms) with { EveryDocument = change.EveryDocument }],
    };

    private static WeightMetric Metric(string name, ChangeInMetric metric, LiftedChange change, IReadOnlyList<Atom> atoms)
    {
        var certified = atoms.Any(atom => atom.HasCertified is not null) ? atoms.Where(atom => atom.HasCertified == true).Select(atom => atom.Row).ToArray() : null;
        double Documents(int count) => metric.SpanShare([.. Enumerable.Range(change.Atoms, Math.Min(count, change.Documents))]);
        return new()
        {
            Name = name,
            Atoms = [.. atoms.Select(atom => new WeightShare(atom.Id, metric.Cosines[atom.Row], metric.Cosines[atom.Row] * metric.Cosines[atom.Row]))],
            All = metric.SpanShare([.. atoms.Select(atom => atom.Row)]),
            AllByDocuments = Documents(atoms.Count),
            CertifiedAtoms = certified?.Length,
            Certified = certified is null ? null : metric.SpanShare(certified),
            CertifiedByDocuments = certified is null ? null : Documents(certified.Length),
            MeanDocument = metric.SpanShare([change.Atoms + change.Documents]),
        };
    }
}

/// <summary>Shares of the squared change of the weights, in one metric.</summary>
public sealed record WeightMetric
{
    /// <summary><c>euclidean</c> or <c>curvature</c>.</summary>
    public required string Name { get; init; }

    /// <summary>Each atom alone, in the order of the list. Shares of atoms that lie close together do not add up.</summary>
    public required IReadOnlyList<WeightShare> Atoms { get; init; }

    /// <summary>In the span of all listed atoms.</summary>
    public required double All { get; init; }

    /// <summary>In the span of as many documents drawn at random: what so many directions explain of their own.</summary>
    public required double AllByDocuments { get; init; }

    /// <summary>Atoms with a certified pole; null where certificates were not computed.</summary>
    public int? CertifiedAtoms { get; init; }

    /// <summary>In the span of those.</summary>
    public double? Certified { get; init; }

    /// <summary>In the span of as many documents drawn at random.</summary>
    public double? CertifiedByDocuments { get; init; }

    /// <summary>Along the mean of all documents' directions.</summary>
    public required double MeanDocument { get; init; }

    /// <summary>In the span of all documents (where rows are centred, of their differences): no atom explains more. Only weighted with the curvature.</summary>
    public double? EveryDocument { get; init; }
}

/// <summary>An atom's part of the change.</summary>
/// <param name="Atom">Its id.</param>
/// <param name="Cosine">Of the change with the step towards the + pole: below 0 where the fine-tune went towards the − pole.</param>
/// <param name="Share">Its square.</param>
public sealed record WeightShare(string Atom, double Cosine, double Share);
