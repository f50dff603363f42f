using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models;

/// <summary>A model's weights by name, and its linear modules, known without reading a weight.</summary>
/// <param name="Weights">Every weight with its stored shape, in the order in which the model asks for them.</param>
/// <param name="LinearModules">The modules that an adapter can attach to, in forward order.</param>
internal sealed record ModelOutline(IReadOnlyList<(string Name, long[] Shape)> Weights, IReadOnlyList<LinearShape> LinearModules);

/// <summary>Reads a model's weights from a checkpoint, after comparing what the one needs with what the other has.</summary>
internal static class WeightReader
{
    private const int MostNamed = 4;
    private const int MostCounted = 1000;

    /// <summary>Compares names and shapes.</summary>
    /// <exception cref="CheckpointException">GA2330: missing or unused tensors. GA2331: a shape differs.</exception>
    public static ModelOutline Check(ModelBlueprint blueprint, Checkpoint checkpoint)
    {
        var missing = new List<string>();
        ModelOutline outline;
        try
        {
            outline = Outline(blueprint, (name, shape) =>
            {
                if (!checkpoint.Contains(name))
                {
                    missing.Add(name);

                    // A damaged configuration may ask for a billion layers, or for a weight of any size.
                    return missing.Count < MostCounted ? [0] : throw new TooManyMissingException();
                }

                return checkpoint.Shape(name).SequenceEqual(shape)
                    ? shape
                    : throw new CheckpointException(
                        "GA2331", checkpoint.Files[0], $"{name} is {SafetensorsHeader.Spell(checkpoint.Shape(name))}, the configuration says {SafetensorsHeader.Spell(shape)}",
                        "Weights and configuration are of different models: fetch both again.");
            });
        }
        catch (TooManyMissingException)
        {
            throw Missing(checkpoint, missing);
        }

        if (missing.Count > 0)
        {
            throw Missing(checkpoint, missing);
        }

        // Tied checkpoints may carry the head too; whether it is the embedding is checked when it is read.
        var needed = outline.Weights.Select(weight => weight.Name).ToHashSet(StringComparer.Ordinal);
        var unused = checkpoint.Names.Where(name => !needed.Contains(name) && !(blueprint.Configuration.TiedEmbeddings && name == blueprint.Head)).ToList();
        return unused.Count == 0
            ? outline
            : throw new CheckpointException(
                "GA2330", checkpoint.Files[0], $"holds {List(unused)}, which a {blueprint.Architecture} of this configuration does not use",
                "The configuration is of another model, or the model has parts that are not known here.");
    }

    /// <summary>What a model asks for, without memory for it.</summary>
    /// <param name="blueprint">The model.</param>
    /// <param name="shapeOf">Gives the shape that is really there.</param>
    public static ModelOutline Outline(ModelBlueprint blueprint, Func<string, long[], long[]>? shapeOf = null)
    {
        using var scope = NewDisposeScope();
        var weights = new List<(string, long[])>();
        using var model = blueprint.Build((name, shape) =>
        {
            weights.Add((name, shape));
            return empty(shapeOf?.Invoke(name, shape) ?? shape, device: META);
        });
        return new(weights, [.. model.LinearModules.Where(module => module.Weight.Dimensions == 2).Select(module => new LinearShape(module.Name, module.InputSize, module.OutputSize))]);
    }

    /// <summary>Builds the model.</summary>
    /// <exception cref="CheckpointException">GA2330 to GA2332.</exception>
    public static CausalLanguageModel Read(ModelBlueprint blueprint, Checkpoint checkpoint, Device device, CancellationToken cancellationToken)
    {
        Check(blueprint, checkpoint);
        var read = new List<Tensor>();
        try
        {
            using var noGrad = no_grad();
            var model = blueprint.Build((name, _) =>
            {
                cancellationToken.ThrowIfCancellationRequested();
                var weight = checkpoint.Read(name);
                read.Add(weight);
                CheckFinite(checkpoint, name, weight);
                if (device.type != TorchSharp.DeviceType.CPU)
                {
                    var moved = weight.to(device);
                    weight.Dispose();
                    read[^1] = weight = moved;
                }

                return weight;
            });
            if (blueprint.Configuration.TiedEmbeddings && checkpoint.Contains(blueprint.Head))
            {
                CheckTied(checkpoint, blueprint.Head, read[0]);
            }

            return model;
        }
        catch
        {
            read.ForEach(weight => weight.Dispose());
            throw;
        }
    }

    // A sum tells of any NaN or infinity among the values, at the price of one pass.
    private static void CheckFinite(Checkpoint checkpoint, string name, Tensor weight)
    {
        using var scope = NewDisposeScope();
        if (!float.IsFinite(weight.sum().item<float>()) && !weight.isfinite().all().item<bool>())
        {
            throw new CheckpointException(
                "GA2332", checkpoint.Files[0], $"{name} holds NaN or infinity ({weight.isfinite().logical_not().sum().item<long>()} of {weight.numel()} values)",
                "The model is damaged, or its training diverged: use another checkpoint.");
        }
    }

    private static void CheckTied(Checkpoint checkpoint, string head, Tensor embedding)
    {
        using var scope = NewDisposeScope();
        if (!checkpoint.Shape(head).SequenceEqual(embedding.shape) || !checkpoint.Read(head).equal(embedding.cpu()).all().item<bool>())
        {
            throw new CheckpointException("GA2330", checkpoint.Files[0], $"holds a {head} of its own, the configuration says that the head is the embedding", "Set tie_word_embeddings as the model was trained.");
        }
    }

    private static CheckpointException Missing(Checkpoint checkpoint, List<string> missing) =>
        new("GA2330", checkpoint.Files[0], $"lacks {List(missing)}", "The model is incomplete or of another architecture: fetch it again.");

    private static string List(List<string> names) =>
        names.Count <= MostNamed ? string.Join(", ", names) : $"{string.Join(", ", names.Take(MostNamed))} and {(names.Count == MostCounted ? "many" : names.Count - MostNamed)} more";

    private sealed class TooManyMissingException : Exception;
}
