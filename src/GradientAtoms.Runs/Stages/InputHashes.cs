using System.Globalization;
using GradientAtoms.Runs.Files;

namespace GradientAtoms.Runs.Stages;

/// <summary>Hashes of files outside of the run, remembered in the manifest while size and time are the same.</summary>
internal static class InputHashes
{
    // A file may be written again within one tick of its clock: what is as young as this is hashed again the next time.
    private static readonly TimeSpan Settled = TimeSpan.FromSeconds(2);

    public static string Of(RunFolder folder, string path, CancellationToken cancellationToken)
    {
        var full = Path.GetFullPath(path);
        try
        {
            var file = new FileInfo(full);
            if (!file.Exists)
            {
                throw Unreadable(full, "is not there", null);
            }

            var (bytes, time) = (file.Length, file.LastWriteTimeUtc);
            var modified = time.ToString("O", CultureInfo.InvariantCulture);
            var known = folder.Manifest.InputFiles.FirstOrDefault(input => input.Path == full);
            if (known is not null && known.Bytes == bytes && known.Modified == modified)
            {
                return known.Sha256;
            }

            var hash = FileHash.OfFile(full, cancellationToken);
            var others = folder.Manifest.InputFiles.Where(input => input.Path != full);
            folder.Remember(manifest => manifest with
            {
                InputFiles = [.. (DateTime.UtcNow - time > Settled ? others.Append(new(full, bytes, modified, hash)) : others).OrderBy(input => input.Path, StringComparer.Ordinal)],
            });
            return hash;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw Unreadable(full, $"cannot be read ({exception.Message})", exception);
        }
    }

    private static RunFolderException Unreadable(string path, string problem, Exception? cause) =>
        new("GA2608", path, problem, "Check the path and that the file can be read.", cause);
}
