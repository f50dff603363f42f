using System.Text.Json.Nodes;

namespace GradientAtoms.Runs.Stages;

/// <summary>A part of a run that is done as a whole, and done again exactly when what it depends on has changed.</summary>
public interface IStage
{
    /// <summary>Unique in the run; lower case: <c>gradients</c>.</summary>
    string Name { get; }

    /// <summary>Raised when the code gives other outputs for the same inputs.</summary>
    int Version { get; }

    /// <summary>The options that the outputs depend on, and only those (see <see cref="Files.RunJson.Of"/>).</summary>
    JsonNode Options { get; }

    /// <summary>Names of the stages whose outputs it reads.</summary>
    IReadOnlyList<string> DependsOn { get; }

    /// <summary>The files outside of the run that it reads.</summary>
    IReadOnlyList<ExternalInput> Inputs { get; }

    /// <summary>Does the work. What it throws ends the stage; what it had recorded as blocks or state is there the next time.</summary>
    /// <param name="context">Where it writes, reads and reports.</param>
    void Execute(StageContext context);
}

/// <summary>A stage made of its parts.</summary>
public sealed class Stage : IStage
{
    /// <inheritdoc/>
    public required string Name { get; init; }

    /// <inheritdoc/>
    public int Version { get; init; } = 1;

    /// <inheritdoc/>
    public JsonNode Options { get; init; } = new JsonObject();

    /// <inheritdoc/>
    public IReadOnlyList<string> DependsOn { get; init; } = [];

    /// <inheritdoc/>
    public IReadOnlyList<ExternalInput> Inputs { get; init; } = [];

    /// <summary>Does the work.</summary>
    public required Action<StageContext> Run { get; init; }

    /// <inheritdoc/>
    public void Execute(StageContext context) => Run(context);
}

/// <summary>A file outside of the run that a stage reads. Its contents are hashed, its path is not.</summary>
/// <param name="Name">What it is to the stage: <c>data</c>, <c>model/config.json</c>.</param>
/// <param name="Path">Where it is.</param>
public sealed record ExternalInput(string Name, string Path)
{
    /// <summary>The files of a folder that match, as inputs named <c>name/file</c>, in ordinal order.</summary>
    /// <param name="name">What the folder is to the stage: <c>model</c>.</param>
    /// <param name="folder">Where it is; not searched below.</param>
    /// <param name="patterns">Such as <c>*.safetensors</c>; none: every file.</param>
    public static IReadOnlyList<ExternalInput> FilesOf(string name, string folder, params string[] patterns) =>
        [.. (patterns.Length == 0 ? ["*"] : patterns)
            .SelectMany(pattern => Directory.Exists(folder) ? Directory.GetFiles(folder, pattern) : [])
            .Distinct(StringComparer.Ordinal)
            .Order(StringComparer.Ordinal)
            .Select(file => new ExternalInput($"{name}/{System.IO.Path.GetFileName(file)}", file))];
}

/// <summary>What the runner does with a stage, and why.</summary>
/// <param name="Stage">The stage's name.</param>
/// <param name="Reuse">Whether what is there is used.</param>
/// <param name="Reason">For people: <c>same inputs</c>, <c>options changed: sparsity 0.1 -> 0.2</c>, <c>output missing: codes.safetensors</c>.</param>
/// <param name="InputHash">Of everything that the stage depends on.</param>
public sealed record StageDecision(string Stage, bool Reuse, string Reason, string InputHash);

/// <summary>What became of a stage.</summary>
/// <param name="Decision">What was done and why.</param>
/// <param name="Record">The stage's record in the manifest.</param>
public sealed record StageOutcome(StageDecision Decision, Manifest.StageRecord Record);
