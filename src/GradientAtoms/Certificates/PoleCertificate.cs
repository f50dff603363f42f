namespace GradientAtoms.Certificates;

/// <summary>What speaks for a pole and against it. What could not be computed is null.</summary>
public sealed record PoleCertificate
{
    /// <summary>Row of the dictionary.</summary>
    public required int Atom { get; init; }

    /// <summary>1 or −1.</summary>
    public required int Sign { get; init; }

    /// <summary>Documents that were learnt from, less one of each group of near-duplicates.</summary>
    public required int Documents { get; init; }

    /// <summary>How far out the pole's top documents lie along the mean of its other ones, in standard deviations of all documents along it: what is tested.</summary>
    public required double Separation { get; init; }

    /// <summary>The median of that in null poles of as many documents.</summary>
    public required double SeparationNull { get; init; }

    /// <summary>The median coherence of null poles of as many documents, in the coordinates that were learnt from.</summary>
    public required double CoherenceNull { get; init; }

    /// <summary>The false discovery rate at the smallest threshold that lets the pole pass.</summary>
    public required double Fdr { get; init; }

    /// <summary>The rank of the pole among the best poles of the nulls, (1 + nulls with a better one) / (1 + nulls).</summary>
    public required double FamilyWise { get; init; }

    /// <summary>Mean over other seeds of the |cosine| to the closest atom.</summary>
    public double? Recurrence { get; init; }

    /// <summary>The |cosine| from which the atom has returned: that of the closest atom of any null, or the stated smallest one.</summary>
    public double? RecurrenceBar { get; init; }

    /// <summary>Mean over resamples of the documents of the |cosine| to the closest atom.</summary>
    public double? Resampled { get; init; }

    /// <summary>Cosine of the codes that dictionaries of disjoint thirds give unseen documents, 0 to 1; mean over cuts.</summary>
    public double? Agreement { get; init; }

    /// <summary>What null poles of as many documents reach (a quantile).</summary>
    public double? AgreementNull { get; init; }

    /// <summary>Share of unseen documents' energy that the pole's counterpart adds; mean over cuts.</summary>
    public double? CodingGain { get; init; }

    /// <summary>What null poles of as many documents reach (a quantile).</summary>
    public double? CodingGainNull { get; init; }

    /// <summary>Whether nothing speaks against it.</summary>
    public bool Certified => Reasons.Count == 0;

    /// <summary>What speaks against it, of <c>chance</c> (false discovery rate), <c>run</c> (no pole of the run is beyond the nulls' best), <c>gain</c>, <c>seeds</c>, <c>thirds</c>; empty: certified.</summary>
    public required IReadOnlyList<string> Reasons { get; init; }
}
