using System.Globalization;
using System.Text.Json.Nodes;
using GradientAtoms.FineTuning;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Stages;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>The adapter of the run: the one that was given, or one that is tuned on the documents.</summary>
internal static class AdapterStage
{
    public const string Name = "adapter";
    public const string SecondMoments = "adapter-moments.safetensors";
    public const string CheckpointPrefix = "checkpoint-";

    public static Stage Create(AuditOptions options, ModelFiles model) => options.Adapter is { } folder
        ? new()
        {
            Name = Name,
            Inputs = [.. ExternalInput.FilesOf("adapter", folder, "adapter_config.json", "adapter_model.*"), .. model.WeightInputs],
            Run = context => Import(context, folder, model),
        }
        : new()
        {
            Name = Name,
            Options = TuningOptions(options),
            DependsOn = [DocumentsStage.Name],
            Inputs = model.WeightInputs,
            Run = context => Tune(context, options, model),
        };

    /// <summary>What an adapter that is tuned first looks like: on the named modules, or on the model's usual ones.</summary>
    public static PeftConfiguration FreshConfiguration(AuditOptions options, ModelDescription model) => PeftConfiguration.Of(
        options.TargetModules?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) ?? model.UsualTargets, options.Rank, options.Alpha);

    /// <summary>A kept adapter of a fine-tune: the optimiser steps behind it, and its folder.</summary>
    public static IReadOnlyList<(int Step, string Folder)> CheckpointsIn(string folder) => !Directory.Exists(folder) ? [] :
        [.. Directory.EnumerateDirectories(folder, CheckpointPrefix + "*")
            .Where(PeftAdapter.IsAdapter)
            .Select(path => (Step: int.TryParse(Path.GetFileName(path).AsSpan(CheckpointPrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var step) ? step : -1, Folder: path))
            .Where(checkpoint => checkpoint.Step >= 0)
            .OrderBy(checkpoint => checkpoint.Step)];

    // What was not there before counts only where it is used: runs of earlier versions stay as they are.
    private static JsonObject TuningOptions(AuditOptions options)
    {
        var named = RunJson.Of(options, "rank", "alpha", "target_modules", "epochs", "learning_rate", "seed");
        if (!options.Shuffle)
        {
            named["shuffle"] = false;
        }

        if (options.Checkpoints > 0)
        {
            named["checkpoints"] = options.Checkpoints;
        }

        return named;
    }

    /// <summary>The adapter that a fine-tune of these options begins with. The caller owns it.</summary>
    public static LoraAdapter Fresh(AuditOptions options, ModelFiles model, PeftConfiguration? configuration = null) => LoraAdapter.Create(
        model.Loaded.Model, configuration ?? FreshConfiguration(options, model.Description), (ulong)RandomStream.Seed(options.Seed, "adapter"));

    private static void Import(StageContext context, string folder, ModelFiles model)
    {
        context.Progress?.Report(new(Name, 0, 1, "adapters"));
        using var adapter = PeftAdapter.Load(folder, model.Loaded.Model);
        Describe(context, adapter);
        var saved = PeftAdapter.Configuration(folder).SavedModules;
        context.Notes["source"] = "given";
        context.Notes["changes_nothing"] = saved.Count == 0 && adapter.ChangesNothing();
        if (saved.Count > 0)
        {
            context.Notes["trained_but_not_analysed"] = new JsonArray([.. saved.Select(module => (JsonNode)module)]);
        }

        context.WriteFolder(RunFiles.Adapter, to =>
        {
            foreach (var file in (string[])["adapter_config.json", "adapter_model.safetensors"])
            {
                File.Copy(Path.Combine(folder, file), Path.Combine(to, file));
            }
        });
    }

    private static void Tune(StageContext context, AuditOptions options, ModelFiles model)
    {
        var texts = RunReader.ReadTexts(context.Folder);
        var documents = DocumentsStage.ReadTokens(context.Folder, texts);
        var configuration = FreshConfiguration(options, model.Description) with
        {
            BaseModel = model.Description.Name,
            FanInFanOut = model.Loaded.Model.LinearModules.Any(module => module.IsStoredTransposed),
        };
        var kept = context.Scratch("adapter-checkpoints");
        using var fresh = Fresh(options, model, configuration);
        using var result = LoraTrainer.Train(
            model.Loaded.Model,
            fresh,
            [.. documents.Where((_, index) => !texts[index].HeldOut)],
            [.. documents.Where((_, index) => texts[index].HeldOut)],
            new() { Epochs = options.Epochs, LearningRate = options.LearningRate, Seed = options.Seed, Shuffle = options.Shuffle, Snapshots = options.Checkpoints },
            new Checkpoints(context, kept),
            context.Progress,
            context.CancellationToken);
        context.WriteFolder(RunFiles.Adapter, to =>
        {
            PeftAdapter.Save(to, result.Adapter, configuration);
            foreach (var block in kept.All)
            {
                using var adapter = ReadFactors(kept.PathOf(block.Id), result.Adapter);
                PeftAdapter.Save(Path.Combine(to, string.Create(CultureInfo.InvariantCulture, $"{CheckpointPrefix}{block.Id}")), adapter, configuration);
            }
        });
        context.WriteFile(SecondMoments, path => SafetensorsWriter.Write(path, [("second_moments", result.SecondMoments)]));
        Describe(context, result.Adapter);
        context.Notes["source"] = "tuned";
        context.Notes["steps"] = result.Steps;
        context.Notes["tokens"] = result.Tokens;
        if (kept.All.Count > 0)
        {
            context.Notes["checkpoints"] = new JsonArray([.. kept.All.Select(block => (JsonNode)block.Id)]);
        }

        context.Notes["step_losses"] = new JsonArray([.. result.StepLosses.Select(loss => (JsonNode)loss)]);
        if (result.HeldOut is { Count: > 0 } heldOut)
        {
            context.Notes["held_out_loss_before"] = heldOut[0].Loss;
            context.Notes["held_out_loss_after"] = heldOut[^1].Loss;
        }
    }

    private static void Describe(StageContext context, LoraAdapter adapter)
    {
        context.Notes["parameters"] = adapter.ParameterCount;
        context.Notes["rank"] = adapter.Modules.Max(module => module.Rank);
        context.Notes["scale"] = adapter.Modules[0].Scale;
        context.Notes["modules"] = new JsonArray([.. adapter.Modules.Select(module => (JsonNode)module.ModuleName)]);
    }

    private static LoraAdapter ReadFactors(string path, LoraAdapter like)
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(path);
        return new([.. like.Modules.Select(module => module with { A = file.ReadRaw($"{module.ModuleName}.lora_A"), B = file.ReadRaw($"{module.ModuleName}.lora_B") })]);
    }

    /// <summary>Training states as the stage's running state, and kept adapters as blocks that are numbered by their steps.</summary>
    private sealed class Checkpoints(StageContext context, BlockStore kept) : ITrainingCheckpointSink
    {
        public TrainingState? Load()
        {
            if (context.State.Load() is not { } saved)
            {
                return null;
            }

            using var scope = NewDisposeScope();
            using var file = SafetensorsFile.Open(saved.Path);
            return new(file.Names.ToDictionary(name => name, name => file.ReadRaw(name).DetachFromDisposeScope(), StringComparer.Ordinal), TrainingCounters.FromJson((string)saved.Notes!["counters"]!));
        }

        public void Save(TrainingState state) => context.State.SaveFile(
            state.Counters.Step,
            path => SafetensorsWriter.Write(path, state.Tensors.Select(pair => (pair.Key, pair.Value))),
            new JsonObject { ["counters"] = state.Counters.ToJson() });

        public void Keep(int steps, LoraAdapter adapter)
        {
            if (!kept.Has(steps))
            {
                kept.WriteFile(steps, path => SafetensorsWriter.Write(path, adapter.Modules.SelectMany(module =>
                    ((string, Tensor)[])[($"{module.ModuleName}.lora_A", module.A), ($"{module.ModuleName}.lora_B", module.B)])));
            }
        }
    }
}
