using System.Text.Json.Nodes;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Manifest;

namespace GradientAtoms.Runs.Stages;

/// <summary>What a running stage has in its hands.</summary>
public sealed class StageContext
{
    private readonly Action _beforeFirstOutput;
    private readonly SortedSet<string> _outputs = new(StringComparer.Ordinal);
    private readonly Dictionary<string, BlockStore> _blocks = new(StringComparer.Ordinal);
    private readonly List<SelfCheck> _checks = [];
    private BlockJournal? _journal;
    private StageState? _state;
    private bool _touched;

    internal StageContext(RunFolder folder, string stage, string inputHash, IReadOnlyList<string> dependsOn, Action beforeFirstOutput, IProgress<StageProgress>? progress, CancellationToken cancellationToken)
    {
        Folder = folder;
        StageName = stage;
        InputHash = inputHash;
        DependsOn = dependsOn;
        Progress = progress;
        CancellationToken = cancellationToken;
        _beforeFirstOutput = beforeFirstOutput;
    }

    /// <summary>The run.</summary>
    public RunFolder Folder { get; }

    /// <summary>The stage's name.</summary>
    public string StageName { get; }

    /// <summary>Hash of everything that the stage depends on.</summary>
    public string InputHash { get; }

    /// <summary>Where to report to, or null.</summary>
    public IProgress<StageProgress>? Progress { get; }

    /// <summary>Asked for once a batch.</summary>
    public CancellationToken CancellationToken { get; }

    /// <summary>Counts, losses, ledger: goes into the manifest as it is when the stage ends.</summary>
    public JsonObject Notes { get; } = [];

    /// <summary>A running state that is replaced after every block, and gone when the stage is done.</summary>
    public StageState State => _state ??= new(Folder, StageName, InputHash);

    /// <summary>What the stage depends on, by name.</summary>
    internal StageRecord? Described { get; init; }

    internal bool Touched => _touched;

    internal IReadOnlyList<SelfCheck> Checks => _checks;

    private IReadOnlyList<string> DependsOn { get; }

    private BlockJournal Journal => _journal ??= new(Folder, StageName, InputHash);

    /// <summary>
    /// Shards that are part of what the stage makes: <c>gradients/block-00007.safetensors</c>. Those that an interrupted sitting
    /// with the same inputs has finished are there already.
    /// </summary>
    /// <param name="folder">Under the run folder: <c>gradients</c>. No other stage may write there.</param>
    /// <param name="extension">Of the shards' files.</param>
    public BlockStore Blocks(string folder, string extension = ".safetensors") => Open(folder, extension, scratch: false);

    /// <summary>The same for shards that are only needed while the stage runs: they are deleted when it is done, and are no outputs.</summary>
    /// <param name="folder">Under the run folder. No other stage may write there.</param>
    /// <param name="extension">Of the shards' files.</param>
    public BlockStore Scratch(string folder, string extension = ".safetensors") => Open(folder, extension, scratch: true);

    /// <summary>Writes an output through a stream; the file is in its place, whole, or not at all.</summary>
    /// <param name="relative">Under the run folder, with <c>/</c>.</param>
    /// <param name="write">Writes the contents; the stream can seek.</param>
    public void Write(string relative, Action<Stream> write)
    {
        Touch();
        AtomicFile.Write(Folder.PathOf(relative), write);
        _outputs.Add(relative);
    }

    /// <summary>Writes a text output in UTF-8.</summary>
    /// <param name="relative">Under the run folder, with <c>/</c>.</param>
    /// <param name="text">The contents.</param>
    public void WriteText(string relative, string text)
    {
        Touch();
        AtomicFile.WriteText(Folder.PathOf(relative), text);
        _outputs.Add(relative);
    }

    /// <summary>Writes an output through a writer that wants a path.</summary>
    /// <param name="relative">Under the run folder, with <c>/</c>.</param>
    /// <param name="write">Makes a file at the path that it is given.</param>
    public void WriteFile(string relative, Action<string> write)
    {
        Touch();
        AtomicFile.WriteFile(Folder.PathOf(relative), write);
        _outputs.Add(relative);
    }

    /// <summary>Writes an output folder of several files through a writer that wants a folder: made beside, then moved file by file.</summary>
    /// <param name="relative">Under the run folder: <c>adapter</c>.</param>
    /// <param name="write">Makes its files in the folder that it is given.</param>
    public void WriteFolder(string relative, Action<string> write)
    {
        Touch();
        var target = Folder.PathOf(relative);
        var temporary = Folder.PathOf($".{relative.Replace('/', '-')}{AtomicFile.TemporaryExtension}");
        if (Directory.Exists(temporary))
        {
            Directory.Delete(temporary, recursive: true);
        }

        Directory.CreateDirectory(temporary);
        try
        {
            write(temporary);
            foreach (var file in Directory.GetFiles(temporary, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
            {
                var inside = Path.GetRelativePath(temporary, file).Replace('\\', '/');
                var place = Path.Combine(target, inside);
                AtomicFile.WriteFile(place, copy => File.Move(file, copy));
                _outputs.Add($"{relative}/{inside}");
            }
        }
        finally
        {
            Directory.Delete(temporary, recursive: true);
        }
    }

    /// <summary>Records that something was checked; it goes into the manifest and is shown by <c>gatoms verify</c>.</summary>
    /// <param name="name">Such as <c>gradients/autograd</c>.</param>
    /// <param name="passed">Whether it held.</param>
    /// <param name="detail">The number found and the one allowed.</param>
    public void Check(string name, bool passed, string detail) => _checks.Add(new(name, passed, detail));

    /// <summary>What a stage that this one depends on has noted.</summary>
    /// <param name="stage">Its name.</param>
    /// <exception cref="ArgumentException">This stage does not depend on it.</exception>
    public JsonObject NotesOf(string stage) => DependsOn.Contains(stage, StringComparer.Ordinal)
        ? Folder.Manifest.Stage(stage)!.Notes
        : throw new ArgumentException($"{StageName} does not depend on {stage}", nameof(stage));

    /// <summary>Says, before the first output is replaced, that what the manifest has of this stage no longer holds.</summary>
    internal void Touch()
    {
        if (!_touched)
        {
            _beforeFirstOutput();
            _touched = true;
        }
    }

    internal IReadOnlyList<OutputFile> CollectOutputs()
    {
        var outputs = new SortedDictionary<string, OutputFile>(StringComparer.Ordinal);
        foreach (var block in _blocks.Values.Where(store => !store.IsScratch).SelectMany(store => store.All))
        {
            outputs[block.Path] = new(block.Path, block.Bytes, block.Sha256);
        }

        foreach (var relative in _outputs)
        {
            var path = Folder.PathOf(relative);
            outputs[relative] = new(relative, new FileInfo(path).Length, FileHash.OfFile(path));
        }

        return [.. outputs.Values];
    }

    /// <summary>Removes what was only needed while the stage ran.</summary>
    internal void Finish()
    {
        foreach (var store in _blocks.Values.Where(store => store.IsScratch))
        {
            store.Clear();
        }

        State.Clear();
    }

    private BlockStore Open(string folder, string extension, bool scratch)
    {
        if (!_blocks.TryGetValue(folder, out var store))
        {
            store = new(Folder, Journal, folder, extension, scratch, scratch ? static () => { } : Touch);
            _blocks.Add(folder, store);
        }

        return store;
    }
}
