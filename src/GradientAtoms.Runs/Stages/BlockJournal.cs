using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Runs.Files;

namespace GradientAtoms.Runs.Stages;

/// <summary>
/// <c>STAGE.blocks.jsonl</c>: a line for each finished shard. A line is only appended, so a crash can tear no more than the
/// last one, which is then ignored.
/// </summary>
internal sealed class BlockJournal
{
    private readonly string _path;
    private readonly string _inputHash;
    private readonly List<(string Folder, StoredBlock Block)> _blocks = [];

    public BlockJournal(RunFolder run, string stage, string inputHash)
    {
        _path = run.PathOf(NameOf(stage));
        _inputHash = inputHash;
        if (!File.Exists(_path))
        {
            return;
        }

        foreach (var line in File.ReadLines(_path))
        {
            if (TryRead(line, _inputHash) is { } entry)
            {
                _blocks.Add(entry);
            }
        }

        // Lines of other inputs and torn ones go, so that what is appended starts on a line of its own.
        Rewrite();
    }

    public static string NameOf(string stage) => $"{stage}.blocks.jsonl";

    /// <summary>The lines of some inputs; the file stays as it is.</summary>
    public static IReadOnlyList<(string Folder, StoredBlock Block)> Peek(RunFolder run, string stage, string inputHash)
    {
        var path = run.PathOf(NameOf(stage));
        return File.Exists(path) ? [.. File.ReadLines(path).Select(line => TryRead(line, inputHash)).OfType<(string, StoredBlock)>()] : [];
    }

    /// <summary>Takes out the lines of some folders of some inputs.</summary>
    public static void Strike(RunFolder run, string stage, string inputHash, IReadOnlyList<string> folders)
    {
        var path = run.PathOf(NameOf(stage));
        string[] kept = [.. File.ReadAllLines(path).Where(line => TryRead(line, inputHash) is not { } entry || !folders.Contains(entry.Folder, StringComparer.Ordinal))];
        if (kept.Length == 0)
        {
            File.Delete(path);
        }
        else
        {
            AtomicFile.WriteText(path, string.Concat(kept.Select(line => line + "\n")));
        }
    }

    public IEnumerable<StoredBlock> BlocksOf(string folder) => _blocks.Where(entry => entry.Folder == folder).Select(entry => entry.Block);

    public void Append(string folder, StoredBlock block)
    {
        _blocks.Add((folder, block));
        using var stream = new FileStream(_path, FileMode.Append, FileAccess.Write, FileShare.Read);
        stream.Write(Encoding.UTF8.GetBytes(Line(folder, block)));
        stream.Flush(flushToDisk: true);
    }

    public void Forget(string folder)
    {
        if (_blocks.RemoveAll(entry => entry.Folder == folder) > 0)
        {
            Rewrite();
        }
    }

    private void Rewrite()
    {
        if (_blocks.Count == 0)
        {
            File.Delete(_path);
        }
        else
        {
            AtomicFile.WriteText(_path, string.Concat(_blocks.Select(entry => Line(entry.Folder, entry.Block))));
        }
    }

    private string Line(string folder, StoredBlock block) => new JsonObject
    {
        ["input_hash"] = _inputHash,
        ["folder"] = folder,
        ["block"] = block.Id,
        ["path"] = block.Path,
        ["bytes"] = block.Bytes,
        ["sha256"] = block.Sha256,
        ["notes"] = block.Notes?.DeepClone(),
    }.ToJsonString(RunJson.Compact) + "\n";

    private static (string Folder, StoredBlock Block)? TryRead(string line, string inputHash)
    {
        try
        {
            var json = JsonNode.Parse(line);
            return json is JsonObject && (string?)json["input_hash"] == inputHash
                ? ((string)json["folder"]!, new((int)json["block"]!, (string)json["path"]!, (long)json["bytes"]!, (string)json["sha256"]!, json["notes"]))
                : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or FormatException or ArgumentException)
        {
            return null;
        }
    }
}
