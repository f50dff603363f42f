namespace GradientAtoms.Tests.Support;

/// <summary>
/// The folder of numbers computed by the Python stack: <c>GATOMS_FIXTURES</c>, else <c>../shared/fixtures</c> beside the
/// repository. A test whose folder is missing is reported as skipped, by name.
/// </summary>
internal static class Fixtures
{
    private static readonly string Repository = FindRepository();

    /// <summary>The repository's root.</summary>
    public static string RepositoryRoot => Repository;

    /// <summary>The fixture folder.</summary>
    public static string Root => Environment.GetEnvironmentVariable("GATOMS_FIXTURES") is { Length: > 0 } named
        ? named
        : Path.GetFullPath(Path.Combine(Repository, "..", "shared", "fixtures"));

    /// <summary>Models and data that belong to no repository: <c>GATOMS_SHARED</c>, else the folder that holds the fixtures.</summary>
    public static string Shared => Environment.GetEnvironmentVariable("GATOMS_SHARED") is { Length: > 0 } named
        ? named
        : Path.GetFullPath(Path.Combine(Repository, "..", "shared"));

    /// <summary>A file or folder of the fixtures; skips the test where it is missing.</summary>
    public static string Need(string relative) => NeedAt(Path.Combine(Root, relative));

    /// <summary>A file or folder beside the fixtures (<c>models/…</c>, <c>data/…</c>); skips the test where it is missing.</summary>
    public static string NeedShared(string relative) => NeedAt(Path.Combine(Shared, relative));

    private static string NeedAt(string path)
    {
        if (!File.Exists(path) && !Directory.Exists(path))
        {
            Assert.Skip($"fixture {path} is missing (set GATOMS_FIXTURES)");
        }

        return path;
    }

    private static string FindRepository()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "GradientAtoms.slnx")))
        {
            folder = Path.GetDirectoryName(folder.TrimEnd(Path.DirectorySeparatorChar))
                ?? throw new InvalidOperationException("the tests run from inside the repository");
        }

        return folder;
    }
}
