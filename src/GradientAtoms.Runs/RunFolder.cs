using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Manifest;
using TorchSharp;

namespace GradientAtoms.Runs;

/// <summary>A run on the disk: its files, and <c>run.json</c> that says what they are.</summary>
public sealed class RunFolder : IDisposable
{
    private const string ManifestName = "run.json";
    private readonly RunLock? _lock;
    private bool _hasUnwritten;

    private RunFolder(string path, RunManifest manifest, RunLock? runLock)
    {
        Path = path;
        Manifest = manifest;
        _lock = runLock;
    }

    /// <summary>The folder, absolute.</summary>
    public string Path { get; }

    /// <summary>What <c>run.json</c> says.</summary>
    public RunManifest Manifest { get; private set; }

    /// <summary>Opens a run for writing, or begins one: locks it, and removes what a crash has left.</summary>
    /// <param name="path">A run folder, an empty folder, or one that is not there yet.</param>
    /// <exception cref="RunFolderException">GA2601 the folder holds something else; GA2602 it cannot be written; GA2603 another process writes it; GA2604 and GA2605 its manifest cannot be read.</exception>
    public static RunFolder Create(string path)
    {
        var full = System.IO.Path.GetFullPath(path);
        if (File.Exists(full))
        {
            throw new RunFolderException("GA2601", full, "is a file, a run is a folder", "Give another --out.");
        }

        if (Directory.Exists(full) && !File.Exists(System.IO.Path.Combine(full, ManifestName))
            && Directory.EnumerateFileSystemEntries(full).Any(entry => !IsOurs(System.IO.Path.GetFileName(entry))))
        {
            throw new RunFolderException("GA2601", full, "holds files but no run.json: it is not a run", "Give another --out, or an empty folder.");
        }

        try
        {
            Directory.CreateDirectory(full);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new RunFolderException("GA2602", full, $"the folder cannot be made ({exception.Message})", "Give another --out, or the right to write there.", exception);
        }

        return OpenLocked(full);
    }

    /// <summary>Opens a run that is there for writing: locks it, and removes what a crash has left.</summary>
    /// <param name="path">A run folder.</param>
    /// <exception cref="RunFolderException">GA2606 it is no run; else as <see cref="Create"/>.</exception>
    public static RunFolder Open(string path)
    {
        var full = System.IO.Path.GetFullPath(path);
        NeedManifest(full);
        return OpenLocked(full);
    }

    /// <summary>Opens a run for reading only: takes no lock and changes nothing.</summary>
    /// <param name="path">A run folder.</param>
    /// <exception cref="RunFolderException">GA2606 it is no run; GA2604 and GA2605 its manifest cannot be read.</exception>
    public static RunFolder OpenRead(string path)
    {
        var full = System.IO.Path.GetFullPath(path);
        NeedManifest(full);
        return new(full, ReadManifest(full), null);
    }

    /// <summary>Whether a folder is a run.</summary>
    /// <param name="path">Any path.</param>
    public static bool IsRun(string path) => File.Exists(System.IO.Path.Combine(path, ManifestName));

    /// <summary>The place of a file of the run.</summary>
    /// <param name="relative">With <c>/</c>: <c>gradients/block-00001.safetensors</c>. It may not lead out of the folder.</param>
    public string PathOf(string relative)
    {
        var full = System.IO.Path.GetFullPath(System.IO.Path.Combine(Path, relative));
        return full.StartsWith(Path + System.IO.Path.DirectorySeparatorChar, StringComparison.Ordinal)
            ? full
            : throw new RunFolderException("GA2604", System.IO.Path.Combine(Path, ManifestName), $"names {relative}, which is outside of the run", "The manifest has been changed: restore it, or audit again into another folder.");
    }

    /// <summary>The place of a file that must be there.</summary>
    /// <param name="relative">With <c>/</c>.</param>
    /// <exception cref="RunFolderException">GA2607: it is missing.</exception>
    public string Need(string relative)
    {
        var path = PathOf(relative);
        return File.Exists(path) ? path : throw new RunFolderException("GA2607", path, "is missing from the run", "Run the same `gatoms audit` again: it makes what is missing.");
    }

    /// <summary>Changes the manifest and writes it.</summary>
    /// <param name="change">Gives the new manifest for the old.</param>
    public void Update(Func<RunManifest, RunManifest> change)
    {
        if (_lock is null)
        {
            throw new InvalidOperationException("the run is open for reading only");
        }

        var changed = change(Manifest);
        changed = changed with { ContentHash = changed.ComputeContentHash(), Options = RunJson.Sorted(changed.Options) };
        AtomicFile.WriteText(System.IO.Path.Combine(Path, ManifestName), JsonSerializer.Serialize(changed, RunJson.Indented) + "\n");
        Manifest = changed;
        _hasUnwritten = false;
    }

