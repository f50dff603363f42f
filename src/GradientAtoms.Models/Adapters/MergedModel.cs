using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Adapters;

/// <summary>Writes a model with an adapter added to its weights, W + s·B A, as a Hugging Face folder that needs no adapter any more.</summary>
public static class MergedModel
{
    private static readonly string[] CopiedFiles =
    [
        "config.json", "generation_config.json", "tokenizer*", "added_tokens.json", "special_tokens_map.json", "chat_template*", "vocab.*", "merges.txt", "spiece.model",
        "preprocessor_config.json", "processor_config.json", "LICENSE*", "NOTICE*",
    ];

    /// <summary>Looks whether a model can be written with an adapter of it added, before any work is done.</summary>
    /// <param name="source">The model, as <see cref="LoadedModel.Load"/> takes it.</param>
    /// <param name="adapterFolder">The PEFT folder whose <c>modules_to_save</c> belong to the adapter; null: none.</param>
    /// <exception cref="AdapterException">GA2409: it is a GGUF file, or the adapter trained a tied head or embedding whole.</exception>
    /// <exception cref="CheckpointException">GA23xx: it is missing, damaged, or of a kind that is not known.</exception>
    public static void Check(string source, string? adapterFolder = null)
    {
        using var checkpoint = Open(source, out var model);
        using var saved = Saved(model, adapterFolder);
    }

    /// <summary>Writes the folder beside its place and renames it: configuration, tokenizer and chat template copied, weights under the checkpoint's own names, in its files and types; float32 where those have 8 bits.</summary>
    /// <param name="folder">Must not exist.</param>
    /// <param name="source">The model, as <see cref="LoadedModel.Load"/> takes it.</param>
    /// <param name="model">The same, loaded: it knows which weights are stored transposed.</param>
    /// <param name="adapter">What is added. Left to the caller.</param>
    /// <param name="adapterFolder">As for <see cref="Check"/>.</param>
    /// <param name="card">The text of README.md; null: none.</param>
    /// <param name="provenance">Where it comes from, for <c>__metadata__</c> of every weight file; null: nothing is added.</param>
    /// <param name="cancellationToken">Looked at between weights.</param>
    /// <exception cref="AdapterException">GA2409: see <see cref="Check"/>.</exception>
    /// <exception cref="CheckpointException">GA23xx: as <see cref="Check"/>; GA2332: a sum is too large for the type that it is stored in.</exception>
    /// <exception cref="IOException">The folder exists, or cannot be written.</exception>
    public static void Write(
        string folder, string source, CausalLanguageModel model, LoraAdapter adapter, string? adapterFolder = null, string? card = null,
        IReadOnlyDictionary<string, string>? provenance = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(adapter);
        using var noGrad = no_grad();
        using var checkpoint = Open(source, out var from);
        using var saved = Saved(from, adapterFolder);
        folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        if (Path.Exists(folder))
        {
            throw new IOException($"{folder} exists already");
        }

        var beside = $"{folder}.{Environment.ProcessId}.{Guid.NewGuid():N}.tmp";
        Directory.CreateDirectory(beside);
        try
        {
            var weights = new Weights(from.Weights, model, adapter, saved);
            foreach (var path in checkpoint.Files)
            {
                var name = checkpoint.Files.Count == 1 ? "model.safetensors" : Path.GetFileName(path);
                using var file = SafetensorsFile.Open(path);
                weights.Write(file, Path.Combine(beside, name), provenance, cancellationToken);
            }

            var origin = Path.GetDirectoryName(checkpoint.Files[0])!;
            string[] copied = checkpoint.Files.Count == 1 ? CopiedFiles : [.. CopiedFiles, "model.safetensors.index.json"];
            foreach (var file in copied.SelectMany(pattern => Directory.EnumerateFiles(origin, pattern)))
            {
                File.Copy(file, Path.Combine(beside, Path.GetFileName(file)));
            }

            if (weights.WereWidened)
            {
                SayFloat32(Path.Combine(beside, "config.json"));
            }

            if (card is not null)
            {
                File.WriteAllText(Path.Combine(beside, "README.md"), card);
            }

            Directory.Move(beside, folder);
        }
        catch
        {
            Directory.Delete(beside, recursive: true);
            throw;
        }
    }

