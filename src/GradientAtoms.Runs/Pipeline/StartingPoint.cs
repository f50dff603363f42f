using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Runs.Files;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>Where the fine-tune began, as far as that is known, and how far it went.</summary>
/// <param name="Kind"><c>known</c>: the run's own fine-tune. <c>assumed</c>: a given adapter, B₀ = 0, A taken as not moved.</param>
/// <param name="Change">θ_tuned − θ₀, <c>[d]</c>, float32, in the layout's order. The caller owns it.</param>
internal sealed record StartingPoint(string Kind, Tensor Change)
{
    /// <summary>The starting point of a run's adapter.</summary>
    /// <returns>Null where nothing was changed, or B did not begin at zero.</returns>
    public static StartingPoint? Of(RunFolder run, ModelFiles model, LoraAdapter adapter)
    {
        using var scope = NewDisposeScope();
        var record = run.Manifest.Stage(AdapterStage.Name)!;
        if (adapter.ChangesNothing())
        {
            return null;
        }

        if ((string?)record.Notes["source"] == "tuned")
        {
            // The fine-tune began at what the same options and seed make.
            var options = record.Options.Deserialize<FreshOptions>(RunJson.Compact)!;
            using var fresh = AdapterStage.Fresh(new() { Model = "", Data = "", Out = "", Rank = options.Rank, Alpha = options.Alpha, TargetModules = options.TargetModules, Seed = options.Seed }, model);
            return new("known", Flat(adapter, module => module.A - fresh.Find(module.ModuleName)!.A).MoveToOuterDisposeScope());
        }

        return BeginsAtZero(run.PathOf(RunFiles.Adapter)) ? new("assumed", Flat(adapter, module => zeros_like(module.A)).MoveToOuterDisposeScope()) : null;
    }

    private static Tensor Flat(LoraAdapter adapter, Func<LoraModule, Tensor> changeOfA) =>
        cat([.. adapter.Modules.SelectMany(module => (Tensor[])[changeOfA(module).flatten(), module.B.flatten()])]).cpu();

    // PEFT's `false` draws B too, and `orthogonal` sets both; the others that are read begin at B = 0.
    private static bool BeginsAtZero(string folder)
    {
        var start = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "adapter_config.json")))?["init_lora_weights"];
        return start?.GetValueKind() switch
        {
            JsonValueKind.False => false,
            JsonValueKind.String => !string.Equals((string?)start, "orthogonal", StringComparison.OrdinalIgnoreCase),
            _ => true,
        };
    }

    private sealed record FreshOptions
    {
        public required int Rank { get; init; }

        public required double Alpha { get; init; }

        public string? TargetModules { get; init; }

        public required long Seed { get; init; }
    }
}
