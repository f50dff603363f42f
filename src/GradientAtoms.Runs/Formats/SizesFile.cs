using System.Text.Json;
using GradientAtoms.Certificates;
using GradientAtoms.Runs.Files;

namespace GradientAtoms.Runs.Formats;

/// <summary>The sizes that a run has tried and what it chose: <c>sizes.json</c>.</summary>
public sealed record TriedSizes : IVersionedJson
{
    /// <inheritdoc/>
    public string Schema { get; init; } = SizesFile.SchemaName;

    /// <inheritdoc/>
    public int Version { get; init; } = SizesFile.NewestVersion;

    /// <summary>The curve, in the order in which it was tried.</summary>
    public required IReadOnlyList<SizePoint> Points { get; init; }

    /// <summary>What was chosen, and why.</summary>
    public required SizeChoice Chosen { get; init; }

    /// <summary>Whether a point is the one that was chosen: of the atoms, and of the penalty where penalties were tried.</summary>
    /// <param name="point">One of <see cref="Points"/>.</param>
    public bool IsChosen(SizePoint point) => point.Atoms == Chosen.Atoms && (Chosen.Sparsity is not { } penalty || point.Sparsity == penalty);
}

/// <summary>Reads and writes <c>sizes.json</c>.</summary>
public static class SizesFile
{
    /// <summary>Its name in a run.</summary>
    public const string Name = "sizes.json";

    internal const string SchemaName = "gatoms/sizes";
    internal const int NewestVersion = 1;

    /// <summary>Reads the file of a run; null where its sizes were given, or not tried.</summary>
    /// <param name="run">The run.</param>
    /// <exception cref="RunFolderException">GA2605 it is of a newer version; GA2609 it cannot be read.</exception>
    public static TriedSizes? Read(RunFolder run)
    {
        if (run.Manifest.Stage(Pipeline.SizesStage.Name) is not { IsDone: true } || run.Manifest.Stage(Pipeline.DictionaryStage.Name)?.Upstream.ContainsKey(Pipeline.SizesStage.Name) != true)
        {
            return null;
        }

        var path = run.Need(Name);
        var file = FormatGuard.ReadJson<TriedSizes>(path, SchemaName, NewestVersion);
        return file is { Points: not null, Chosen.Why: not null } ? file : throw FormatGuard.Damaged(path, "points or choice are missing");
    }

    internal static void Write(Stream stream, TriedSizes sizes)
    {
        JsonSerializer.Serialize(stream, sizes, RunJson.Indented);
        stream.WriteByte((byte)'\n');
    }
}
