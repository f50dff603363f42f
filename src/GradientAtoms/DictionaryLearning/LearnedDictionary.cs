using static TorchSharp.torch;

namespace GradientAtoms.DictionaryLearning;

/// <summary>A dictionary and the codes of the documents that it was learnt from.</summary>
public sealed class LearnedDictionary : IDisposable
{
    internal LearnedDictionary(Tensor atoms) => Atoms = atoms.DetachFromDisposeScope();

    /// <summary><c>[K, k]</c> float32, unit rows. The sign of an atom is such that its + pole has more energy (Σ code²).</summary>
    public Tensor Atoms { get; }

    /// <summary><c>[N, K]</c>: exact codes of the rows for these atoms, or those that pass the <see cref="Gates"/>.</summary>
    public required SparseCodes Codes { get; init; }

    /// <summary>The gates of the poles; null where none were asked for.</summary>
    public PoleGates? Gates { get; init; }

    /// <summary>The L1 penalty α that was used, given or found.</summary>
    public required double Sparsity { get; init; }

    /// <summary>(1/N) Σ ½‖x_i − a_i D‖² + α‖a_i‖₁.</summary>
    public required double Objective { get; init; }

    /// <summary>How far the codes are from optimal for these atoms, at most: mean over documents of (primal − dual) / primal.</summary>
    public required double DualityGap { get; init; }

    /// <summary>Rounds run.</summary>
    public required int Rounds { get; init; }

    /// <summary>Whether the last round changed the objective by less than the tolerance.</summary>
    public required bool Converged { get; init; }

    /// <summary>Atoms without a document.</summary>
    public required int DeadAtoms { get; init; }

    /// <summary>Atoms with a document, but fewer than the minimum support.</summary>
    public required int WeakAtoms { get; init; }

    /// <summary>Atoms that were taken anew from badly explained documents because nothing encoded on them, in all rounds.</summary>
    public required int ReseededAtoms { get; init; }

    /// <summary>The objective of every start, the kept one included. Starts differ because the problem is not convex.</summary>
    public required IReadOnlyList<double> StartObjectives { get; init; }

    /// <summary>Frees the atoms.</summary>
    public void Dispose() => Atoms.Dispose();
}

/// <summary>Codes on a fixed dictionary.</summary>
/// <param name="Codes"><c>[N, K]</c>.</param>
/// <param name="Objective">(1/N) Σ ½‖x_i − a_i D‖² + α‖a_i‖₁.</param>
/// <param name="DualityGap">Mean over documents of (primal − dual) / primal.</param>
/// <param name="LargestDualityGap">The largest of a document.</param>
/// <param name="Energies"><c>[N]</c>: ‖x‖² of each document.</param>
/// <param name="ResidualEnergies"><c>[N]</c>: ‖x_i − a_i D‖².</param>
public sealed record EncodedRows(SparseCodes Codes, double Objective, double DualityGap, double LargestDualityGap, double[] Energies, double[] ResidualEnergies);
