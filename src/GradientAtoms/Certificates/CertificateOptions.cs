namespace GradientAtoms.Certificates;

/// <summary>How poles are told from chance. The costs are in starts of the dictionary, which are most of the time.</summary>
public sealed record CertificateOptions
{
    /// <summary>Dictionaries learnt on structure-free rows, of one start each. Below 19 no rank can be as small as <see cref="MaximumRate"/>, and nothing is certified.</summary>
    public int Nulls { get; init; } = 20;

    /// <summary>Dictionaries learnt on the same rows under other seeds, of one start each.</summary>
    public int Seeds { get; init; } = 4;

    /// <summary>Dictionaries learnt on documents drawn without repetition, 63.2 % of them (as many different ones as a bootstrap has: repeated rows would make atoms of their own), of one start each.</summary>
    public int Resamples { get; init; } = 2;

    /// <summary>Cuts of the documents into three thirds. Each cut learns three dictionaries, one a third, of one start each: as much as one.</summary>
    public int Splits { get; init; } = 2;

    /// <summary>Nulls that are cut into thirds too, once each, for the level of chance.</summary>
    public int NullSplits { get; init; } = 4;

    /// <summary>The largest false discovery rate of a certified pole, and the largest family-wise rate of the best pole of a run in which anything is certified.</summary>
    public double MaximumRate { get; init; } = 0.05;

    /// <summary>Share of null poles of the same support that coding gain and agreement must be above.</summary>
    public double Level { get; init; } = 0.95;

    /// <summary>The smallest |cosine| at which an atom has returned: √½, half of the direction's energy. Where an atom of a null is closer, that is the bar.</summary>
    public double SmallestReturn { get; init; } = 0.7071;

    /// <summary>The share of the other seeds under which a certified atom returns, at least.</summary>
    public double ReturnShare { get; init; } = 0.75;

    /// <summary>Documents that a pole needs, at least 4, one of each group of near-duplicates left out.</summary>
    public int MinimumSupport { get; init; } = 4;

    /// <summary>Documents of a larger cosine are near-duplicates.</summary>
    public double NearDuplicate { get; init; } = 0.95;

    /// <summary>The run's seed.</summary>
    public required long Seed { get; init; }

    /// <summary>Whether false discovery rates are estimates, without the 1 that makes them hold of few nulls: where dictionaries are only compared.</summary>
    internal bool IsEstimate { get; init; }
}
