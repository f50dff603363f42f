using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Text.ChatTemplates;
using GradientAtoms.Text.Tokenization;
using static TorchSharp.torch;

namespace GradientAtoms.Models;

/// <summary>How a model is loaded.</summary>
public sealed record ModelOptions
{
    /// <summary>Where the weights go; the CPU where null.</summary>
    public Device? Device { get; init; }

    /// <summary>
    /// An adapter folder whose <c>modules_to_save</c> take the place of the model's own, as they did when the adapter was trained; null: none.
    /// Its low-rank factors are loaded by <see cref="Adapters.PeftAdapter.Load"/>.
    /// </summary>
    public string? SavedModules { get; init; }
}

/// <summary>The shape of a linear module that an adapter can attach to.</summary>
/// <param name="Name">As <see cref="LinearModule.Name"/>.</param>
/// <param name="InputSize">Size of an input.</param>
/// <param name="OutputSize">Size of an output.</param>
public sealed record LinearShape(string Name, int InputSize, int OutputSize);

/// <summary>What a model is, told without reading its weights.</summary>
public sealed record ModelDescription
{
    /// <summary><c>safetensors</c> or <c>GGUF</c>.</summary>
    public required string Format { get; init; }

    /// <summary>As the checkpoint spells it: <c>llama</c>.</summary>
    public required string Architecture { get; init; }

    /// <summary>A name for people: the GGUF's own, else that of the file or folder.</summary>
    public required string Name { get; init; }

    /// <summary>All parameters, tied ones once.</summary>
    public required long ParameterCount { get; init; }

    /// <summary>How many parameters are stored in which type.</summary>
    public required IReadOnlyDictionary<string, long> StoredTypes { get; init; }

    /// <summary>Tokens of the vocabulary.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>Size of a hidden state.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>The longest context that the model was made for.</summary>
    public required int ContextLength { get; init; }

    /// <summary>The modules that an adapter can attach to, as the model's forward order has them.</summary>
    public required IReadOnlyList<LinearShape> LinearModules { get; init; }

    /// <summary>The modules that an adapter is tuned on where none are named: queries and values, or the projection that they are part of.</summary>
    public IReadOnlyList<string> UsualTargets
    {
        get
        {
            string[] fused = ["qkv_proj", "c_attn", "query_key_value"];
            return Array.Find(fused, name => LinearModules.Any(module => module.Name.EndsWith($".{name}", StringComparison.Ordinal))) is { } found ? [found] : ["q_proj", "v_proj"];
        }
    }

    /// <summary>Parts of a multimodal checkpoint that are not read: <c>vision_tower</c>. Empty where text is all it reads.</summary>
    public IReadOnlyList<string> OtherParts { get; init; } = [];

    /// <summary>The files that hold the weights, absolute.</summary>
    public required IReadOnlyList<string> Files { get; init; }

    /// <summary>
    /// SHA-256 over headers, lengths and configuration: the same for the same files wherever they lie, and cheap.
    /// It does not see a weight that was changed in place: <see cref="FileHashes"/> does.
    /// </summary>
    public required string Fingerprint { get; init; }

    /// <summary>SHA-256 of every file of <see cref="Files"/>, in its order. Reads them all.</summary>
    public IReadOnlyList<string> FileHashes() => [.. Files.Select(Checkpoint.FileSha256)];
}

/// <summary>What of a model turns text into tokens.</summary>
/// <param name="Tokenizer">The tokenizer.</param>
/// <param name="ChatTemplate">The chat template, or null where the model has none.</param>
/// <param name="SpecialTokens">The names of the special tokens.</param>
public sealed record ModelText(Tokenizer Tokenizer, ChatTemplate? ChatTemplate, SpecialTokens SpecialTokens);

