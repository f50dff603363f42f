using GradientAtoms.Atoms;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Manifest;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Runs.Reports;

/// <summary>
/// Everything that <c>report.html</c> shows. What is not computed is null or empty, and is then absent from the page.
/// No timings, host facts or absolute paths: the report is hashed with the rest of the run.
/// </summary>
public sealed record ReportData
{
    /// <summary>The run's name: its folder's.</summary>
    public required string Name { get; init; }

    /// <summary>The model and the adapter that were audited.</summary>
    public required ReportModel Model { get; init; }

    /// <summary>What was read, and what was not.</summary>
    public required ReportReading Reading { get; init; }

    /// <summary>The fine-tune, where the run did one.</summary>
    public ReportTuning? Tuning { get; init; }

    /// <summary>The gradients' checks against autograd, a batch of one and finite differences.</summary>
    public IReadOnlyList<SelfCheck> SelfChecks { get; init; } = [];

    /// <summary>How much of what was trained the run looked at.</summary>
    public ReportCoverage? Coverage { get; init; }

    /// <summary>How the dictionary came out.</summary>
    public ReportDictionary? Dictionary { get; init; }

    /// <summary>The atoms, in the order in which they are to be listed.</summary>
    public required IReadOnlyList<Atom> Atoms { get; init; }

    /// <summary>Where each atom lies on the map (<see cref="AtomMap"/>), in the order of <see cref="Atoms"/>; empty where there is no map.</summary>
    public IReadOnlyList<MapPoint> Map { get; init; } = [];

    /// <summary>Where the labels of poles come from, by pole; the labels themselves are on the poles.</summary>
    public IReadOnlyDictionary<string, Labels.PoleLabel> Labels { get; init; } = new Dictionary<string, Labels.PoleLabel>(StringComparer.Ordinal);

    /// <summary>When each pole was learnt; null where checkpoints were not measured.</summary>
    public Formats.Timeline? Timeline { get; init; }

    /// <summary>What each lossy step kept of the gradients' energy, in order.</summary>
    public IReadOnlyList<ReportLedgerStep> Ledger { get; init; } = [];

    /// <summary>The documents that the atoms explain worst, the worst first: id and the share of its energy that they explain.</summary>
    public IReadOnlyList<(string Id, double Explained)> WorstExplained { get; init; } = [];

    /// <summary>Which tokens carry a document's projection on a pole, by pole and document; what is missing is not shown.</summary>
    public IReadOnlyDictionary<(string Pole, string Document), TokenEvidence> Tokens { get; init; } = new Dictionary<(string, string), TokenEvidence>();

    /// <summary>Heads and neurons of the atoms; null where not known.</summary>
    public AtomPlaces? Places { get; init; }

    /// <summary>How the atoms belong together; null where not known.</summary>
    public AtomStructure? Structure { get; init; }

    /// <summary>What the atoms explain of the change of the weights; null where not known.</summary>
    public WeightAccount? Weights { get; init; }

    /// <summary>Texts of the documents that poles name, by document id. Documents that are missing here are shown by id alone.</summary>
    public IReadOnlyDictionary<string, ReportDocument> Documents { get; init; } = new Dictionary<string, ReportDocument>(StringComparer.Ordinal);

    /// <summary>Options, seeds, versions and checksums.</summary>
    public required ReportProvenance Provenance { get; init; }

    /// <summary>Caveats of this very run, one sentence each: a probe adapter, few documents an atom, a sketch.</summary>
    public IReadOnlyList<string> Caveats { get; init; } = [];
}

/// <summary>The model and the adapter.</summary>
/// <param name="Name">The model's file or folder name.</param>
/// <param name="Architecture">Such as <c>llama</c>.</param>
/// <param name="ParameterCount">Weights of the base model.</param>
public sealed record ReportModel(string Name, string Architecture, long ParameterCount)
{
    /// <summary>How the weights are stored: <c>safetensors, bfloat16</c> or <c>GGUF, Q4_1</c>.</summary>
    public string? Format { get; init; }

    /// <summary>The adapter's folder name; null where the run tuned one.</summary>
    public string? AdapterName { get; init; }

    /// <summary>The adapter's rank.</summary>
    public int? Rank { get; init; }

    /// <summary>The scale s of <c>W x + s·B(A x)</c>.</summary>
    public double? Scale { get; init; }

    /// <summary>Adapted modules, as the checkpoint spells them.</summary>
    public IReadOnlyList<string> Modules { get; init; } = [];
}

/// <summary>What was read.</summary>
/// <param name="File">The data file's name.</param>
/// <param name="RowCount">Rows read.</param>
/// <param name="DocumentCount">Documents whose gradients were computed.</param>
public sealed record ReportReading(string File, int RowCount, int DocumentCount)
{
    /// <summary>The row shape that was recognised: <c>messages</c>, <c>alpaca</c>.</summary>
    public string? Shape { get; init; }

