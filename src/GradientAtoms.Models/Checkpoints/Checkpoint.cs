using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Checkpoints;

/// <summary>The weights of a model under Hugging Face's names, from one safetensors file, from shards, or from a GGUF file.</summary>
public abstract class Checkpoint : IDisposable
{
    /// <summary>What the file format is called: <c>safetensors</c> or <c>GGUF</c>.</summary>
    public abstract string Format { get; }

    /// <summary>The files that hold the weights, absolute.</summary>
    public abstract IReadOnlyList<string> Files { get; }

    /// <summary>Every tensor's name.</summary>
    public abstract IReadOnlyList<string> Names { get; }

    /// <summary>A hash of the headers and the lengths of the files: cheap, and different wherever names, shapes, types or metadata differ.</summary>
    public abstract string Fingerprint { get; }

    /// <summary>Whether there is a tensor of this name.</summary>
    public abstract bool Contains(string name);

    /// <summary>A tensor's shape, row-major.</summary>
    public abstract IReadOnlyList<long> Shape(string name);

    /// <summary>How a tensor is stored: <c>BF16</c>, <c>Q4_1</c>.</summary>
    public abstract string StoredType(string name);

    /// <summary>Reads a tensor.</summary>
    /// <returns>float32, on the CPU. The caller owns it.</returns>
    public abstract Tensor Read(string name);

    /// <summary>Opens the weights of a Hugging Face folder, a safetensors file or a GGUF file.</summary>
    /// <exception cref="CheckpointException">GA2301 to GA2313, GA2341: nothing there, or damaged.</exception>
    public static Checkpoint Open(string path)
    {
        if (File.Exists(path))
        {
            return GgufFile.IsGguf(path) || path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) ? new GgufCheckpoint(GgufFile.Open(path)) : SafetensorsCheckpoint.OfFiles([path], null);
        }

        var single = Path.Combine(path, "model.safetensors");
        var index = Path.Combine(path, "model.safetensors.index.json");
        if (File.Exists(single))
        {
            return SafetensorsCheckpoint.OfFiles([single], null);
        }

        if (File.Exists(index))
        {
            return SafetensorsCheckpoint.OfIndex(index);
        }

        var pickled = Directory.Exists(path) && Directory.EnumerateFiles(path, "pytorch_model*.bin").Any();
        throw new CheckpointException(
            "GA2341", path,
            pickled ? "has pickled weights (pytorch_model.bin) only; they can run code and are not read" : "has neither model.safetensors nor model.safetensors.index.json",
            pickled ? "Convert it: load the model with transformers and save_pretrained it." : "Fetch the whole model, or name a GGUF file.");
    }

    /// <summary>SHA-256 of a whole file, in hexadecimal digits.</summary>
    public static string FileSha256(string path)
    {
        using var stream = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Closes the files.</summary>
    protected abstract void Dispose(bool disposing);

    private protected static string Hash(IEnumerable<string> parts) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', parts))));
}

/// <summary>One safetensors file, or the shards of an index.</summary>
internal sealed class SafetensorsCheckpoint : Checkpoint
{
    private readonly List<SafetensorsFile> _files;
    private readonly Dictionary<string, SafetensorsFile> _owner;

    private SafetensorsCheckpoint(List<SafetensorsFile> files, Dictionary<string, SafetensorsFile> owner)
    {
        (_files, _owner) = (files, owner);
        Files = [.. files.Select(file => Path.GetFullPath(file.Path))];
        Names = [.. files.SelectMany(file => file.Names)];
        Fingerprint = Hash(files.Select(file => $"{Path.GetFileName(file.Path)} {file.Length} {file.HeaderSha256}"));
    }

    public override string Format => "safetensors";

    public override IReadOnlyList<string> Files { get; }

    public override IReadOnlyList<string> Names { get; }

    public override string Fingerprint { get; }

    public static SafetensorsCheckpoint OfFiles(IReadOnlyList<string> paths, IReadOnlyDictionary<string, string>? index)
    {
        var files = new List<SafetensorsFile>();
        try
        {
            var owner = new Dictionary<string, SafetensorsFile>(StringComparer.Ordinal);
            foreach (var path in paths)
            {
                var file = SafetensorsFile.Open(path);
                files.Add(file);
                foreach (var name in file.Names.Where(name => !owner.TryAdd(name, file)))
                {
                    throw new CheckpointException("GA2333", path, $"{name} is also in {Path.GetFileName(owner[name].Path)}", "Two shards hold one tensor: fetch the model again.");
                }
            }

            foreach (var (name, shard) in index ?? new Dictionary<string, string>(StringComparer.Ordinal))
            {
                if (!owner.TryGetValue(name, out var holder) || Path.GetFileName(holder.Path) != shard)
                {
                    throw new CheckpointException("GA2333", Path.GetDirectoryName(paths[0]) ?? "", $"the index says that {name} is in {shard}, and it is not", "Fetch the model again.");
                }
            }

            return new(files, owner);
        }
        catch
        {
            files.ForEach(file => file.Dispose());
            throw;
        }
    }

    public static SafetensorsCheckpoint OfIndex(string indexPath)
    {
        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(indexPath), new JsonDocumentOptions { AllowDuplicateProperties = false });
            foreach (var item in document.RootElement.GetProperty("weight_map").EnumerateObject())
            {
                var shard = item.Value.GetString() ?? "";
                if (shard.Length == 0 || shard != Path.GetFileName(shard))
                {
                    throw new CheckpointException("GA2333", indexPath, $"says that {item.Name} is in '{shard}', which is no file beside it", "Fetch the model again.");
                }

                map.Add(item.Name, shard);
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or KeyNotFoundException or IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException("GA2333", indexPath, $"is no shard index ({exception.Message})", "Fetch the model again.", exception);
        }

        var folder = Path.GetDirectoryName(indexPath) ?? "";
        if (map.Values.FirstOrDefault(shard => !File.Exists(Path.Combine(folder, shard))) is { } missing)
        {
            throw new CheckpointException(
                "GA2333", indexPath, $"names the shard {missing}, which is not beside it ({map.Values.Distinct(StringComparer.Ordinal).Count(shard => !File.Exists(Path.Combine(folder, shard)))} of {map.Values.Distinct(StringComparer.Ordinal).Count()} are missing)",
                $"The model is incomplete: fetch {missing}, or the whole model again.");
        }

        return map.Count > 0
            ? OfFiles([.. map.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).Select(shard => Path.Combine(folder, shard))], map)
            : throw new CheckpointException("GA2333", indexPath, "names no tensor", "Fetch the model again.");
    }

    public override bool Contains(string name) => _owner.ContainsKey(name);

    public override IReadOnlyList<long> Shape(string name) => Owner(name).Entry(name).Shape;

    public override string StoredType(string name) => Owner(name).Entry(name).StoredType;

    public override Tensor Read(string name)
    {
        var tensor = Owner(name).Read(name);
        if (tensor.dtype == ScalarType.Float32)
        {
            return tensor;
        }

        tensor.Dispose();
        throw new CheckpointException("GA2304", Owner(name).Path, $"{name} is stored as {StoredType(name)}, weights are floating point", "Quantised safetensors are not read: use the original model or a GGUF file.");
    }

    protected override void Dispose(bool disposing) => _files.ForEach(file => file.Dispose());

    private SafetensorsFile Owner(string name) => _owner.TryGetValue(name, out var file)
        ? file
        : throw new CheckpointException("GA2305", Files[0], $"has no tensor {name}", "The model is incomplete: fetch it again.");
}
