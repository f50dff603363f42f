using System.Text.Json;
using GradientAtoms.Coordinates;
using GradientAtoms.Models.Checkpoints;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>Opens what the stages of a run have written.</summary>
public static class RunReader
{
    /// <summary>The rotated gradients of a run. The caller owns the result.</summary>
    /// <param name="run">The run.</param>
    /// <param name="tensorName">Which rows: <c>rows</c>, or <c>whitened</c> and <c>raw</c> where the run keeps sketches.</param>
    /// <exception cref="RunFolderException">GA2607: the run has none.</exception>
    public static RotatedRows OpenRows(RunFolder run, string tensorName = "rows")
    {
        var shards = run.Manifest.Stage(GradientsStage.Name)?.Outputs
            .Where(output => output.Path.StartsWith($"{RunFiles.Gradients}/", StringComparison.Ordinal))
            .Select(output => run.Need(output.Path)).ToList();
        return shards is { Count: > 0 }
            ? new(shards, tensorName)
            : throw new RunFolderException("GA2607", run.PathOf(RunFiles.Gradients), "holds no gradients", "Run the same `gatoms audit` again: it makes what is missing.");
    }

    /// <summary>What a reader sees of the documents that a run uses.</summary>
    /// <exception cref="RunFolderException">GA2607: the run has none.</exception>
    public static IReadOnlyList<TextRow> ReadTexts(RunFolder run) => [.. DocumentsStage.ReadTexts(run)];

    /// <summary>Ids of a run's documents with the share of each one's row that the atoms explain (codes fitted again by least squares), the worst explained first.</summary>
    /// <exception cref="RunFolderException">GA2607: the run has none.</exception>
    public static IReadOnlyList<KeyValuePair<string, double>> ReadExplained(RunFolder run) => AtomsStage.ReadLedger(run) is { } ledger
        ? [.. ledger.Documents.Select(document => KeyValuePair.Create(document.Id, document.Explained))]
        : throw new RunFolderException("GA2607", run.PathOf(AtomsStage.Ledger), "is not there: the run was made before it was kept", "Run the same `gatoms audit` again: it makes what is missing.");

    /// <summary>The atoms of a run, with the labels that its poles have been given (<see cref="Labels.LabelsFile"/>).</summary>
    /// <exception cref="RunFolderException">GA2607: the run has none.</exception>
    public static IReadOnlyList<Atoms.Atom> ReadAtoms(RunFolder run) => Labels.LabelsFile.Apply(run, Formats.AtomsFile.Read(run.Need(RunFiles.Atoms)));

    /// <summary>The options of a run's last audit, as resolved.</summary>
    /// <exception cref="RunFolderException">GA2607: its audit never began.</exception>
    internal static AuditOptions ReadOptions(RunFolder run) => run.Manifest.Options?.Deserialize<AuditOptions>(Files.RunJson.Compact)
        ?? throw new RunFolderException("GA2607", run.Path, "has no options: its audit never began", "Run `gatoms audit` again.");

    /// <summary>What the atoms explain of the change of the weights; null where that is not known.</summary>
    public static WeightAccount? ReadWeights(RunFolder run) => AtomsStage.ReadLedger(run)?.Weights;

    /// <summary>The coordinates of a run. The caller owns the result.</summary>
    internal static GramCoordinates ReadCoordinates(SafetensorsFile file) =>
        GramCoordinates.From(file.ReadRaw("rows"), file.Contains("weights_of_directions") ? file.ReadRaw("weights_of_directions") : null, file.ReadRaw("norms"), meanNorm: 0);
}
