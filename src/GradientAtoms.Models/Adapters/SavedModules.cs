using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Adapters;

/// <summary>
/// A model's weights with those in place that an adapter's training saved whole (<c>modules_to_save</c>): what the adapter was
/// trained with. Owns the adapter's file, not the model's weights.
/// </summary>
internal sealed class SavedModules : Checkpoint
{
    private readonly Checkpoint _model;
    private readonly SafetensorsFile _file;
    private readonly IReadOnlyDictionary<string, string> _saved;
    private readonly (string Head, string Embedding)? _untied;

    private SavedModules(Checkpoint model, SafetensorsFile file, IReadOnlyDictionary<string, string> saved, (string Head, string Embedding)? untied)
    {
        (_model, _file, _saved, _untied) = (model, file, saved, untied);
        Names = untied is { } pair && !model.Contains(pair.Head) ? [.. model.Names, pair.Head] : model.Names;
    }

    /// <summary>Whether a head or embedding that was one weight is two from here on.</summary>
    public bool IsUntied => _untied is not null;

    public override string Format => _model.Format;

    public override IReadOnlyList<string> Files => [.. _model.Files, _file.Path];

    public override IReadOnlyList<string> Names { get; }

    public override string Fingerprint => Hash([_model.Fingerprint, _file.HeaderSha256]);

    /// <summary>Puts an adapter's saved modules in place.</summary>
    /// <param name="blueprint">The model.</param>
    /// <param name="model">Its weights.</param>
    /// <param name="adapterFolder">The adapter.</param>
    /// <returns>The model to build, and its weights; null where the adapter saved none. The caller owns the weights.</returns>
    /// <exception cref="AdapterException">GA24xx: the adapter cannot be read, or a saved module is not the model's.</exception>
    public static (ModelBlueprint Blueprint, SavedModules Weights)? Of(ModelBlueprint blueprint, Checkpoint model, string adapterFolder)
    {
        var configuration = PeftAdapter.Configuration(adapterFolder);
        if (configuration.SavedModules.Count == 0)
        {
            return null;
        }

        var file = PeftAdapter.OpenWeights(adapterFolder);
        try
        {
            var saved = AdapterKeys.Of(file.Path, file.Names, configuration).SavedWeights;
            var shapes = WeightReader.Check(blueprint, model).Weights.ToDictionary(weight => weight.Name, weight => weight.Shape, StringComparer.Ordinal);
            var embedding = shapes.First().Key;
            var isTied = blueprint.Configuration.TiedEmbeddings;
            foreach (var (name, stored) in saved)
            {
                var expected = shapes.GetValueOrDefault(isTied && name == blueprint.Head ? embedding : name);
                if (expected is null || !file.Entry(stored).Shape.SequenceEqual(expected))
                {
                    throw new AdapterException(
                        "GA2404", file.Path, $"saves {name} as {SafetensorsHeader.Spell(file.Entry(stored).Shape)}, the model {(expected is null ? "has none" : $"has {SafetensorsHeader.Spell(expected)}")}",
                        "It is an adapter of another model: name the adapter's own model.");
                }
            }

            if (configuration.SavedModules.FirstOrDefault(module => !saved.Keys.Any(name => new PeftConfiguration { SavedModules = [module] }.IsSaved(name[..name.LastIndexOf('.')]))) is { } missing)
            {
                throw new AdapterException("GA2404", file.Path, $"lacks the saved module {missing}", "It is incomplete: fetch it again.");
            }

            // A tied head or embedding that was trained is a weight of its own from then on.
            var untied = isTied && (saved.ContainsKey(blueprint.Head) || saved.ContainsKey(embedding)) ? (blueprint.Head, embedding) : ((string, string)?)null;
            return (untied is null ? blueprint : blueprint.Changed(settings => settings with { TiedEmbeddings = false }), new SavedModules(model, file, saved, untied));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Whether a weight of the model gives way to a saved one.</summary>
    public bool Replaces(string name) => _saved.ContainsKey(name);

    public override bool Contains(string name) => _model.Contains(name) || name == _untied?.Head;

    public override IReadOnlyList<long> Shape(string name) => _saved.TryGetValue(name, out var stored) ? _file.Entry(stored).Shape : _model.Shape(Stored(name));

    public override string StoredType(string name) => _saved.TryGetValue(name, out var stored) ? _file.Entry(stored).StoredType : _model.StoredType(Stored(name));

    public override Tensor Read(string name)
    {
        if (!_saved.TryGetValue(name, out var stored))
        {
            return _model.Read(Stored(name));
        }

        var values = _file.Read(stored);
        if (values.dtype == ScalarType.Float32)
        {
            return values;
        }

        values.Dispose();
        throw new AdapterException("GA2403", _file.Path, $"{stored} is stored as {StoredType(name)}, which is not supported", "Save the adapter in float32, float16 or bfloat16.");
    }

    protected override void Dispose(bool disposing) => _file.Dispose();

    // Where only one of the two was trained, the other is still the model's embedding.
    private string Stored(string name) => _untied is { } pair && name == pair.Head && !_model.Contains(name) ? pair.Embedding : name;
}
