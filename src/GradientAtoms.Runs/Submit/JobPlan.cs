namespace GradientAtoms.Runs.Submit;

/// <summary>A step of a run on a cluster: one job, or one for every shard.</summary>
/// <param name="Name">Of the step: <c>covariances</c>.</param>
/// <param name="Shards">Null for one job.</param>
/// <param name="Arguments">What <c>gatoms audit</c> is given beside the arguments of the run; of shards, behind <c>--shard</c> comes the part.</param>
public sealed record JobStep(string Name, int? Shards, IReadOnlyList<string> Arguments)
{
    /// <summary>The tasks of the step: 1 to the number of shards, or 0 alone.</summary>
    public IReadOnlyList<int> Tasks => Shards is { } count ? [.. Enumerable.Range(1, count)] : [0];
}

/// <summary>The steps of a run on a cluster, each of which begins when the one before is done.</summary>
public static class JobPlan
{
    /// <summary>Prepares, computes covariances in shards, and goes on; where gradients are sketched, with a second round of shards between.</summary>
    /// <param name="options">What is submitted.</param>
    public static IReadOnlyList<JobStep> Steps(SubmitOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        JobStep[] second = options.HasSecondPass
            ? [new("curvature", null, ["--until", "curvature"]), new("sketches", options.Shards, ["--shard"])]
            : [];
        return [new("prepare", null, ["--until", "adapter"]), new("covariances", options.Shards, ["--shard"]), .. second, new("finish", null, [])];
    }
}
