using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models;

/// <summary>Reads a model's weights from a checkpoint, after comparing what the one needs with what the other has.</summary>
internal static class WeightReader
{
    private const string TiedHead = "lm_head.weight";
    private const int MostNamed = 4;
    private const int MostCounted = 1000;

    /// <summary>Compares names and shapes.</summary>
    /// <exception cref="CheckpointException">GA2330: missing or unused tensors. GA2331: a shape differs.</exception>
    public static void Check(ModelBlueprint blueprint, Checkpoint checkpoint)
    {
        var needed = new HashSet<string>(StringComparer.Ordinal);
        var missing = new List<string>();
        foreach (var (name, shape) in blueprint.Weights())
        {
            needed.Add(name);
            if (!checkpoint.Contains(name))
            {
                missing.Add(name);

                // A damaged configuration may ask for a billion layers.
                if (missing.Count == MostCounted)
                {
                    break;
                }
            }
            else if (!checkpoint.Shape(name).SequenceEqual(shape))
            {
                throw new CheckpointException(
                    "GA2331", checkpoint.Files[0], $"{name} is {SafetensorsHeader.Spell(checkpoint.Shape(name))}, the configuration says {SafetensorsHeader.Spell(shape)}",
                    "Weights and configuration are of different models: fetch both again.");
            }
        }

        if (missing.Count > 0)
        {
            throw new CheckpointException("GA2330", checkpoint.Files[0], $"lacks {List(missing)}", "The model is incomplete or of another architecture: fetch it again.");
        }

        // Old checkpoints carry the rotary frequencies, and tied ones may carry the head too; what the head is, is checked when it is read.
        var unused = checkpoint.Names
            .Where(name => !needed.Contains(name) && !name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal) && !(blueprint.TiedEmbeddings && name == TiedHead))
            .ToList();
        if (unused.Count > 0)
        {
            throw new CheckpointException(
                "GA2330", checkpoint.Files[0], $"holds {List(unused)}, which a {blueprint.Architecture} of this configuration does not use",
                "The configuration is of another model, or the model has parts that are not known here.");
        }
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
            if (blueprint.TiedEmbeddings && checkpoint.Contains(TiedHead))
            {
                CheckTied(checkpoint, read[0]);
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

    private static void CheckTied(Checkpoint checkpoint, Tensor embedding)
    {
        using var scope = NewDisposeScope();
        if (!checkpoint.Shape(TiedHead).SequenceEqual(embedding.shape) || !checkpoint.Read(TiedHead).equal(embedding.cpu()).all().item<bool>())
        {
            throw new CheckpointException("GA2330", checkpoint.Files[0], $"holds a {TiedHead} of its own, the configuration says that the head is the embedding", "Set tie_word_embeddings as the model was trained.");
        }
    }

    private static string List(List<string> names) =>
        names.Count <= MostNamed ? string.Join(", ", names) : $"{string.Join(", ", names.Take(MostNamed))} and {(names.Count == MostCounted ? "many" : names.Count - MostNamed)} more";
}
