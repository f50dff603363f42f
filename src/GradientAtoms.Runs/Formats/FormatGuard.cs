namespace GradientAtoms.Runs.Formats;

/// <summary>The errors that all our files have in common.</summary>
internal static class FormatGuard
{
    public static FileStream Open(string path)
    {
        try
        {
            return new(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new RunFolderException("GA2607", path, "is missing from the run", "Run the same `gatoms audit` again: it makes what is missing.", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw Damaged(path, exception.Message, exception);
        }
    }

    public static RunFolderException Damaged(string path, string problem, Exception? cause = null) =>
        new("GA2609", path, $"cannot be read ({problem})", "Delete it and run the same `gatoms audit` again: it makes what is missing.", cause);
}
