using GradientAtoms.Atoms;
using GradientAtoms.Coordinates;
using GradientAtoms.Models.Checkpoints;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>
/// The cosines of a run's documents. Whitened: from all inner products where the run has them, else from its sketches. Raw: from the
/// rows, for only a few of all pairs are asked for. Owns what it opens.
/// </summary>
internal sealed class DocumentCosines : IDisposable
{
    private readonly IDisposable[] _owned;

    private DocumentCosines(IDocumentCosines raw, IDocumentCosines whitened, IDisposable[] owned) => (Raw, Whitened, _owned) = (raw, whitened, owned);

    /// <summary>Of raw gradients.</summary>
    public IDocumentCosines Raw { get; }

    /// <summary>Of whitened gradients.</summary>
    public IDocumentCosines Whitened { get; }

    /// <summary>Opens them.</summary>
    /// <param name="run">The run.</param>
    /// <param name="coordinates">Its coordinates file.</param>
    public static DocumentCosines Open(RunFolder run, SafetensorsFile coordinates)
    {
        if (coordinates.Contains("gram_whitened"))
        {
            var (rows, whitened) = (RunReader.OpenRows(run), coordinates.ReadRaw("gram_whitened"));
            return new(new RowCosines(rows), new GramCosines(whitened), [rows, whitened]);
        }

        var (rawRows, whitenedRows) = (RunReader.OpenRows(run, SketchStage.Raw), RunReader.OpenRows(run, SketchStage.Whitened));
        return new(new RowCosines(rawRows), new RowCosines(whitenedRows), [rawRows, whitenedRows]);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var owned in _owned)
        {
            owned.Dispose();
        }
    }
}