    private static Checkpoint Open(string source, out ModelSource model)
    {
        var place = HubCache.Resolve(source);
        var checkpoint = Checkpoint.Open(place);
        try
        {
            model = checkpoint.Format == "GGUF"
                ? throw new AdapterException("GA2409", place, "is a GGUF file; only Hugging Face folders are written with an adapter added", "Use `gatoms export gguf`: llama.cpp loads that beside the file.")
                : FolderSource.Open(place, checkpoint);
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    private static SavedModules? Saved(ModelSource model, string? adapterFolder)
    {
        var saved = adapterFolder is null ? null : SavedModules.Of(model.Blueprint, model.Weights, adapterFolder)?.Weights;
        if (saved is { IsUntied: true })
        {
            saved.Dispose();
            throw new AdapterException(
                "GA2409", adapterFolder!, "trained the head or the embedding whole, which are one weight in this model: the checkpoint has no place for the second", "Use `gatoms export adapter`, which keeps it.");
        }

        return saved;
    }

    // transformers would round float32 weights to the type that the configuration names.
    private static void SayFloat32(string path)
    {
        var config = JsonNode.Parse(File.ReadAllBytes(path))!.AsObject();
        foreach (var part in new[] { config, config["text_config"] as JsonObject }.OfType<JsonObject>())
        {
            foreach (var key in ((string[])["dtype", "torch_dtype"]).Where(part.ContainsKey))
            {
                part[key] = "float32";
            }
        }

        File.WriteAllText(path, config.ToJsonString(new JsonSerializerOptions { WriteIndented = true }));
    }

    /// <summary>The weights, one at a time.</summary>
    private sealed class Weights(TextWeights text, CausalLanguageModel model, LoraAdapter adapter, SavedModules? saved)
    {
        private readonly Dictionary<string, string> _names = text.Names.ToDictionary(text.StoredName, StringComparer.Ordinal);
        private readonly HashSet<string> _transposed = model.LinearModules.Where(module => module.IsStoredTransposed).Select(module => module.Name).ToHashSet(StringComparer.Ordinal);

        public bool WereWidened { get; private set; }

        public void Write(SafetensorsFile file, string path, IReadOnlyDictionary<string, string>? provenance, CancellationToken cancellationToken)
        {
            // transformers wants to know whose layout it is.
            var metadata = new Dictionary<string, string>(file.Metadata, StringComparer.Ordinal);
            metadata.TryAdd("format", "pt");
            foreach (var (key, value) in provenance ?? new Dictionary<string, string>(StringComparer.Ordinal))
            {
                metadata[key] = value;
            }

            using var writer = SafetensorsStreamWriter.Create(path, file.Names.Select(name => new SafetensorsDeclaration(name, TypeOf(file.Entry(name)), file.Entry(name).Shape)), metadata);
            foreach (var stored in file.Names)
            {
                cancellationToken.ThrowIfCancellationRequested();
                using var scope = NewDisposeScope();
                writer.Append(stored, Read(file, file.Entry(stored)));
            }

            writer.Complete();
        }

        private static ScalarType TypeOf(SafetensorsEntry entry) => SafetensorsHeader.TorchType(entry.StoredType) ?? ScalarType.Float32;

        private Tensor Read(SafetensorsFile file, SafetensorsEntry entry)
        {
            var name = _names.GetValueOrDefault(entry.Name);
            var module = name is not null && name.EndsWith(".weight", StringComparison.Ordinal) ? name[..^".weight".Length] : string.Empty;
            var (lora, isSaved) = (adapter.Find(module), name is not null && saved?.Replaces(name) == true);
            WereWidened |= SafetensorsHeader.TorchType(entry.StoredType) is null;
            if (lora is null && !isSaved)
            {
                return SafetensorsHeader.TorchType(entry.StoredType) is null ? file.Read(entry.Name) : file.ReadRaw(entry.Name);
            }

            var values = isSaved ? saved!.Read(name!) : file.Read(entry.Name);
            if (lora is not null)
            {
                var change = lora.B.cpu().matmul(lora.A.cpu()) * lora.Scale; // [out, in]
                values += _transposed.Contains(module) ? change.t() : change;
            }

            var rounded = values.to(TypeOf(entry));
            return rounded.isfinite().all().item<bool>()
                ? rounded
                : throw new CheckpointException("GA2332", file.Path, $"{entry.Name} holds NaN or infinity once the adapter is added, in {entry.StoredType}", "Take a smaller step, or use `gatoms export adapter`.");
        }
    }
}
