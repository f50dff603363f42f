namespace GradientAtoms.Runs.Planning;

/// <summary>What one stage is expected to take.</summary>
/// <param name="Name">Of the stage.</param>
/// <param name="Seconds">An estimate; the machine's load is not in it.</param>
/// <param name="MemoryBytes">At its peak.</param>
public sealed record PlannedStage(string Name, double Seconds, long MemoryBytes);

/// <summary>Files that a run will write.</summary>
/// <param name="Name">Of the file or folder.</param>
/// <param name="Bytes">An estimate.</param>
/// <param name="Temporary">Whether it goes again before the run ends.</param>
public sealed record PlannedFile(string Name, long Bytes, bool Temporary);

/// <summary>What a run will do and take, and why. Sizes follow from the shapes; seconds are estimates.</summary>
public sealed record RunPlan
{
    /// <summary>How gradients are kept; never <see cref="CoordinateKind.Auto"/>.</summary>
    public required CoordinateKind Coordinates { get; init; }

    /// <summary>Why these.</summary>
    public required string Why { get; init; }

    /// <summary>Numbers a stored row: d, or the size of the sketch.</summary>
    public required long RowSize { get; init; }

    /// <summary>Numbers a row has in the dictionary: the size of the sketch; else at most N, and at most as many as coordinates are kept.</summary>
    public required long DictionarySize { get; init; }

    /// <summary>About how far a cosine is off: 0 where exact, 1/√k for a sketch; null for the reference's coordinates, whose loss is in the ledger.</summary>
    public double? CosineError { get; init; }

    /// <summary>Whether the gradients of all documents are kept, so that the eigenvalues are those of all; not where they are sketched.</summary>
    public required bool KeepsAllGradients { get; init; }

    /// <summary>Documents that the eigenvalues are of: all, or the sample of the first pass where gradients are sketched.</summary>
    public required int SampleDocuments { get; init; }

    /// <summary>Tokens of a batch through the model: those asked for, or fewer where memory would not do.</summary>
    public required int BatchTokens { get; init; }

    /// <summary>Documents of a block, the unit of progress, resume and checksums.</summary>
    public required int BlockDocuments { get; init; }

    /// <summary>Blocks in all.</summary>
    public required int BlockCount { get; init; }

    /// <summary>What is written.</summary>
    public required IReadOnlyList<PlannedFile> Files { get; init; }

    /// <summary>The stages in their order.</summary>
    public required IReadOnlyList<PlannedStage> Stages { get; init; }

    /// <summary>What the run folder takes at most: temporary files that are not there at the same time are added up.</summary>
    public long DiskBytes => Files.Sum(file => file.Bytes);

    /// <summary>The most memory that the process takes at any time.</summary>
    public long MemoryBytes => Stages.Max(stage => stage.MemoryBytes);

    /// <summary>All stages together.</summary>
    public double Seconds => Stages.Sum(stage => stage.Seconds);
}
