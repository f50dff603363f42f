using System.Globalization;
using System.Text;

namespace GradientAtoms.Runs.Files;

/// <summary>Writes a file beside its place, flushes it to the disk and renames it: a reader sees the old file or the new one, whole.</summary>
public static class AtomicFile
{
    /// <summary>What an unfinished file's name ends in; nothing of ours reads such a file.</summary>
    internal const string TemporaryExtension = ".gatoms-partial";

    private static int _count;

    /// <summary>Writes a file through a seekable stream.</summary>
    /// <param name="path">Where it shall be; its folder is made if need be.</param>
    /// <param name="write">Writes the contents. What it throws passes through, and the old file stays.</param>
    public static void Write(string path, Action<Stream> write) => WriteFile(path, temporary =>
    {
        using var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Read, 1 << 16);
        write(stream);
    });

    /// <summary>Writes a text file in UTF-8 without a byte-order mark.</summary>
    /// <param name="path">Where it shall be.</param>
    /// <param name="text">The contents.</param>
    public static void WriteText(string path, string text) => Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));

    /// <summary>Writes a file through a writer that wants a path of its own.</summary>
    /// <param name="path">Where it shall be.</param>
    /// <param name="write">Makes and closes a file at the path that it is given.</param>
    public static void WriteFile(string path, Action<string> write)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        Directory.CreateDirectory(folder);
        var temporary = Beside(path);
        try
        {
            write(temporary);
            using (var handle = File.OpenHandle(temporary, FileMode.Open, FileAccess.ReadWrite))
            {
                RandomAccess.FlushToDisk(handle);
            }

            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            TryDelete(temporary);
            throw;
        }
    }

    /// <summary>A name beside a file, for one that is to take its place: there is no file of that name, and <see cref="RemoveLeftovers"/> knows it.</summary>
    internal static string Beside(string path)
    {
        var number = Interlocked.Increment(ref _count);
        var temporary = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, string.Create(CultureInfo.InvariantCulture, $".{Path.GetFileName(path)}.{Environment.ProcessId}-{number}{TemporaryExtension}"));
        File.Delete(temporary); // Of a dead process that had our id.
        return temporary;
    }

    /// <summary>Removes what writers that died have left in a folder and below it; not in a run that lies in it, which another process may be writing.</summary>
    internal static int RemoveLeftovers(string folder)
    {
        var options = new EnumerationOptions { AttributesToSkip = FileAttributes.ReparsePoint };
        var removed = 0;
        foreach (var file in Directory.GetFiles(folder, "*" + TemporaryExtension + "*", options))
        {
            removed += TryDelete(file) ? 1 : 0;
        }

        foreach (var inner in Directory.GetDirectories(folder, "*", options))
        {
            if (Path.GetFileName(inner).Contains(TemporaryExtension, StringComparison.Ordinal))
            {
                Directory.Delete(inner, recursive: true);
                removed++;
            }
            else if (!File.Exists(Path.Combine(inner, ".lock")))
            {
                removed += RemoveLeftovers(inner);
            }
        }

        return removed;
    }

    private static bool TryDelete(string path)
    {
        try
        {
            File.Delete(path);
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
