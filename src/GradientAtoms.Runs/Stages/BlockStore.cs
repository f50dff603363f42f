using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using GradientAtoms.Runs.Files;

namespace GradientAtoms.Runs.Stages;

/// <summary>A finished shard.</summary>
/// <param name="Id">The block's number, from 0.</param>
/// <param name="Path">Relative to the run folder, with <c>/</c>.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Sha256">Of its contents.</param>
/// <param name="Notes">What the stage wrote down with it: sums, losses.</param>
public sealed record StoredBlock(int Id, string Path, long Bytes, string Sha256, JsonNode? Notes);

/// <summary>
/// Shards of a stage, one a block of documents. Each is in its place, whole, before the journal names it, so that after a crash
/// the stage goes on at the first block that is not there.
/// </summary>
public sealed partial class BlockStore
{
    // Up to here all shards are read again when a stage goes on; beyond, only the last one, the only one a crash can have touched.
    private const long CheapToCheck = 1L << 30;

    private readonly RunFolder _run;
    private readonly BlockJournal _journal;
    private readonly string _extension;
    private readonly Action _touch;
    private readonly SortedDictionary<int, StoredBlock> _blocks = [];

    internal BlockStore(RunFolder run, BlockJournal journal, string folder, string extension, bool scratch, Action touch)
    {
        (_run, _journal, Folder, _extension, IsScratch, _touch) = (run, journal, folder, extension, scratch, touch);
        Load();
    }

    /// <summary>Under the run folder: <c>gradients</c>.</summary>
    public string Folder { get; }

    /// <summary>The finished shards by number.</summary>
    public IReadOnlyCollection<StoredBlock> All => _blocks.Values;

    /// <summary>How many shards an earlier sitting had finished and this one found whole.</summary>
    public int ReusedCount { get; private set; }

    internal bool IsScratch { get; }

    /// <summary>Whether a block is finished.</summary>
    /// <param name="id">The block's number.</param>
    public bool Has(int id) => _blocks.ContainsKey(id);

    /// <summary>A finished block.</summary>
    /// <param name="id">The block's number.</param>
    /// <exception cref="KeyNotFoundException">It is not there.</exception>
    public StoredBlock this[int id] => _blocks[id];

    /// <summary>The absolute path of a finished block.</summary>
    /// <param name="id">The block's number.</param>
    public string PathOf(int id) => _run.PathOf(_blocks[id].Path);

    /// <summary>Writes a block through a stream; one of the same number is replaced.</summary>
    /// <param name="id">The block's number, from 0.</param>
    /// <param name="write">Writes the contents; the stream can seek.</param>
    /// <param name="notes">Written into the journal with it, and given back on resume to the same bits.</param>
    public StoredBlock Write(int id, Action<Stream> write, JsonNode? notes = null) => Add(id, path => AtomicFile.Write(path, write), notes);

    /// <summary>Writes a block through a writer that wants a path; one of the same number is replaced.</summary>
    /// <param name="id">The block's number, from 0.</param>
    /// <param name="write">Makes a file at the path that it is given.</param>
    /// <param name="notes">Written into the journal with it, and given back on resume to the same bits.</param>
    public StoredBlock WriteFile(int id, Action<string> write, JsonNode? notes = null) => Add(id, path => AtomicFile.WriteFile(path, write), notes);

    /// <summary>Deletes blocks from a number on, where a running state that stands earlier makes them again.</summary>
    /// <param name="id">The first to go.</param>
    public void RemoveFrom(int id)
    {
        foreach (var block in _blocks.Values.Where(block => block.Id >= id).ToList())
        {
            _blocks.Remove(block.Id);
            File.Delete(_run.PathOf(block.Path));
        }
    }

    /// <summary>Deletes a block, if it is there.</summary>
    internal void Remove(int id)
    {
        if (_blocks.Remove(id, out var block))
        {
            File.Delete(_run.PathOf(block.Path));
        }
    }

    /// <summary>Takes over a block that another process has made: its file is moved here, from the same file system.</summary>
    /// <param name="block">As that process recorded it.</param>
    /// <param name="from">Where its file is now.</param>
    internal void Adopt(StoredBlock block, string from)
    {
        _touch();
        var here = block with { Path = PathFor(block.Id) };
        var path = _run.PathOf(here.Path);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);

        // A line without its file is passed over when the stage goes on, a file without its line would be deleted.
        _journal.Append(Folder, here);
        File.Move(from, path, overwrite: true);
        _blocks[block.Id] = here;
    }

    /// <summary>The number of a block, from its path.</summary>
    internal static int IdOf(string path) => int.Parse(Path.GetFileNameWithoutExtension(path).AsSpan("block-".Length), NumberStyles.None, CultureInfo.InvariantCulture);

    internal void Clear()
    {
        _journal.Forget(Folder);
        RemoveFrom(0);
        RemoveIfEmpty(_run.PathOf(Folder));
    }

    internal static void RemoveIfEmpty(string folder)
    {
        if (Directory.Exists(folder) && !Directory.EnumerateFileSystemEntries(folder).Any())
        {
            Directory.Delete(folder);
        }
    }

    private StoredBlock Add(int id, Action<string> write, JsonNode? notes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        _touch();
        var relative = PathFor(id);
        var path = _run.PathOf(relative);
        write(path);
        var block = new StoredBlock(id, relative, new FileInfo(path).Length, FileHash.OfFile(path), notes?.DeepClone());
        _journal.Append(Folder, block);
        return _blocks[id] = block;
    }

    private string PathFor(int id) => string.Create(CultureInfo.InvariantCulture, $"{Folder}/block-{id:D5}{_extension}");

    private void Load()
    {
        foreach (var block in _journal.BlocksOf(Folder))
        {
            var file = new FileInfo(_run.PathOf(block.Path));
            if (file.Exists && file.Length == block.Bytes)
            {
                _blocks[block.Id] = block;
            }
            else
            {
                _blocks.Remove(block.Id);
            }
        }

        var suspects = _blocks.Values.Sum(block => block.Bytes) <= CheapToCheck ? _blocks.Values.ToList() : [_blocks.Values.Last()];
        foreach (var block in suspects.Where(block => FileHash.OfFile(_run.PathOf(block.Path)) != block.Sha256))
        {
            _blocks.Remove(block.Id);
        }

        ReusedCount = _blocks.Count;
        RemoveStrangers();
    }

    /// <summary>Deletes shards that no line of the journal vouches for: of other options, or written by a process that died before its line.</summary>
    private void RemoveStrangers()
    {
        var folder = _run.PathOf(Folder);
        if (!Directory.Exists(folder))
        {
            return;
        }

        var known = _blocks.Values.Select(block => Path.GetFileName(block.Path)).ToHashSet(StringComparer.Ordinal);
        foreach (var file in Directory.GetFiles(folder, "block-*" + _extension))
        {
            if (ShardName().IsMatch(Path.GetFileName(file)) && !known.Contains(Path.GetFileName(file)))
            {
                _touch();
                File.Delete(file);
            }
        }
    }

    [GeneratedRegex(@"^block-[0-9]{5,}\.[a-z]+$", RegexOptions.NonBacktracking)]
    private static partial Regex ShardName();
}
