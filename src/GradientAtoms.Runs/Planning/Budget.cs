namespace GradientAtoms.Runs.Planning;

/// <summary>What a run may use.</summary>
/// <param name="MemoryBytes">Of the process, at its peak.</param>
/// <param name="DiskBytes">Of the run folder, all in all.</param>
/// <param name="TimeSeconds">From begin to end; null: no limit.</param>
public sealed record Budget(long MemoryBytes, long DiskBytes, double? TimeSeconds = null)
{
    /// <summary>Left free on the disk by <see cref="For"/>: 2 GiB.</summary>
    public const long DiskReserve = 2L << 30;

    /// <summary>No limit at all.</summary>
    public static Budget Unlimited { get; } = new(long.MaxValue, long.MaxValue);

    /// <summary>
    /// What the machine has: all of the memory that the process may have, and the free disk at a folder with what the run already
    /// takes there (so that a run that goes on sees the same limit as when it began), less <see cref="DiskReserve"/>.
    /// </summary>
    /// <param name="runPath">The run folder, there or not.</param>
    /// <param name="memoryBytes">A limit that was asked for, or null.</param>
    /// <param name="diskBytes">A limit that was asked for, or null.</param>
    /// <param name="timeSeconds">A limit that was asked for, or null.</param>
    public static Budget For(string runPath, long? memoryBytes = null, long? diskBytes = null, double? timeSeconds = null)
    {
        var folder = new DirectoryInfo(Path.GetFullPath(runPath));
        var taken = folder.Exists ? folder.EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length) : 0;
        while (!folder.Exists && folder.Parent is { } parent)
        {
            folder = parent;
        }

        return new(
            memoryBytes ?? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
            diskBytes ?? Math.Max(0, new DriveInfo(folder.FullName).AvailableFreeSpace + taken - DiskReserve),
            timeSeconds);
    }
}
