using static TorchSharp.torch;

namespace GradientAtoms.DictionaryLearning;

/// <summary>Encodes documents on a fixed dictionary: each row's lasso, solved exactly.</summary>
public static class SparseCoder
{
    /// <summary>Finds the codes.</summary>
    /// <param name="rows"><c>[N, k]</c>.</param>
    /// <param name="atoms"><c>[K, k]</c>.</param>
    /// <param name="options">Penalty and precision.</param>
    /// <param name="progress">Told after every block of documents.</param>
    /// <param name="cancellationToken">Looked at every block of documents.</param>
    /// <exception cref="NumericalException">A row is not finite.</exception>
    public static EncodedRows Encode(
        Tensor rows,
        Tensor atoms,
        SparseCodingOptions options,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default) => throw new NotSupportedException("being built");
}
