namespace GradientAtoms.Runs.Submit;

/// <summary>How a run is given to Kubernetes.</summary>
public sealed record KubernetesOptions
{
    /// <summary>What is submitted. Its paths are those inside of the containers.</summary>
    public required SubmitOptions Submit { get; init; }

    /// <summary>The container image with gatoms.</summary>
    public required string Image { get; init; }

    /// <summary>The persistent volume claim that holds run, model and data; several nodes must be able to write it (ReadWriteMany).</summary>
    public required string Claim { get; init; }

    /// <summary>Where the claim is mounted.</summary>
    public string MountPath { get; init; } = "/data";

    /// <summary>The namespace; null: that of the context.</summary>
    public string? Namespace { get; init; }

    /// <summary>What the names of the jobs begin with.</summary>
    public string Name { get; init; } = "gatoms";

    /// <summary>How many shards run at a time; null: all.</summary>
    public int? Parallelism { get; init; }

    /// <summary>How often a task is begun before its job fails.</summary>
    public int Attempts { get; init; } = 3;
}
