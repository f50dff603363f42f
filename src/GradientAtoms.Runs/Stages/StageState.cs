using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Runs.Files;

namespace GradientAtoms.Runs.Stages;

/// <summary>A running state as it was saved.</summary>
/// <param name="Blocks">Blocks that are in it.</param>
/// <param name="Path">The absolute path of its file.</param>
/// <param name="Notes">What was saved beside it.</param>
public sealed record SavedState(int Blocks, string Path, JsonNode? Notes);

/// <summary>
/// One cumulative file of a stage (sums, a half-tuned adapter), replaced after every block. <c>STAGE.state.json</c> names the file
/// that holds, its block count and its hash; the old one is deleted after the new one is named.
/// </summary>
public sealed class StageState
{
    private readonly RunFolder _run;
    private readonly string _stage;
    private readonly string _inputHash;
    private readonly string _indexPath;
    private bool _flip;

    internal StageState(RunFolder run, string stage, string inputHash)
    {
        (_run, _stage, _inputHash) = (run, stage, inputHash);
        _indexPath = run.PathOf($"{stage}.state.json");
    }

    /// <summary>Replaces the state through a stream.</summary>
    /// <param name="blocks">Blocks that are in it.</param>
    /// <param name="write">Writes the contents; the stream can seek.</param>
    /// <param name="notes">Small things beside it, given back to the same bits.</param>
    public void Save(int blocks, Action<Stream> write, JsonNode? notes = null) => Replace(blocks, path => AtomicFile.Write(path, write), notes);

    /// <summary>Replaces the state through a writer that wants a path.</summary>
    /// <param name="blocks">Blocks that are in it.</param>
    /// <param name="write">Makes a file at the path that it is given.</param>
    /// <param name="notes">Small things beside it, given back to the same bits.</param>
    public void SaveFile(int blocks, Action<string> write, JsonNode? notes = null) => Replace(blocks, path => AtomicFile.WriteFile(path, write), notes);

    /// <summary>What an earlier sitting with the same inputs has saved, or null.</summary>
    public SavedState? Load()
    {
        try
        {
            if (Index() is { } index && (string?)index["input_hash"] == _inputHash)
            {
                var name = (string)index["file"]!;
                var path = _run.PathOf(name);
                if (File.Exists(path) && FileHash.OfFile(path) == (string?)index["sha256"])
                {
                    _flip = name == NameOf(true);
                    return new((int)index["blocks"]!, path, index["notes"]?.DeepClone());
                }
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or FormatException or ArgumentException)
        {
            // A state that cannot be read is no state: the stage begins again.
        }

        Clear();
        return null;
    }

    /// <summary>Removes the state of these inputs, or one that nothing names any more, and leaves that of others.</summary>
    internal void ClearOwn()
    {
        try
        {
            if (Index() is { } index && (string?)index["input_hash"] != _inputHash)
            {
                return;
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or FormatException or ArgumentException)
        {
            // As in Load.
        }

        Clear();
    }

    internal void Clear()
    {
        File.Delete(_indexPath);
        File.Delete(_run.PathOf(NameOf(false)));
        File.Delete(_run.PathOf(NameOf(true)));
    }

    private JsonObject? Index() => File.Exists(_indexPath) ? JsonNode.Parse(File.ReadAllText(_indexPath)) as JsonObject : null;

    private string NameOf(bool flip) => $"{_stage}.state-{(flip ? "b" : "a")}";

    private void Replace(int blocks, Action<string> write, JsonNode? notes)
    {
        // Two names in turn: the file that the index names is never the one being replaced.
        var next = !_flip;
        var path = _run.PathOf(NameOf(next));
        write(path);
        AtomicFile.WriteText(_indexPath, new JsonObject
        {
            ["input_hash"] = _inputHash,
            ["blocks"] = blocks,
            ["file"] = NameOf(next),
            ["sha256"] = FileHash.OfFile(path),
            ["notes"] = notes?.DeepClone(),
        }.ToJsonString(RunJson.Compact) + "\n");
        File.Delete(_run.PathOf(NameOf(_flip)));
        _flip = next;
    }
}
