using GradientAtoms.Confounders;

namespace GradientAtoms.Atoms;

/// <summary>A direction that many documents share, with its poles. What is not computed is null, never zero.</summary>
public sealed record Atom
{
    /// <summary>Stable: from the atom's content, not from its rank.</summary>
    public required string Id { get; init; }

    /// <summary>Row of the dictionary.</summary>
    public required int Row { get; init; }

    /// <summary>Share of the energy of the unit rows that were learnt from, every document counting alike, that the atom explains (least-squares refit on the supports).</summary>
    public double? Share { get; init; }

    /// <summary>Mean pairwise cosine of the raw gradients of the 20 documents of largest |code|, signs mixed, as the reference has it.</summary>
    public double? CoherenceReference { get; init; }

    /// <summary>Share of the lifted direction's squared norm by adapted module, largest first; the shares add up to 1.</summary>
    public IReadOnlyList<ModuleShare>? Modules { get; init; }

    /// <summary>The poles that have documents.</summary>
    public required IReadOnlyList<Pole> Poles { get; init; }

    /// <summary>Whether one of its poles is certified; null where certificates were not computed.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public bool? HasCertified => Poles.Any(pole => pole.Certified is not null) ? Poles.Any(pole => pole.Certified == true) : null;
}

/// <summary>A part of the network and its share of an atom.</summary>
/// <param name="Name">The module, as the checkpoint spells it.</param>
/// <param name="Share">Of the lifted direction's squared norm.</param>
public sealed record ModuleShare(string Name, double Share);

/// <summary>The documents with codes of one sign on an atom: the unit that is a behaviour or is none.</summary>
public sealed record Pole
{
    /// <summary>The atom's id with <c>+</c> or <c>-</c>.</summary>
    public required string Id { get; init; }

    /// <summary>1 or −1: the sign of its documents' codes.</summary>
    public required int Sign { get; init; }

    /// <summary>How many documents encode on it.</summary>
    public required int Documents { get; init; }

    /// <summary>Whether it has enough documents to be reported as a behaviour.</summary>
    public bool Supported { get; init; } = true;

    /// <summary>Mean pairwise cosine of the whitened gradients of its top documents (20 at most).</summary>
    public double? Coherence { get; init; }

    /// <summary>The same for raw gradients.</summary>
    public double? CoherenceRaw { get; init; }

    /// <summary>Whether the pole is certified: more than chance, in unseen documents too, under other seeds and in parts of the data. See docs/certificates.md.</summary>
    public bool? Certified { get; init; }

    /// <summary>What speaks against a certificate, of <c>support</c>, <c>chance</c>, <c>run</c>, <c>gain</c>, <c>seeds</c>, <c>thirds</c>; empty where it is certified.</summary>
    public IReadOnlyList<string>? Reasons { get; init; }

    /// <summary>False discovery rate.</summary>
    public double? Fdr { get; init; }

    /// <summary>Family-wise rate: the rank among the best poles of the nulls.</summary>
    public double? FamilyWise { get; init; }

    /// <summary>How far out its top documents lie along the mean of its other ones, in standard deviations: what is tested.</summary>
    public double? Separation { get; init; }

    /// <summary>The median of that in null poles of as many documents.</summary>
    public double? SeparationNull { get; init; }

    /// <summary>The median coherence of null poles of as many documents, in the coordinates that were learnt from.</summary>
    public double? CoherenceNull { get; init; }

    /// <summary>Mean |cosine| of the atom to the closest one under other seeds.</summary>
    public double? Recurrence { get; init; }

    /// <summary>The |cosine| from which the atom has returned.</summary>
    public double? RecurrenceBar { get; init; }

    /// <summary>Mean |cosine| of the atom to the closest one learnt from resampled documents.</summary>
    public double? Resampled { get; init; }

    /// <summary>Cosine of the codes that dictionaries of two disjoint thirds give the third one, 0 to 1.</summary>
    public double? Agreement { get; init; }

    /// <summary>What 95 % of null poles of as many documents reach.</summary>
    public double? AgreementNull { get; init; }

    /// <summary>Share of the energy of unseen documents that the pole's counterpart adds to the reconstruction.</summary>
    public double? CodingGain { get; init; }

    /// <summary>What 95 % of null poles of as many documents reach.</summary>
    public double? CodingGainNull { get; init; }

    /// <summary>How much of the variance of the pole's codes things outside of what documents teach explain, most first; null where not computed. See docs/method.md, section 6.</summary>
    public IReadOnlyList<ConfounderShare>? Confounders { get; init; }

    /// <summary>The confounders that explain at least half of it: the pole may be no more than they. Null where not computed.</summary>
    public IReadOnlyList<string>? Only { get; init; }

    /// <summary>The documents with the largest codes, largest first.</summary>
    public required IReadOnlyList<PoleDocument> Top { get; init; }

    /// <summary>Words that set the pole's documents apart from all others, and from other poles first.</summary>
    public IReadOnlyList<string>? Keywords { get; init; }

    /// <summary>The same of their prompts alone.</summary>
    public IReadOnlyList<string>? PromptKeywords { get; init; }

    /// <summary>The same of their answers alone.</summary>
    public IReadOnlyList<string>? AnswerKeywords { get; init; }

    /// <summary>A name given by a person or a model.</summary>
    public string? Label { get; init; }
}

/// <summary>A document on a pole.</summary>
/// <param name="Id">The document's id.</param>
/// <param name="Code">Its code on the atom, with its sign.</param>
public sealed record PoleDocument(string Id, double Code);
