using System.Text.Json.Nodes;
using GradientAtoms.Gradients;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Steering;
using GradientAtoms.Tests.Cli;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Steering;

/// <summary>The reference deals a direction out to tensors by their names. On demand so do we.</summary>
public sealed class ReferenceOrderTests
{
    [Fact]
    public void Tensors_take_what_is_theirs_in_the_order_of_names_with_numbers_as_numbers()
    {
        using var scope = NewDisposeScope();
        string[] modules = ["layers.10.v", "layers.2.q", "layers.2.k", "layers.02.a"];
        var maps = modules.SelectMany((module, m) => ((string[])["lora_A", "lora_B"]).Select((side, s) => (Name: $"{module}.{side}", Module: module, Rows: m + 1, Columns: s + 1))).ToList();
        var (offset, made) = (0L, new List<TrackedMap>());
        foreach (var (name, module, rows, columns) in maps)
        {
            made.Add(new(name, module, rows, columns, offset, name));
            offset += made[^1].Size;
        }

        // Sizes 1 2, 2 4, 3 6, 4 8 in the layout's order; by name layer 2's a, k, q, then layer 10's v.
        var dealt = StepDirections.InOrderOfNames(arange(30, dtype: ScalarType.Float32), new(made)).data<float>().ToArray();
        long[] expected = [27, 28, 29, 21, 22, 23, 24, 25, 26, 12, 13, 14, 15, 16, 17, 18, 19, 20, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        Assert.Equal(expected.Select(index => (float)index), dealt);
    }

    [Fact]
    public void With_all_linear_modules_adapted_the_fault_puts_a_step_into_wrong_tensors_and_says_so()
    {
        using var scope = NewDisposeScope();
        using var audit = new ChatAudit();
        using (var loaded = LoadedModel.Load(audit.Model))
        using (var adapter = Some.Adapter(loaded.Model, [""], rank: 2, seed: 3))
        {
            PeftAdapter.Save(audit.Adapter, adapter, PeftConfiguration.Of(["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], rank: 2, alpha: 4));
        }

        AuditPipeline.Run(audit.Options() with { Nulls = 0 });
        using var session = new RunSession(audit.Folder["run"]);
        var pole = session.Atoms[0].Poles[0];
        var (right, wrong) = (Export("right"), Export("wrong", "--reference-faults", "order"));
        Assert.Null(right.Json["step"]!["reference_faults"]);
        Assert.Equal("order", (string?)wrong.Json["step"]!["reference_faults"]);
        var text = CliRun.Of("steer", audit.Folder["run"], pole.Id, "--step", "0.1", "--direction", "gradient", "--reference-faults", "order", "--prompt", "x", "--max-new-tokens", "1");
        Assert.Contains("by mistake", text.Out, StringComparison.Ordinal);
        Assert.Equal(2, CliRun.Of("steer", audit.Folder["run"], pole.Id, "--prompt", "x", "--reference-faults", "order").ExitCode); // only the reference's own direction
        Assert.Equal(2, CliRun.Of("steer", audit.Folder["run"], pole.Id, "--prompt", "x", "--direction", "gradient", "--reference-faults", "offsets").ExitCode);

        // Both steps are of one length; which way round is decided by measurement.
        var dealt = StepDirections.InOrderOfNames(Change(right), session.Layout);
        var sign = Math.Sign((dealt * Change(wrong)).sum().item<float>());
        AssertTensor.Close(dealt, Change(wrong) * sign, relativeToMax: 1e-4);
        Assert.True((Change(right) - (Change(wrong) * sign)).norm().item<float>() > 0.1 * dealt.norm().item<float>());

        (JsonNode Json, string Folder) Export(string name, params string[] more)
        {
            var run = CliRun.Of(["export", "adapter", audit.Folder["run"], "--pole", pole.Id, "--step", "2", "--direction", "gradient", "--out", audit.Folder[name], "--json", .. more]);
            Assert.True(run.ExitCode == 0, run.Error);
            return (JsonNode.Parse(run.Out)!, audit.Folder[name]);
        }

        Tensor Change((JsonNode Json, string Folder) export)
        {
            using var steered = PeftAdapter.Load(export.Folder, session.Model.Loaded.Model);
            return cat([.. steered.Modules.Zip(session.Adapter.Modules).SelectMany(pair => new[] { (pair.First.A - pair.Second.A).flatten(), (pair.First.B - pair.Second.B).flatten() })]);
        }
    }
}