    /// <summary>
    /// Changes the manifest without writing it: it is written with the next <see cref="Update"/> or <see cref="Save"/>. A command
    /// that fails before its first output so leaves the run as it was.
    /// </summary>
    /// <param name="change">Gives the new manifest for the old.</param>
    public void Remember(Func<RunManifest, RunManifest> change)
    {
        Manifest = change(Manifest);
        _hasUnwritten = true;
    }

    /// <summary>Writes what was remembered and not written yet.</summary>
    public void Save()
    {
        if (_hasUnwritten)
        {
            Update(manifest => manifest);
        }
    }

    /// <summary>Notes what is run: options as resolved, seed, versions and machine. Remembered, as <see cref="Remember"/> has it.</summary>
    /// <param name="options">All options, as resolved.</param>
    /// <param name="seed">The run's one seed.</param>
    public void Describe(JsonNode? options, long? seed) => Remember(manifest => manifest with
    {
        Options = options?.DeepClone(),
        Seed = seed,
        Versions = new(StringComparer.Ordinal)
        {
            ["gatoms"] = typeof(RunFolder).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown",
            ["torch"] = torch.__version__,
            ["torchsharp"] = typeof(torch).Assembly.GetName().Version?.ToString() ?? "unknown",
            ["dotnet"] = Environment.Version.ToString(),
        },
        Machine = new(StringComparer.Ordinal)
        {
            ["architecture"] = RuntimeInformation.ProcessArchitecture.ToString(),
            ["cores"] = Environment.ProcessorCount,
            ["memory_bytes"] = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
            ["name"] = Environment.MachineName,
            ["system"] = RuntimeInformation.OSDescription,
            ["time"] = DateTime.UtcNow.ToString("O", CultureInfo.InvariantCulture),
        },
    });

    /// <summary>Gives the lock back.</summary>
    public void Dispose() => _lock?.Dispose();

    private static RunFolder OpenLocked(string full)
    {
        var runLock = RunLock.Take(full);
        try
        {
            AtomicFile.RemoveLeftovers(full);
            var isNew = !IsRun(full);
            var folder = new RunFolder(full, isNew ? new() : ReadManifest(full), runLock);
            if (isNew)
            {
                folder.Update(manifest => manifest);
            }

            return folder;
        }
        catch
        {
            runLock.Dispose();
            throw;
        }
    }

    private static bool IsOurs(string name) => name is ".lock" or "run.lock" || name.EndsWith(AtomicFile.TemporaryExtension, StringComparison.Ordinal);

    private static void NeedManifest(string full)
    {
        if (!IsRun(full))
        {
            throw new RunFolderException("GA2606", full, Directory.Exists(full) ? "has no run.json: it is not a run" : "is not there", "Give the folder that `gatoms audit --out` wrote.");
        }
    }

    private static RunManifest ReadManifest(string full)
    {
        var path = System.IO.Path.Combine(full, ManifestName);
        RunManifest? manifest;
        try
        {
            manifest = JsonSerializer.Deserialize<RunManifest>(File.ReadAllBytes(path), RunJson.Indented);
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException or InvalidOperationException or IOException or UnauthorizedAccessException)
        {
            throw new RunFolderException("GA2604", path, $"cannot be read ({exception.Message})", "Restore it, or audit again into another folder.", exception);
        }

        if (manifest is null || manifest.Schema != RunManifest.SchemaName
            || manifest.Stages is null || manifest.InputFiles is null || manifest.Versions is null || manifest.Machine is null
            || manifest.Stages.Any(stage => stage is null || stage.Name is null || stage.Outputs is null || stage.Upstream is null || stage.Inputs is null
                || stage.Notes is null || stage.Checks is null || stage.Outputs.Any(output => output?.Path is null)))
        {
            throw new RunFolderException("GA2604", path, $"is no manifest of a run (schema {manifest?.Schema ?? "missing"}, expected {RunManifest.SchemaName})", "Restore it, or audit again into another folder.");
        }

        return manifest.Version == RunManifest.NewestVersion
            ? manifest
            : throw FormatGuard.OtherVersion(path, manifest.Version, RunManifest.NewestVersion);
    }
}
