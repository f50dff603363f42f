using GradientAtoms.Certificates;
using GradientAtoms.Gradients;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>What the planner has to know of an audit, from shapes alone: no weight is read.</summary>
public static class AuditPlan
{
    /// <summary>Describes an audit to the planner.</summary>
    /// <param name="options">The audit.</param>
    /// <param name="model">Its model.</param>
    /// <param name="documents">Its documents, one at least.</param>
    /// <exception cref="AdapterException">GA2401 to GA2403: the adapter's configuration cannot be read; GA2406: no module of the model matches its targets.</exception>
    public static PlanRequest Request(AuditOptions options, ModelDescription model, IReadOnlyList<TokenizedDocument> documents) => new()
    {
        Documents = documents.Count,
        Tokens = documents.Sum(document => (long)document.Tokens.Length),
        TrainedTokens = documents.Sum(document => (long)document.TrainedCount),
        LongestDocument = documents.Max(document => document.Tokens.Length),
        ModelParameters = model.ParameterCount,
        VocabularySize = model.VocabularySize,
        Layout = Layout(options, model),
        Atoms = options.Auto is SizeQuestion.Atoms or SizeQuestion.Both ? SizesStage.Likely(options, (int)(documents.Count * (1 - options.HeldOut))).Max() : SizesStage.UsualAtoms(options, (int)(documents.Count * (1 - options.HeldOut))),
        SizeTrials = SizesStage.IsAsked(options) ? [.. SizesStage.Likely(options, (int)(documents.Count * (1 - options.HeldOut)))] : [],
        Starts = options.Starts,
        Nulls = options.Nulls,
        Coordinates = options.Coordinates,
        SketchSize = options.SketchSize,
        SampleShare = options.SampleShare,
        TuneEpochs = options.Adapter is null ? options.Epochs : 0,
        BatchTokens = options.BatchTokens,
        Budget = Budget.For(options.Out, options.Memory, options.Disk, options.Time),
    };

    // Modules that read the same input are told by their names, which only the size of the curvature depends on.
    private static ParameterLayout Layout(AuditOptions options, ModelDescription model)
    {
        var configuration = options.Adapter is { } folder
            ? PeftAdapter.Configuration(folder)
            : AdapterStage.FreshConfiguration(options, model);
        var maps = new List<TrackedMap>();
        var offset = 0L;
        foreach (var module in model.LinearModules.Where(module => configuration.Targets(module.Name)))
        {
            var rank = configuration.RankOf(module.Name);
            maps.Add(new($"{module.Name}.lora_A", module.Name, rank, module.InputSize, offset, InputName(module.Name)));
            offset += (long)rank * module.InputSize;
            maps.Add(new($"{module.Name}.lora_B", module.Name, module.OutputSize, rank, offset, $"{module.Name}.lora_B"));
            offset += (long)rank * module.OutputSize;
        }

        return maps.Count > 0
            ? new(maps)
            : throw AdapterException.NoTarget(options.Adapter ?? "--target-modules", configuration, model.Architecture, model.LinearModules.Select(module => module.Name));
    }

    private static string InputName(string module) => module switch
    {
        _ when module.EndsWith("q_proj", StringComparison.Ordinal) || module.EndsWith("k_proj", StringComparison.Ordinal) || module.EndsWith("v_proj", StringComparison.Ordinal) => module[..^6] + "qkv",
        _ when module.EndsWith("gate_proj", StringComparison.Ordinal) => module[..^9] + "gate_up",
        _ when module.EndsWith("up_proj", StringComparison.Ordinal) => module[..^7] + "gate_up",
        _ => module,
    };
}
