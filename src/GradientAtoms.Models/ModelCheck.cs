using System.Text.Json;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models;

/// <summary>How far one stored tensor of logits is from what the model computes.</summary>
/// <param name="Name">The tensor: <c>doc0.logits</c>.</param>
/// <param name="Tokens">Tokens of the document, T.</param>
/// <param name="LargestDifference">The largest absolute difference of a logit; NaN where one of the two is.</param>
/// <param name="Position">Where it is: the token, from 0.</param>
/// <param name="TokenId">Where it is: the entry of the vocabulary.</param>
public sealed record LogitDifference(string Name, int Tokens, double LargestDifference, int Position, int TokenId);

/// <summary>A comparison of a model's logits with a stored answer.</summary>
/// <param name="Differences">One a stored tensor.</param>
/// <param name="Adapter">The adapter folder that was used, or null.</param>
/// <param name="Tolerance">How far a logit may be off.</param>
public sealed record ModelCheckResult(IReadOnlyList<LogitDifference> Differences, string? Adapter, double Tolerance)
{
    /// <summary>The tensor that is furthest off.</summary>
    public LogitDifference Worst => Differences.MaxBy(difference => double.IsNaN(difference.LargestDifference) ? double.PositiveInfinity : difference.LargestDifference)!;

    /// <summary>Whether every logit is within the tolerance.</summary>
    public bool Passed => Worst.LargestDifference <= Tolerance;
}

/// <summary>
/// Compares a model with an answer that another program stored: <c>NAME.json</c> with <c>documents</c>, each with its <c>input_ids</c>, and
/// <c>NAME.safetensors</c> beside it with <c>doc{i}.logits</c> <c>[T, V]</c> (with the adapter, where there is one) and <c>doc{i}.base_logits</c> (without).
/// </summary>
public static class ModelCheck
{
    /// <summary>Rounding of float32 in models of usual depth stays below this; a wrong detail makes a hundred times more.</summary>
    public const double UsualTolerance = 1e-3;

    /// <summary>Loads a model and compares it.</summary>
    /// <param name="model">As <see cref="LoadedModel.Load"/> takes it.</param>
    /// <param name="expected">The JSON file, the safetensors file, or a folder with <c>expected.json</c>.</param>
    /// <param name="adapter">The adapter folder; null: the folder <c>adapter</c> beside the answer, where it is one.</param>
    /// <param name="tolerance">How far a logit may be off.</param>
    /// <param name="cancellationToken">Looked at between documents.</param>
    /// <exception cref="CheckpointException">GA23xx: the model cannot be loaded. GA2350: the stored answer cannot be read, or is of another model.</exception>
    /// <exception cref="AdapterException">GA24xx: the adapter cannot be loaded.</exception>
    public static ModelCheckResult Run(string model, string expected, string? adapter = null, double tolerance = UsualTolerance, CancellationToken cancellationToken = default)
    {
        var stem = Directory.Exists(expected) ? Path.Combine(expected, "expected") : Path.ChangeExtension(expected, null);
        var documents = Documents($"{stem}.json");
        using var answers = SafetensorsFile.Open($"{stem}.safetensors");
        var beside = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(stem))!, "adapter");
        adapter ??= PeftAdapter.IsAdapter(beside) ? beside : null;

        using var loaded = LoadedModel.Load(model, new() { SavedModules = adapter }, cancellationToken);
        using var lora = adapter is null ? null : PeftAdapter.Load(adapter, loaded.Model);
        using var noGrad = inference_mode();
        var tuned = new ForwardRequest { Adapters = lora is null ? [] : [lora] };
        var differences = new List<LogitDifference>();
        for (var i = 0; i < documents.Count; i++)
        {
            foreach (var (name, request) in ((string, ForwardRequest)[])[($"doc{i}.logits", tuned), ($"doc{i}.base_logits", ForwardRequest.Base)])
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (answers.Contains(name))
                {
                    differences.Add(Compare(loaded.Model, documents[i], answers, name, request));
                }
            }
        }

        return differences.Count > 0
            ? new(differences, adapter, tolerance)
            : throw Wrong(answers.Path, $"has no logits of the {documents.Count} documents: tensors doc0.logits or doc0.base_logits are looked for");
    }

    private static LogitDifference Compare(CausalLanguageModel model, long[] tokens, SafetensorsFile answers, string name, ForwardRequest request)
    {
        using var scope = NewDisposeScope();
        long[] shape = [tokens.Length, model.VocabularySize];
        if (!answers.Entry(name).Shape.SequenceEqual(shape))
        {
            throw Wrong(answers.Path, $"{name} is {SafetensorsHeader.Spell(answers.Entry(name).Shape)}, the document and the model say {SafetensorsHeader.Spell(shape)}");
        }

        if (tokens.Any(id => id < 0 || id >= model.VocabularySize))
        {
            throw Wrong(answers.Path, $"the document of {name} has a token outside of the vocabulary of {model.VocabularySize}");
        }

        if (tokens.Length > model.ContextLength)
        {
            throw Wrong(answers.Path, $"the document of {name} has {tokens.Length} tokens, the model's context {model.ContextLength}");
        }

        var logits = model.Logits(model.HiddenStates(tensor(tokens, device: model.Device).unsqueeze(0), request)).squeeze(0).cpu(); // [T, V]
        var distances = (logits - answers.Read(name)).abs().flatten();
        var at = distances.argmax().item<long>();
        return new(name, tokens.Length, distances[at].item<float>(), (int)(at / model.VocabularySize), (int)(at % model.VocabularySize));
    }

    private static List<long[]> Documents(string path)
    {
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(path));
            List<long[]> documents = [.. json.RootElement.GetProperty("documents").EnumerateArray()
                .Select(document => document.GetProperty("input_ids").EnumerateArray().Select(id => id.GetInt64()).ToArray())];
            return documents.Count > 0 && documents.TrueForAll(document => document.Length > 0) ? documents : throw Wrong(path, "has no documents, or an empty one");
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or IOException or UnauthorizedAccessException)
        {
            throw Wrong(path, $"is no stored answer ({exception.Message})", exception);
        }
    }

    private static CheckpointException Wrong(string path, string problem, Exception? cause = null) => new(
        "GA2350", path, problem, "A stored answer is NAME.json with {\"documents\":[{\"input_ids\":[...]}]} and NAME.safetensors with doc0.logits [tokens, vocabulary] beside it.", cause);
}