/// <summary>A model with what belongs to it: weights, tokenizer, chat template, special tokens, stop tokens.</summary>
public sealed class LoadedModel : IDisposable
{
    private readonly Lazy<Tokenizer> _tokenizer;
    private readonly Lazy<ChatTemplate?> _chatTemplate;
    private readonly Lazy<SpecialTokens> _specialTokens;
    private readonly Lazy<IReadOnlyList<int>> _stopIds;

    private LoadedModel(ModelSource source, CausalLanguageModel model)
    {
        Model = model;
        Description = source.Description;
        _tokenizer = new(source.Tokenizer);
        _chatTemplate = new(source.ChatTemplate);
        _specialTokens = new(source.SpecialTokens);
        _stopIds = new(() => source.StopIds() is { Count: > 0 } ids
            ? ids
            : SpecialTokens.Eos is { } eos && Tokenizer.TokenId(eos) is { } id ? [id] : []);
    }

    /// <summary>The weights and the forward pass.</summary>
    public CausalLanguageModel Model { get; }

    /// <summary>The tokenizer; read when first asked for.</summary>
    /// <exception cref="CheckpointException">GA2334: the model has none.</exception>
    /// <exception cref="TokenizerException">It cannot be read.</exception>
    public Tokenizer Tokenizer => _tokenizer.Value;

    /// <summary>The chat template, or null where the model has none; read when first asked for.</summary>
    public ChatTemplate? ChatTemplate => _chatTemplate.Value;

    /// <summary>The names of the special tokens.</summary>
    public SpecialTokens SpecialTokens => _specialTokens.Value;

    /// <summary>Ids that end an answer: those of the generation configuration, the configuration or the GGUF; else the tokenizer's end of text.</summary>
    public IReadOnlyList<int> StopIds => _stopIds.Value;

    /// <summary>What was loaded.</summary>
    public ModelDescription Description { get; }

    /// <summary>Loads a Hugging Face folder, a GGUF file, or <c>org/name</c> from the local Hugging Face cache.</summary>
    /// <param name="path">What to load.</param>
    /// <param name="options">The device.</param>
    /// <param name="cancellationToken">Looked at between weights.</param>
    /// <exception cref="CheckpointException">GA23xx: it is missing, damaged, or of a kind that is not known.</exception>
    public static LoadedModel Load(string path, ModelOptions? options = null, CancellationToken cancellationToken = default)
    {
        using var checkpoint = Open(path, out var source);
        var device = options?.Device ?? CPU;
        if (options?.SavedModules is { } adapter && Adapters.SavedModules.Of(source.Blueprint, source.Weights, adapter) is { } saved)
        {
            using (saved.Weights)
            {
                return new(source, WeightReader.Read(saved.Blueprint, saved.Weights, device, cancellationToken));
            }
        }

        return new(source, WeightReader.Read(source.Blueprint, source.Weights, device, cancellationToken));
    }

    /// <summary>Tells what a model is and checks its names and shapes; reads no weights.</summary>
    /// <param name="path">As <see cref="Load"/> takes it.</param>
    /// <exception cref="CheckpointException">GA23xx.</exception>
    public static ModelDescription Describe(string path)
    {
        using var checkpoint = Open(path, out var source);
        return source.Description;
    }

    /// <summary>Reads only what turns text into tokens; no weights.</summary>
    /// <param name="path">As <see cref="Load"/> takes it.</param>
    /// <exception cref="CheckpointException">GA23xx; GA2334: it has no tokenizer.</exception>
    public static ModelText ReadText(string path)
    {
        using var checkpoint = Open(path, out var source);
        return new(source.Tokenizer(), source.ChatTemplate(), source.SpecialTokens());
    }

    /// <inheritdoc/>
    public void Dispose() => Model.Dispose();

    private static Checkpoint Open(string path, out ModelSource source)
    {
        var place = HubCache.Resolve(path);
        var checkpoint = Checkpoint.Open(place);
        try
        {
            source = checkpoint is GgufCheckpoint gguf ? new GgufSource(gguf) : FolderSource.Open(place, checkpoint);
            return checkpoint;
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }
}
