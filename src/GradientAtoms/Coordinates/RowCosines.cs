using GradientAtoms.Atoms;
using static TorchSharp.torch;

namespace GradientAtoms.Coordinates;

/// <summary>Cosines from rows, read when they are asked for: for sketches, and where few of all inner products are needed.</summary>
/// <param name="rows">One a document; stays the caller's.</param>
public sealed class RowCosines(IRowSource rows) : IDocumentCosines
{
    /// <inheritdoc/>
    public double[,] Cosines(IReadOnlyList<int> documents)
    {
        using var scope = NewDisposeScope();
        var asked = rows.ReadRows(documents); // [n, d]
        return new GramCosines(asked.matmul(asked.t())).Cosines([.. Enumerable.Range(0, documents.Count)]);
    }
}
