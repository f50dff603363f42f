using static TorchSharp.torch;

namespace GradientAtoms.DictionaryLearning;

/// <summary>Learns atoms and codes: min over D, A of (1/N) Σ ½‖x_i − a_i D‖² + α‖a_i‖₁, with atoms of norm 1.</summary>
public static class DictionaryLearner
{
    /// <summary>Learns a dictionary.</summary>
    /// <param name="rows"><c>[N, k]</c>, documents in whitened coordinates, of norm 1 (centred rows may be a little shorter).</param>
    /// <param name="options">How.</param>
    /// <param name="progress">Told after every round.</param>
    /// <param name="cancellationToken">Looked at every round.</param>
    /// <returns>The dictionary of the best start. The caller owns it.</returns>
    /// <exception cref="DictionaryException">More atoms than documents, or nothing is left at this penalty.</exception>
    /// <exception cref="NumericalException">A row is not finite.</exception>
    public static LearnedDictionary Learn(
        Tensor rows,
        DictionaryOptions options,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default) => throw new NotSupportedException("being built");
}