    /// <summary>The rows that could not be used, with reasons.</summary>
    public IReadOnlyList<Text.Documents.RejectedRow> Rejected { get; init; } = [];

    /// <summary>Rows that repeat another document and count once with it.</summary>
    public int DuplicateCount { get; init; }

    /// <summary>Documents kept out of the learning.</summary>
    public int HeldOutCount { get; init; }

    /// <summary>Documents that were cut at the end.</summary>
    public int TruncatedCount { get; init; }

    /// <summary>Tokens that were cut off.</summary>
    public long TruncatedTokenCount { get; init; }

    /// <summary>Tokens of all documents, after truncation.</summary>
    public long TokenCount { get; init; }

    /// <summary>Tokens that the loss sums over.</summary>
    public long TrainedTokenCount { get; init; }

    /// <summary>Mean loss a trained token, in nats; null where not computed.</summary>
    public double? MeanLoss { get; init; }
}

/// <summary>The fine-tune of a run without <c>--adapter</c>. Losses are means over trained tokens, in nats.</summary>
/// <param name="Steps">Optimiser steps.</param>
/// <param name="HeldOutLossBefore">On the held-out documents, before the first step.</param>
/// <param name="HeldOutLossAfter">On the held-out documents, after the last.</param>
public sealed record ReportTuning(int Steps, double? HeldOutLossBefore, double? HeldOutLossAfter)
{
    /// <summary>Loss by step, for the curve: (step, loss).</summary>
    public IReadOnlyList<(int Step, double Loss)> Curve { get; init; } = [];
}

/// <summary>Share of the trained parameters that the run looked at.</summary>
/// <param name="TrainedParameterCount">Parameters that the fine-tune trained.</param>
/// <param name="SeenParameterCount">Parameters whose gradients entered the coordinates.</param>
public sealed record ReportCoverage(long TrainedParameterCount, long SeenParameterCount)
{
    /// <summary>What was left out and why, where anything was.</summary>
    public string? Note { get; init; }
}

/// <summary>How the dictionary came out.</summary>
/// <param name="AtomCount">K.</param>
/// <param name="Sparsity">The penalty α.</param>
/// <param name="NonzerosPerDocument">Mean number of atoms a document encodes on.</param>
public sealed record ReportDictionary(int AtomCount, double Sparsity, double NonzerosPerDocument)
{
    /// <summary><c>signed</c> or <c>nonnegative</c>.</summary>
    public string? Codes { get; init; }

    /// <summary>Share of the coordinates' energy that the atoms explain together, 0 to 1.</summary>
    public double? ExplainedShare { get; init; }

    /// <summary>The same on held-out documents.</summary>
    public double? HeldOutExplainedShare { get; init; }

    /// <summary>The objective of <c>docs/method.md</c> §5.</summary>
    public double? Objective { get; init; }

    /// <summary>The codes' duality gap, relative to the objective.</summary>
    public double? DualityGap { get; init; }

    /// <summary>The sizes that were tried before; null where none were.</summary>
    public Formats.TriedSizes? Sizes { get; init; }
}

/// <summary>A line of the energy ledger: what one step kept.</summary>
/// <param name="Step">Such as <c>projection</c> or <c>dictionary</c>.</param>
/// <param name="Of">What is counted: <c>raw gradients, Σ‖g‖²</c>.</param>
/// <param name="KeptShare">Of all modules, 0 to 1.</param>
public sealed record ReportLedgerStep(string Step, string Of, double KeptShare)
{
    /// <summary>The same by module; empty where it is not known by module.</summary>
    public IReadOnlyList<ReportModuleEnergy> Modules { get; init; } = [];
}

/// <summary>A module's part of a line of the ledger.</summary>
/// <param name="Module">As the checkpoint spells it.</param>
/// <param name="ShareOfTotal">The module's share of the energy of all modules before the step.</param>
/// <param name="KeptShare">What the step kept of the module's energy, 0 to 1.</param>
public sealed record ReportModuleEnergy(string Module, double ShareOfTotal, double KeptShare);

/// <summary>A document as the report shows it.</summary>
/// <param name="Prompt">Everything before the first answer; empty for plain text.</param>
/// <param name="Answer">The answers, or the plain text.</param>
public sealed record ReportDocument(string Prompt, string Answer)
{
    /// <summary>Its line in the data file, from 1.</summary>
    public int? Line { get; init; }
}

/// <summary>Where the numbers come from.</summary>
public sealed record ReportProvenance
{
    /// <summary>Options as resolved: name and value, in the order to be shown.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Options { get; init; } = [];

    /// <summary>Versions of gatoms, torch and the formats.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Versions { get; init; } = [];

    /// <summary>The run's files with their SHA-256, and those of the inputs.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Checksums { get; init; } = [];
}
