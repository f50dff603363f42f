namespace GradientAtoms.Runs.Submit;

/// <summary>What is given to a cluster, whichever it is.</summary>
public sealed record SubmitOptions
{
    /// <summary>The run folder, on a file system that all machines see.</summary>
    public required string Out { get; init; }

    /// <summary>The arguments of <c>gatoms audit</c>, one by one, without <c>--shard</c> and <c>--until</c>.</summary>
    public required IReadOnlyList<string> Arguments { get; init; }

    /// <summary>How a node starts gatoms: the program, and what comes before the verb.</summary>
    public required IReadOnlyList<string> Program { get; init; }

    /// <summary>The folder that relative paths of the arguments begin at.</summary>
    public required string WorkingFolder { get; init; }

    /// <summary>Parts of a pass over the documents.</summary>
    public required int Shards { get; init; }

    /// <summary>Whether gradients are sketched: then there is a second pass over the documents, and so a second round of shards.</summary>
    public required bool HasSecondPass { get; init; }

    /// <summary>Processor cores of a job; null: what the cluster gives.</summary>
    public int? Cpus { get; init; }

    /// <summary>Memory of a job, in bytes; null: what the cluster gives.</summary>
    public long? Memory { get; init; }
}
