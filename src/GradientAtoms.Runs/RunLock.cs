using System.Diagnostics;
using System.Globalization;
using GradientAtoms.Runs.Files;

namespace GradientAtoms.Runs;

/// <summary>
/// Keeps a second process from writing the same run. <c>.lock</c> is held open and locked, which the operating system undoes
/// when the process dies; <c>run.lock</c> says who it is, for the message, and catches file systems without locks.
/// </summary>
internal sealed class RunLock : IDisposable
{
    private readonly FileStream _guard;
    private readonly string _ownerPath;

    private RunLock(FileStream guard, string ownerPath)
    {
        _guard = guard;
        _ownerPath = ownerPath;
    }

    public static RunLock Take(string folder)
    {
        var ownerPath = Path.Combine(folder, "run.lock");
        FileStream guard;
        try
        {
            guard = new(Path.Combine(folder, ".lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException exception)
        {
            throw Held(folder, ReadOwner(ownerPath), exception);
        }
        catch (UnauthorizedAccessException exception)
        {
            throw new RunFolderException("GA2602", folder, "the folder cannot be written", "Give another --out, or the right to write there.", exception);
        }

        var owner = ReadOwner(ownerPath);
        if (owner is { } other && other.Id != Environment.ProcessId && other.Host == Environment.MachineName && IsAlive(other))
        {
            guard.Dispose();
            throw Held(folder, owner, null);
        }

        try
        {
            using var self = Process.GetCurrentProcess();
            AtomicFile.WriteText(ownerPath, string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessId} {self.StartTime.ToUniversalTime().Ticks} {Environment.MachineName}\n"));
            return new(guard, ownerPath);
        }
        catch
        {
            guard.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        // The guard file stays: deleting it would let a third process lock a new one while a second still holds the old.
        File.Delete(_ownerPath);
        _guard.Dispose();
    }

    private static RunFolderException Held(string folder, (int Id, long Started, string Host)? owner, Exception? cause) => new(
        "GA2603",
        folder,
        owner is { } other ? string.Create(CultureInfo.InvariantCulture, $"process {other.Id} on {other.Host} is writing this run") : "another process is writing this run",
        "Wait for it, stop it, or give another --out.",
        cause);

    private static (int Id, long Started, string Host)? ReadOwner(string path)
    {
        try
        {
            var parts = File.ReadAllText(path).Split(' ', 3);
            return parts.Length == 3
                && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var id)
                && long.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var started)
                ? (id, started, parts[2].Trim())
                : null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static bool IsAlive((int Id, long Started, string Host) owner)
    {
        try
        {
            using var process = Process.GetProcessById(owner.Id);

            // Process ids are used again: another start time is another process. The clock's base may shift by a little.
            return Math.Abs(process.StartTime.ToUniversalTime().Ticks - owner.Started) < TimeSpan.TicksPerSecond * 2;
        }
        catch (Exception exception) when (exception is ArgumentException or InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
