using System.Security.Cryptography;
using System.Text;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Text.ChatTemplates;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Models;

/// <summary>Where a model comes from: knows everything about it but its weights.</summary>
internal abstract class ModelSource
{
    public abstract ModelBlueprint Blueprint { get; }

    public abstract ModelDescription Description { get; }

    public abstract Tokenizer Tokenizer();

    public abstract ChatTemplate? ChatTemplate();

    public abstract SpecialTokens SpecialTokens();

    public abstract IReadOnlyList<int> StopIds();

    protected static ModelDescription Describe(ModelBlueprint blueprint, Checkpoint checkpoint, string name, string fingerprint)
    {
        // A weight that the checkpoint lacks is the weight check's to report; here it only must not be asked for.
        var weights = blueprint.Weights().TakeWhile(weight => checkpoint.Contains(weight.Name)).ToList();
        var embedding = blueprint.Weights().First().Shape;
        return new()
        {
            Format = checkpoint.Format,
            Architecture = blueprint.Architecture,
            Name = name,
            ParameterCount = weights.Sum(weight => weight.Shape.Aggregate(1L, (product, size) => product * size)),
            StoredTypes = weights
                .GroupBy(weight => checkpoint.StoredType(weight.Name), StringComparer.Ordinal)
                .OrderBy(group => group.Key, StringComparer.Ordinal)
                .ToDictionary(group => group.Key, group => group.Sum(weight => weight.Shape.Aggregate(1L, (product, size) => product * size)), StringComparer.Ordinal),
            VocabularySize = (int)embedding[0],
            HiddenSize = (int)embedding[1],
            ContextLength = blueprint.ContextLength,
            LinearModules = [.. weights
                .Where(weight => weight.Shape.Length == 2 && weight.Name.Contains(".layers.", StringComparison.Ordinal))
                .Select(weight => new LinearShape(weight.Name[..^".weight".Length], (int)weight.Shape[1], (int)weight.Shape[0]))],
            Files = checkpoint.Files,
            Fingerprint = fingerprint,
        };
    }
}

/// <summary>A Hugging Face folder, or one safetensors file with the rest of its folder beside it.</summary>
internal sealed class FolderSource : ModelSource
{
    private readonly string _folder;
    private readonly ModelConfig _config;

    public FolderSource(string place, Checkpoint checkpoint)
    {
        _folder = Path.GetFullPath(File.Exists(place) ? Path.GetDirectoryName(Path.GetFullPath(place))! : place);
        var configPath = Path.Combine(_folder, "config.json");
        _config = ModelConfig.Read(configPath);
        Blueprint = ModelFactory.FromConfig(_config);
        var fingerprint = SHA256.HashData(Encoding.UTF8.GetBytes($"{checkpoint.Fingerprint} {Checkpoint.FileSha256(configPath)}"));
        Description = Describe(Blueprint, checkpoint, Path.GetFileName(_folder.TrimEnd(Path.DirectorySeparatorChar)), Convert.ToHexStringLower(fingerprint));
    }

    public override ModelBlueprint Blueprint { get; }

    public override ModelDescription Description { get; }

    public override Tokenizer Tokenizer()
    {
        var path = Path.Combine(_folder, "tokenizer.json");
        return File.Exists(path)
            ? Text.Tokenization.Tokenizer.Load(path)
            : throw new CheckpointException("GA2334", _folder, "has no tokenizer.json", "Fetch the whole model, or save its fast tokenizer beside the weights.");
    }

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
    {
        var file = checkpoint.File;
        _path = file.Path;
        Blueprint = ModelFactory.FromGguf(file);
        Description = Describe(Blueprint, checkpoint, file.String("general.name") ?? Path.GetFileNameWithoutExtension(_path), checkpoint.Fingerprint);
        _template = file.String("tokenizer.chat_template");
        var (model, pre, tokens, merges, types) = (
            file.String("tokenizer.ggml.model"), file.String("tokenizer.ggml.pre"), file.Strings("tokenizer.ggml.tokens"),
            file.Strings("tokenizer.ggml.merges"), file.Integers("tokenizer.ggml.token_type"));
        string? TokenOf(string role) => file.Integer($"tokenizer.ggml.{role}_token_id") is { } id && tokens is not null && id >= 0 && id < tokens.Count ? tokens[(int)id] : null;
        _stopIds = [.. ((string[])["eos", "eot", "eom"])
            .Select(role => file.Integer($"tokenizer.ggml.{role}_token_id")).OfType<long>().Where(id => id >= 0 && id < Description.VocabularySize).Select(id => (int)id).Distinct()];
        _specialTokens = new() { Bos = TokenOf("bos"), Eos = TokenOf("eos"), Unk = TokenOf("unknown"), Pad = TokenOf("padding") };
        _tokenizer = () => model is null || tokens is null
            ? throw new CheckpointException("GA2334", _path, "has no tokenizer in its metadata", "Convert the model again, with its vocabulary.")
            : Text.Tokenization.Tokenizer.FromGguf(model, pre, tokens, merges ?? [], types, _path);
    }

    public override ModelBlueprint Blueprint { get; }

    public override ModelDescription Description { get; }

    public override Tokenizer Tokenizer() => _tokenizer();

    public override ChatTemplate? ChatTemplate() => _template is null ? null : Text.ChatTemplates.ChatTemplate.Parse(_template, $"{_path} (tokenizer.chat_template)");

    public override SpecialTokens SpecialTokens() => _specialTokens;

    public override IReadOnlyList<int> StopIds() => _stopIds;
}
