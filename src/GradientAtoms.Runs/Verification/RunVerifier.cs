using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Manifest;

namespace GradientAtoms.Runs.Verification;

/// <summary>What a recorded file is like now.</summary>
public enum FileState
{
    /// <summary>As it was recorded.</summary>
    Ok,

    /// <summary>Not there.</summary>
    Missing,

    /// <summary>Other contents.</summary>
    Changed,
}

/// <summary>A recorded file, and what it is like now.</summary>
/// <param name="Stage">The stage that made it.</param>
/// <param name="Path">Relative to the run folder.</param>
/// <param name="State">What was found.</param>
/// <param name="Detail">Sizes or hashes where they differ; null where all is well.</param>
public sealed record VerifiedFile(string Stage, string Path, FileState State, string? Detail);

/// <summary>A recorded self-check and its stage.</summary>
/// <param name="Stage">The stage that checked itself.</param>
/// <param name="Check">What it found.</param>
public sealed record VerifiedCheck(string Stage, SelfCheck Check);

/// <summary>What <c>gatoms verify</c> found.</summary>
public sealed record VerificationReport
{
    /// <summary>Every recorded file.</summary>
    public required IReadOnlyList<VerifiedFile> Files { get; init; }

    /// <summary>Every recorded self-check.</summary>
    public required IReadOnlyList<VerifiedCheck> Checks { get; init; }

    /// <summary>Stages that are not done, with their status.</summary>
    public required IReadOnlyList<string> Unfinished { get; init; }

    /// <summary>Whether the manifest's hash of itself still holds.</summary>
    public required bool ManifestIntact { get; init; }

    /// <summary>Whether a stage's recorded upstream hash is still that of the stage it read: false means that it was made from something else.</summary>
    public required bool ChainIntact { get; init; }

    /// <summary>The run's content hash, as computed now.</summary>
    public required string ContentHash { get; init; }

    /// <summary>Whether everything is as recorded, and every self-check held.</summary>
    public bool Passed => ManifestIntact && ChainIntact && Unfinished.Count == 0 && Files.All(file => file.State == FileState.Ok) && Checks.All(check => check.Check.Passed);
}

/// <summary>Recomputes every checksum of a run. Changes nothing.</summary>
public static class RunVerifier
{
    /// <summary>Reads every recorded file and compares.</summary>
    /// <param name="folder">The run; reading is enough.</param>
    /// <param name="progress">Told after each file.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static VerificationReport Verify(RunFolder folder, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var recorded = folder.Manifest.Stages.SelectMany(stage => stage.Outputs.Select(output => (stage.Name, output))).ToList();
        var files = new List<VerifiedFile>();
        foreach (var (stage, output) in recorded)
        {
            cancellationToken.ThrowIfCancellationRequested();
            files.Add(Check(folder, stage, output, cancellationToken));
            progress?.Report(new("verify", files.Count, recorded.Count, "files"));
        }

        var hash = folder.Manifest.ComputeContentHash();
        return new()
        {
            Files = files,
            Checks = [.. folder.Manifest.Stages.SelectMany(stage => stage.Checks.Select(check => new VerifiedCheck(stage.Name, check)))],
            Unfinished = [.. folder.Manifest.Stages.Where(stage => !stage.IsDone).Select(stage => $"{stage.Name}: {stage.Status}")],
            ManifestIntact = hash == folder.Manifest.ContentHash,
            ChainIntact = folder.Manifest.Stages.All(stage => stage.Upstream.All(read => folder.Manifest.Stage(read.Key)?.OutputHash == read.Value)),
            ContentHash = hash,
        };
    }

    private static VerifiedFile Check(RunFolder folder, string stage, OutputFile output, CancellationToken cancellationToken)
    {
        var path = folder.PathOf(output.Path);
        var file = new FileInfo(path);
        if (!file.Exists)
        {
            return new(stage, output.Path, FileState.Missing, null);
        }

        if (file.Length != output.Bytes)
        {
            return new(stage, output.Path, FileState.Changed, $"{file.Length} bytes, recorded {output.Bytes}");
        }

        try
        {
            var hash = FileHash.OfFile(path, cancellationToken);
            return hash == output.Sha256 ? new(stage, output.Path, FileState.Ok, null) : new(stage, output.Path, FileState.Changed, $"SHA-256 {hash}, recorded {output.Sha256}");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return new(stage, output.Path, FileState.Changed, $"cannot be read: {exception.Message}");
        }
    }
}
