namespace GradientAtoms.DictionaryLearning;

/// <summary>What signs codes may have.</summary>
public enum CodeSigns
{
    /// <summary>Both: an atom has two poles.</summary>
    Signed,

    /// <summary>None below zero: an atom has one pole.</summary>
    Nonnegative,
}

/// <summary>How a dictionary is learnt.</summary>
public sealed record DictionaryOptions
{
    /// <summary>Atoms, K.</summary>
    public int AtomCount { get; init; } = 500;

    /// <summary>The L1 penalty on the codes, α. Null: chosen so that a document has <see cref="TargetNonzeros"/> codes. Unit rows have no codes at α ≥ 1.</summary>
    public double? Sparsity { get; init; }

    /// <summary>Codes other than zero a document, on average, that a <see cref="Sparsity"/> of null aims at (within .1).</summary>
    public double TargetNonzeros { get; init; } = 4.3;

    /// <summary>What signs codes may have.</summary>
    public CodeSigns Codes { get; init; } = CodeSigns.Signed;

    /// <summary>Rounds of codes and atoms, at most.</summary>
    public int Rounds { get; init; } = 30;

    /// <summary>Learning stops where a round lowers the objective by less than this share of it.</summary>
    public double Tolerance { get; init; } = 1e-4;

    /// <summary>Independent starts; the one with the lowest objective is kept.</summary>
    public int Starts { get; init; } = 1;

    /// <summary>Gates of the poles, as a share of a pole's median product (see <see cref="PoleGates"/>); null: the codes are those of the penalty.</summary>
    public double? Gate { get; init; }

    /// <summary>Documents below which an atom is weak: counted in <see cref="LearnedDictionary.WeakAtoms"/>.</summary>
    public int MinimumSupport { get; init; } = 4;

    /// <summary>The run's seed.</summary>
    public required long Seed { get; init; }

    /// <summary>Whether a dictionary without codes, or with mostly dead atoms, is an answer too: of rows without structure it may be the true one.</summary>
    internal bool ToleratesDegenerate { get; init; }
}

/// <summary>How documents are encoded on a fixed dictionary.</summary>
public sealed record SparseCodingOptions
{
    /// <summary>The L1 penalty on the codes, α.</summary>
    public required double Sparsity { get; init; }

    /// <summary>What signs codes may have.</summary>
    public CodeSigns Codes { get; init; } = CodeSigns.Signed;

    /// <summary>A document is done when no step of a single code is larger than this.</summary>
    public double Tolerance { get; init; } = 1e-9;

    /// <summary>Sweeps over a document's codes in use, and steps from one set of signs to the next, at most. Too few show in <see cref="EncodedRows.DualityGap"/>.</summary>
    public int MaxIterations { get; init; } = 2000;
}
