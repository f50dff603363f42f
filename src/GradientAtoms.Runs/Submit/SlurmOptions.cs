namespace GradientAtoms.Runs.Submit;

/// <summary>How a run is given to Slurm.</summary>
public sealed record SlurmOptions
{
    /// <summary>What is submitted.</summary>
    public required SubmitOptions Submit { get; init; }

    /// <summary>The partition; null: the cluster's default.</summary>
    public string? Partition { get; init; }

    /// <summary>The account that is charged; null: the user's default.</summary>
    public string? Account { get; init; }

    /// <summary>Time limit of a job, in seconds; null: the partition's.</summary>
    public double? JobTime { get; init; }

    /// <summary>Anything else for <c>sbatch</c>, as it is: <c>--gres=gpu:1</c>.</summary>
    public IReadOnlyList<string> Extra { get; init; } = [];

    /// <summary>How often a task is begun before the run is given up.</summary>
    public int Attempts { get; init; } = 3;

    /// <summary>Seconds between two looks at the queue.</summary>
    public double PollSeconds { get; init; } = 10;

    /// <summary>Seconds that a shared file system may take to show what a task that has ended has written.</summary>
    public double LagSeconds { get; init; } = 30;
}
