using GradientAtoms.DictionaryLearning;

namespace GradientAtoms.Atoms;

/// <summary>Cosines between documents' gradients in one metric, raw or whitened.</summary>
public interface IDocumentCosines
{
    /// <summary>The cosines of some documents.</summary>
    /// <param name="documents">Rows, <c>[n]</c>.</param>
    /// <returns><c>[n, n]</c>, symmetric, 1 on the diagonal.</returns>
    double[,] Cosines(IReadOnlyList<int> documents);
}

/// <summary>What is known of the documents and atoms beside the codes. What is null is not computed.</summary>
public sealed record AtomEvidence
{
    /// <summary>Cosines of raw gradients.</summary>
    public IDocumentCosines? Raw { get; init; }

    /// <summary>Cosines of whitened gradients.</summary>
    public IDocumentCosines? Whitened { get; init; }

    /// <summary>Shares of whitened energy, see <see cref="AtomShares.Of"/>.</summary>
    public AtomShares? Shares { get; init; }

    /// <summary>Names of the adapted modules, <c>[M]</c>.</summary>
    public IReadOnlyList<string>? ModuleNames { get; init; }

    /// <summary><c>[K, M]</c>: share of each lifted atom's squared norm by module.</summary>
    public double[,]? ModuleShares { get; init; }

    /// <summary>Text of each document (prompt and answers), <c>[N]</c>, for keywords.</summary>
    public IReadOnlyList<string>? Texts { get; init; }
}

/// <summary>What is reported of an atom.</summary>
public sealed record AtomOptions
{
    /// <summary>Documents that a pole needs to be reported as a behaviour: below, it is listed without coherence and keywords.</summary>
    public int MinimumSupport { get; init; } = 4;

    /// <summary>Documents that a coherence is taken over, at most.</summary>
    public int TopDocuments { get; init; } = 20;

    /// <summary>Documents listed a pole, at most.</summary>
    public int ListedDocuments { get; init; } = 100;

    /// <summary>Keywords a pole, at most.</summary>
    public int KeywordCount { get; init; } = 8;
}

/// <summary>Makes atoms and poles of codes.</summary>
public static class AtomBuilder
{
    /// <summary>Describes every atom that a document encodes on, the largest share first (without shares: most energy Σ code² first).</summary>
    /// <param name="codes"><c>[N, K]</c>.</param>
    /// <param name="documentIds"><c>[N]</c>.</param>
    /// <param name="evidence">What else is known.</param>
    /// <param name="options">What is reported.</param>
    /// <param name="progress">Told after every atom.</param>
    /// <param name="cancellationToken">Looked at every atom.</param>
    public static IReadOnlyList<Atom> Build(
        SparseCodes codes,
        IReadOnlyList<string> documentIds,
        AtomEvidence evidence,
        AtomOptions? options = null,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default) => throw new NotSupportedException("being built");
}
