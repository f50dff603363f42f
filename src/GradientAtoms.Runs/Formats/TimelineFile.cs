using GradientAtoms.Timelines;

namespace GradientAtoms.Runs.Formats;

/// <summary>A checkpoint of the fine-tune.</summary>
/// <param name="Name"><c>checkpoint-40</c>; <c>start</c> before the fine-tune, <c>end</c> the adapter that was audited.</param>
/// <param name="Step">Optimiser steps behind it; null where that is not known.</param>
public sealed record TimelineCheckpoint(string Name, int? Step);

/// <summary>A pole over the training: places are those of <see cref="Timeline.Checkpoints"/>.</summary>
public sealed record PoleTimeline
{
    /// <summary>The pole's id.</summary>
    public required string Id { get; init; }

    /// <summary>Documents that were measured, its strongest.</summary>
    public required int Documents { get; init; }

    /// <summary>The checkpoint at which it is there first; null where it was not learnt beyond documents that were asked alike.</summary>
    public string? Appears { get; init; }

    /// <summary>The checkpoint behind its largest rise.</summary>
    public string? Grows { get; init; }

    /// <summary>The checkpoint from which on at most half of it is left; null where it stays.</summary>
    public string? Fades { get; init; }

    /// <summary>One a checkpoint.</summary>
    public required IReadOnlyList<PresencePoint> Points { get; init; }
}

/// <summary>When each pole was learnt: <c>timeline.json</c>.</summary>
/// <param name="Checkpoints">In the order of the training.</param>
/// <param name="Poles">In the order of the atoms; poles without enough documents to be measured are absent.</param>
public sealed record Timeline(IReadOnlyList<TimelineCheckpoint> Checkpoints, IReadOnlyList<PoleTimeline> Poles) : IVersionedJson
{
    internal const string SchemaName = "gatoms/timeline";

    /// <inheritdoc/>
    [System.Text.Json.Serialization.JsonPropertyOrder(-2)]
    public string Schema { get; init; } = SchemaName;

    /// <inheritdoc/>
    [System.Text.Json.Serialization.JsonPropertyOrder(-1)]
    public int Version { get; init; } = 1;

    /// <summary>Reads the file of a run.</summary>
    /// <param name="path">Of its <c>timeline.json</c>.</param>
    /// <exception cref="RunFolderException">GA2607 it is missing; GA2605 it is of a newer version; GA2609 it cannot be read.</exception>
    public static Timeline Read(string path)
    {
        var timeline = FormatGuard.ReadJson<Timeline>(path, SchemaName, 1);
        return timeline is { Checkpoints: not null, Poles: not null } && timeline.Poles.All(pole => pole is { Id: not null, Points: not null } && pole.Points.Count == timeline.Checkpoints.Count)
            ? timeline
            : throw FormatGuard.Damaged(path, "a pole lacks its id or points");
    }
}
