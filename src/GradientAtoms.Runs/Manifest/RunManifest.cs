using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using GradientAtoms.Runs.Files;

namespace GradientAtoms.Runs.Manifest;

/// <summary>What <c>run.json</c> says: what was run, with what, from what, and what came out.</summary>
public sealed record RunManifest
{
    /// <summary>The value of <see cref="Schema"/>.</summary>
    public const string SchemaName = "gatoms/run";

    /// <summary>The newest version that this program reads, and the one that it writes.</summary>
    public const int NewestVersion = 1;

    /// <summary>Always <c>gatoms/run</c>.</summary>
    public string Schema { get; init; } = SchemaName;

    /// <summary>Of the format; fields are added without a new one.</summary>
    public int Version { get; init; } = NewestVersion;

    /// <summary>Versions of what computed: <c>gatoms</c>, <c>torch</c>, <c>dotnet</c>.</summary>
    public SortedDictionary<string, string> Versions { get; init; } = new(StringComparer.Ordinal);

    /// <summary>The run's one seed.</summary>
    public long? Seed { get; init; }

    /// <summary>All options, as resolved.</summary>
    public JsonNode? Options { get; init; }

    /// <summary>The stages, in the order of their first run.</summary>
    public IReadOnlyList<StageRecord> Stages { get; init; } = [];

    /// <summary>SHA-256 over all stages' input hashes, outputs and self-checks: two runs with the same one are the same run. Timings, paths and machine are not in it.</summary>
    public string? ContentHash { get; init; }

    /// <summary>The machine: never hashed.</summary>
    public SortedDictionary<string, JsonNode?> Machine { get; init; } = new(StringComparer.Ordinal);

    /// <summary>Files outside of the run that were hashed, so that they need not be read again while size and time are the same. Never hashed itself.</summary>
    public IReadOnlyList<InputFile> InputFiles { get; init; } = [];

    /// <summary>The record of a stage, or null.</summary>
    /// <param name="name">The stage's name.</param>
    public StageRecord? Stage(string name) => Stages.FirstOrDefault(stage => stage.Name == name);

    /// <summary>The same manifest with one stage's record put in or replaced.</summary>
    /// <param name="record">The record.</param>
    public RunManifest With(StageRecord record)
    {
        var stages = Stages.ToList();
        var index = stages.FindIndex(stage => stage.Name == record.Name);
        if (index < 0)
        {
            stages.Add(record);
        }
        else
        {
            stages[index] = record;
        }

        return this with { Stages = stages };
    }

    internal string ComputeContentHash() => FileHash.OfText(RunJson.Canonical(new JsonArray([.. Stages.OrderBy(stage => stage.Name, StringComparer.Ordinal).Select(stage => (JsonNode)new JsonObject
    {
        ["name"] = stage.Name,
        ["status"] = stage.Status,
        ["input_hash"] = stage.InputHash,
        ["outputs"] = stage.OutputHash,
        ["checks"] = new JsonArray([.. stage.Checks.Select(check => (JsonNode)new JsonArray(check.Name, check.Passed))]),
    })])));
}

/// <summary>What one stage took and made.</summary>
public sealed record StageRecord
{
    /// <summary>The stage's name.</summary>
    public required string Name { get; init; }

    /// <summary>Of the stage's code: raised when the same inputs give other outputs.</summary>
    public required int Version { get; init; }

    /// <summary><c>done</c>, <c>running</c> (or killed while it ran), <c>failed</c> or <c>interrupted</c>.</summary>
    public required string Status { get; init; }

    /// <summary>SHA-256 over name, version, options, upstream outputs and input files.</summary>
    public required string InputHash { get; init; }

    /// <summary>The options that the stage depends on, and only those.</summary>
    public required JsonNode Options { get; init; }

    /// <summary>Hash of the outputs of each stage that it depends on.</summary>
    public SortedDictionary<string, string> Upstream { get; init; } = new(StringComparer.Ordinal);

    /// <summary>SHA-256 of each input file by its name (not its path).</summary>
    public SortedDictionary<string, string> Inputs { get; init; } = new(StringComparer.Ordinal);

    /// <summary>The files that it made, by path.</summary>
    public IReadOnlyList<OutputFile> Outputs { get; init; } = [];

    /// <summary>Counts, losses, ledger: the stage's own words. Not hashed.</summary>
    public JsonObject Notes { get; init; } = [];

    /// <summary>What the stage checked about itself.</summary>
    public IReadOnlyList<SelfCheck> Checks { get; init; } = [];

    /// <summary>Why it was run.</summary>
    public string? Reason { get; init; }

    /// <summary>When it was begun, UTC.</summary>
    public string? StartedAt { get; init; }

    /// <summary>Seconds from begin to end of the last sitting.</summary>
    public double? Seconds { get; init; }

    /// <summary>Largest resident memory of the process so far, bytes.</summary>
    public long? PeakMemoryBytes { get; init; }

    /// <summary>Whether the stage is complete.</summary>
    [JsonIgnore]
    public bool IsDone => Status == "done";

    /// <summary>Hash of the outputs' names and contents: what stages after it depend on.</summary>
    [JsonIgnore]
    public string OutputHash => FileHash.OfText(string.Join('\n', Outputs.OrderBy(output => output.Path, StringComparer.Ordinal).Select(output => $"{output.Path} {output.Sha256}")));
}

/// <summary>A file that a stage made.</summary>
/// <param name="Path">Relative to the run folder, with <c>/</c>.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Sha256">Of its contents.</param>
public sealed record OutputFile(string Path, long Bytes, string Sha256);

/// <summary>Something that the run checked about itself.</summary>
/// <param name="Name">Such as <c>gradients/autograd</c>.</param>
/// <param name="Passed">Whether it held.</param>
/// <param name="Detail">The number found and the one allowed.</param>
public sealed record SelfCheck(string Name, bool Passed, string Detail);

/// <summary>An input file's hash, valid as long as its size and time are the same.</summary>
/// <param name="Path">Absolute.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Modified">Time of the last write, UTC, as <c>O</c>.</param>
/// <param name="Sha256">Of its contents.</param>
public sealed record InputFile(string Path, long Bytes, string Modified, string Sha256);
