using GradientAtoms.Gradients;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Stages;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>The model of a run: its files as inputs of stages, and the model itself, loaded when a stage first needs it. Owns it.</summary>
public sealed class ModelFiles : IDisposable
{
    private readonly Lazy<LoadedModel> _loaded;
    private readonly Lazy<ModelText> _text;

    /// <summary>Describes a model; reads no weights.</summary>
    /// <param name="path">A Hugging Face folder, a GGUF file, or <c>org/name</c> in the local cache.</param>
    /// <param name="device">Where the weights go.</param>
    /// <param name="adapter">The adapter folder, whose modules trained whole take the place of the model's; or null.</param>
    /// <exception cref="CheckpointException">GA23xx: it is missing, damaged, or of a kind that is not known.</exception>
    /// <exception cref="GradientAtomsException">GA1009: there is no such device.</exception>
    public ModelFiles(string path, string device = "cpu", string? adapter = null)
    {
        Path = path;
        Description = LoadedModel.Describe(path);
        var place = DeviceOf(device);
        _loaded = new(() => LoadedModel.Load(path, new() { Device = place, SavedModules = adapter }));
        _text = new(() => LoadedModel.ReadText(path)); // a machine that only reads documents need not hold the weights
        WeightInputs = [.. Description.Files.Select(file => new ExternalInput($"model/{System.IO.Path.GetFileName(file)}", file))];
        var folder = System.IO.Path.GetDirectoryName(Description.Files[0])!;
        TextInputs = Description.Format == "GGUF"
            ? WeightInputs
            : ExternalInput.FilesOf("model", folder, "tokenizer*", "added_tokens.json", "special_tokens_map.json", "chat_template*", "config.json");
        if (Description.Format != "GGUF")
        {
            WeightInputs = [.. ExternalInput.FilesOf("model", folder, "config.json"), .. WeightInputs];
        }
    }

    /// <summary>As it was named.</summary>
    public string Path { get; }

    /// <summary>What it is.</summary>
    public ModelDescription Description { get; }

    /// <summary>The files that the weights come from.</summary>
    public IReadOnlyList<ExternalInput> WeightInputs { get; }

    /// <summary>The files that tokenizer and chat template come from.</summary>
    public IReadOnlyList<ExternalInput> TextInputs { get; }

    /// <summary>The model, loaded now if it was not yet.</summary>
    public LoadedModel Loaded => _loaded.Value;

    /// <summary>Reads an adapter of this model. The caller owns it.</summary>
    /// <exception cref="AdapterException">GA24xx: it does not belong to this model, or is of a kind that is not known.</exception>
    public LoraAdapter LoadAdapter(string folder) => PeftAdapter.Load(folder, Loaded.Model);

    /// <summary>Where an adapter's parameters lie in a flat gradient.</summary>
    public ParameterLayout LayoutOf(LoraAdapter adapter)
    {
        var inputs = Loaded.Model.LinearModules.ToDictionary(module => module.Name, module => module.InputName, StringComparer.Ordinal);
        return ParameterLayout.Of(adapter, name => inputs[name]);
    }

    /// <summary>Turns documents into tokens as this model has it.</summary>
    internal ChatTokenizer ChatTokenizer(AuditOptions options)
    {
        var template = options.ChatTemplate is { } path ? Text.ChatTemplates.ChatTemplateFile.FromFile(path) : _text.Value.ChatTemplate;
        var tokenizer = _text.Value.Tokenizer;
        return new((text, special) => tokenizer.Encode(text, special), template, NamesOf(_text.Value.SpecialTokens), new() { MaxTokens = options.MaxTokens, Now = options.Date });
    }

    /// <summary>A user's prompt as this model is asked it: through the chat template up to the answer, or as plain text where there is none.</summary>
    /// <param name="prompt">What the user says.</param>
    /// <param name="options">Of the audit: its template, where it has one of its own.</param>
    /// <returns>Token ids.</returns>
    public int[] EncodePrompt(string prompt, AuditOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return EncodeChat([new ChatMessage("user", prompt)], options) ?? Loaded.Tokenizer.Encode(prompt, addSpecialTokens: true);
    }

    /// <summary>A conversation as this model is asked to go on with it: through the chat template up to the next answer.</summary>
    /// <param name="messages">The turns, in order.</param>
    /// <param name="options">Of the audit: its template, where it has one of its own.</param>
    /// <returns>Token ids; null where there is no template.</returns>
    /// <exception cref="Text.ChatTemplates.ChatTemplateException">GA2203 to GA2205: the template refuses the conversation, or fails on it.</exception>
    public int[]? EncodeChat(IReadOnlyList<ChatMessage> messages, AuditOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var template = options.ChatTemplate is { } file ? Text.ChatTemplates.ChatTemplateFile.FromFile(file) : Loaded.ChatTemplate;
        return template is null
            ? null
            : Loaded.Tokenizer.Encode(template.Render(messages, new() { AddGenerationPrompt = true, Now = options.Date, SpecialTokens = NamesOf(Loaded.SpecialTokens) }));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_loaded.IsValueCreated)
        {
            _loaded.Value.Dispose();
        }
    }

    private static Dictionary<string, string> NamesOf(Text.Tokenization.SpecialTokens tokens) =>
        new (string Name, string? Text)[] { ("bos_token", tokens.Bos), ("eos_token", tokens.Eos), ("unk_token", tokens.Unk), ("pad_token", tokens.Pad) }
            .Where(token => token.Text is not null)
            .ToDictionary(token => token.Name, token => token.Text!, StringComparer.Ordinal);

    private static Device DeviceOf(string name)
    {
        try
        {
            var asked = new Device(name);
            return asked.type == TorchSharp.DeviceType.CUDA && !cuda.is_available() ? throw NoSuchDevice(name) : asked;
        }
        catch (ArgumentException)
        {
            throw NoSuchDevice(name);
        }
    }

    private static GradientAtomsException NoSuchDevice(string name) =>
        new("GA1009", $"--device {name}", "this build or this machine has no such device", "Use --device cpu, or build with -p:Backend=cuda on a machine with an NVIDIA GPU.");
}
