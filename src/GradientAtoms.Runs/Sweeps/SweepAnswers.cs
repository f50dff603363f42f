using System.Text.Json;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Runs.Sweeps;

/// <summary>An answer of a sweep, as it is kept.</summary>
/// <param name="Key">Of everything that the answer depends on: an answer with this key need not be asked for again.</param>
/// <param name="Question">The question's id.</param>
/// <param name="Arm">The arm's id.</param>
/// <param name="Text">The answer.</param>
/// <param name="Tokens">Its tokens, a stop token included.</param>
/// <param name="Stop">Why it ended: <c>stop_token</c>, <c>length</c> or <c>context</c>.</param>
public sealed record SweepAnswer(string Key, string Question, string Arm, string Text, int Tokens, Models.Generation.StopReason Stop);

/// <summary>What a step does to documents, as it is kept.</summary>
/// <param name="Key">Of everything that the numbers depend on.</param>
/// <param name="Arm">The arm's id.</param>
/// <param name="Losses"><c>[n]</c>: −log p of each document's trained tokens, summed.</param>
internal sealed record SweepLosses(string Key, string Arm, IReadOnlyList<double> Losses);

/// <summary>A file of lines that is appended to and read back by key; a last line that a kill has cut is not there.</summary>
internal sealed class SweepJournal<T> : IDisposable
    where T : class
{
    private readonly FileStream _stream;
    private readonly Dictionary<string, T> _known = new(StringComparer.Ordinal);
    private readonly Func<T, string> _key;

    public SweepJournal(string path, Func<T, string> key)
    {
        _key = key;
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        try
        {
            _stream = new(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        }
        catch (IOException error)
        {
            throw new RunFolderException("GA2616", path, "another process is writing this sweep", "Wait for it, stop it, or give another --name.", error);
        }

        // Read as bytes: the position behind the last whole line is where writing goes on.
        var bytes = new byte[_stream.Length];
        _stream.ReadExactly(bytes);
        var start = 0;
        for (int end; (end = Array.IndexOf(bytes, (byte)'\n', start)) >= 0; start = end + 1)
        {
            if (Parse(bytes.AsSpan(start, end - start)) is { } line && key(line) is not null)
            {
                _known[key(line)] = line;
            }
        }

        _stream.SetLength(start);
        _stream.Position = start;
    }

    public T? Find(string key) => _known.GetValueOrDefault(key);

    public void Add(IEnumerable<T> lines)
    {
        foreach (var line in lines)
        {
            _known[_key(line)] = line;
            JsonSerializer.Serialize(_stream, line, RunJson.Compact);
            _stream.WriteByte((byte)'\n');
        }

        _stream.Flush(flushToDisk: true);
    }

    public void Dispose() => _stream.Dispose();

    private static T? Parse(ReadOnlySpan<byte> line)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(line, RunJson.Compact);
        }
        catch (JsonException)
        {
            return null; // Asked again.
        }
    }
}

/// <summary>What the key of an answer is made of beside arm and prompt.</summary>
internal static class SweepKey
{
    public static string OfRun(RunSession session) =>
        session.Folder.Manifest.Stage(AtomsStage.Name) is { } atoms ? $"{atoms.InputHash} {atoms.OutputHash}" : session.Folder.Manifest.ContentHash ?? session.Folder.Path;

    public static string Of(params object[] parts) => FileHash.OfText(JsonSerializer.Serialize(parts))[..24];
}
