using System.Security.Cryptography;
using System.Text;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Text.ChatTemplates;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Models;

/// <summary>Where a model comes from: knows everything about it but its weights.</summary>
internal abstract class ModelSource
{
    private readonly Lazy<ModelDescription> _description;

    protected ModelSource(Checkpoint checkpoint, ModelBlueprint blueprint)
    {
        (Blueprint, Weights) = (blueprint, new TextWeights(checkpoint, blueprint));
        _description = new(Describe);
    }

    public ModelBlueprint Blueprint { get; }

    /// <summary>The weights of the text model, under the names that it asks for. Not owned: they are the checkpoint's.</summary>
    public TextWeights Weights { get; }

    /// <summary>What the model is; compares names and shapes when first asked for.</summary>
    /// <exception cref="CheckpointException">GA2330, GA2331: they do not fit.</exception>
    public ModelDescription Description => _description.Value;

    public abstract Tokenizer Tokenizer();

    public abstract ChatTemplate? ChatTemplate();

    public abstract SpecialTokens SpecialTokens();

    public abstract IReadOnlyList<int> StopIds();

    /// <summary>A name for people.</summary>
    protected abstract string Name { get; }

    /// <summary>See <see cref="ModelDescription.Fingerprint"/>.</summary>
    protected abstract string Fingerprint { get; }

    private ModelDescription Describe()
    {
        var outline = WeightReader.Check(Blueprint, Weights);
        static long Count(long[] shape) => shape.Aggregate(1L, (product, size) => product * size);
        return new()
        {
            Format = Weights.Format,
            Architecture = Blueprint.Architecture,
            Name = Name,
            ParameterCount = outline.Weights.Sum(weight => Count(weight.Shape)),
            StoredTypes = outline.Weights
                .GroupBy(weight => Weights.StoredType(weight.Name), StringComparer.Ordinal)
                .OrderBy(group => group.Key, StringComparer.Ordinal)
                .ToDictionary(group => group.Key, group => group.Sum(weight => Count(weight.Shape)), StringComparer.Ordinal),
            VocabularySize = Blueprint.Configuration.VocabularySize,
            HiddenSize = Blueprint.Configuration.HiddenSize,
            ContextLength = Blueprint.Configuration.ContextLength,
            LinearModules = outline.LinearModules,
            OtherParts = Weights.OtherParts,
            Files = Weights.Files,
            Fingerprint = Fingerprint,
        };
    }
}

/// <summary>A Hugging Face folder, or one safetensors file with the rest of its folder beside it.</summary>
internal sealed class FolderSource : ModelSource
{
    private readonly string _folder;
    private readonly ModelConfig _config;

    private readonly string _fingerprint;

    private FolderSource(string folder, ModelConfig config, Checkpoint checkpoint)
        : base(checkpoint, ModelFactory.FromConfig(config))
    {
        (_folder, _config) = (folder, config);
        _fingerprint = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{checkpoint.Fingerprint} {Checkpoint.FileSha256(config.Location)}")));
    }

    protected override string Name => Path.GetFileName(_folder.TrimEnd(Path.DirectorySeparatorChar));

    protected override string Fingerprint => _fingerprint;

    public static FolderSource Open(string place, Checkpoint checkpoint)
    {
        var folder = Path.GetFullPath(File.Exists(place) ? Path.GetDirectoryName(Path.GetFullPath(place))! : place);
        return new(folder, ModelConfig.Read(Path.Combine(folder, "config.json")), checkpoint);
    }

    public override Tokenizer Tokenizer() => File.Exists(Path.Combine(_folder, "tokenizer.json")) || File.Exists(Path.Combine(_folder, "tokenizer.model"))
        ? Text.Tokenization.Tokenizer.LoadFolder(_folder)
        : throw new CheckpointException("GA2334", _folder, "has neither tokenizer.json nor tokenizer.model", "Fetch the whole model, or save its tokenizer beside the weights.");

    public override ChatTemplate? ChatTemplate() => ChatTemplateFile.FromFolder(_folder).Template;

    public override SpecialTokens SpecialTokens() => Text.Tokenization.SpecialTokens.Load(_folder);

    public override IReadOnlyList<int> StopIds()
    {
        var generation = Path.Combine(_folder, "generation_config.json");
        var ids = File.Exists(generation) ? ModelConfig.Read(generation).Ids("eos_token_id") : [];
        return [.. ids.Concat(_config.Ids("eos_token_id")).Where(id => id >= 0).Distinct()];
    }
}

/// <summary>A GGUF file: everything is in its metadata.</summary>
internal sealed class GgufSource : ModelSource
{
    private readonly string _path;
    private readonly string? _template;
    private readonly IReadOnlyList<int> _stopIds;
    private readonly SpecialTokens _specialTokens;
    private readonly Func<Tokenizer> _tokenizer;

    public GgufSource(GgufCheckpoint checkpoint)
        : base(checkpoint, ModelFactory.FromGguf(checkpoint.File))
    {
        var file = checkpoint.File;
        _path = file.Path;
        Name = file.String("general.name") ?? Path.GetFileNameWithoutExtension(_path);
        Fingerprint = checkpoint.Fingerprint;
        _template = file.String("tokenizer.chat_template");
        var (model, pre, tokens, merges, types) = (
            file.String("tokenizer.ggml.model"), file.String("tokenizer.ggml.pre"), file.Strings("tokenizer.ggml.tokens"),
            file.Strings("tokenizer.ggml.merges"), file.Integers("tokenizer.ggml.token_type"));
        string? TokenOf(string role) => file.Integer($"tokenizer.ggml.{role}_token_id") is { } id && tokens is not null && id >= 0 && id < tokens.Count ? tokens[(int)id] : null;
        _stopIds = [.. ((string[])["eos", "eot", "eom"])
            .Select(role => file.Integer($"tokenizer.ggml.{role}_token_id")).OfType<long>().Where(id => id >= 0 && id < Blueprint.Configuration.VocabularySize).Select(id => (int)id).Distinct()];
        _specialTokens = new() { Bos = TokenOf("bos"), Eos = TokenOf("eos"), Unk = TokenOf("unknown"), Pad = TokenOf("padding") };
        _tokenizer = () => model is null || tokens is null
            ? throw new CheckpointException("GA2334", _path, "has no tokenizer in its metadata", "Convert the model again, with its vocabulary.")
            : Text.Tokenization.Tokenizer.FromGguf(
                model, pre, tokens, merges ?? [], types, _path,
                Added("bos", model == "llama"), Added("eos", false),
                file.Metadata.GetValueOrDefault("tokenizer.ggml.scores") as float[], file.Boolean("tokenizer.ggml.add_space_prefix") ?? true);
        int? Added(string role, bool otherwise) => (file.Boolean($"tokenizer.ggml.add_{role}_token") ?? otherwise) && TokenOf(role) is not null
            ? (int)file.Integer($"tokenizer.ggml.{role}_token_id")!.Value
            : null;
    }

    protected override string Name { get; }

    protected override string Fingerprint { get; }

    public override Tokenizer Tokenizer() => _tokenizer();

    public override ChatTemplate? ChatTemplate() => _template is null ? null : Text.ChatTemplates.ChatTemplate.Parse(_template, $"{_path} (tokenizer.chat_template)");

    public override SpecialTokens SpecialTokens() => _specialTokens;

    public override IReadOnlyList<int> StopIds() => _stopIds;
}
