using System.Text.Json;
using GradientAtoms.Runs.Files;

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

    /// <summary>A JSON file that begins with its schema and version.</summary>
    /// <exception cref="RunFolderException">GA2607 it is missing; GA2605 it is of a newer version; GA2609 it cannot be read.</exception>
    public static T ReadJson<T>(string path, string schema, int version)
        where T : class, IVersionedJson
    {
        using var stream = Open(path);
        T? file;
        try
        {
            file = JsonSerializer.Deserialize<T>(stream, RunJson.Indented);
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException or InvalidOperationException)
        {
            throw Damaged(path, exception.Message, exception);
        }

        if (file is null || file.Schema != schema)
        {
            throw Damaged(path, $"schema {file?.Schema ?? "missing"}, expected {schema}");
        }

        return file.Version == version ? file : throw OtherVersion(path, file.Version, version);
    }

    public static RunFolderException OtherVersion(string path, int found, int known) =>
        new("GA2605", path, $"has version {found}, this program reads version {known}", "Use a newer gatoms, or audit again into another folder.");

    public static RunFolderException Damaged(string path, string problem, Exception? cause = null) =>
        new("GA2609", path, $"cannot be read ({problem})", "Delete it and run the same `gatoms audit` again: it makes what is missing.", cause);
}

/// <summary>What every JSON file of ours begins with.</summary>
internal interface IVersionedJson
{
    string Schema { get; }

    int Version { get; }
}
