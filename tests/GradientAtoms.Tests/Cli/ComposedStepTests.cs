using System.Text.Json.Nodes;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Steps;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Cli;

/// <summary>Steps along several poles, projections, and what exports say of themselves.</summary>
public sealed class ComposedStepTests(FinishedRun finished) : IClassFixture<FinishedRun>
{
    private string Run => finished.Audit.Folder["run"];

    [Fact]
    public void Several_poles_are_calibrated_together_and_each_ones_part_is_said()
    {
        using var session = new RunSession(Run);
        string[] poles = [session.Atoms[0].Poles[0].Id, session.Atoms[1].Poles[0].Id];
        var json = Json("steer", Run, poles[0], $"{poles[1]}=-0.5", "--kl", ".1", "--prompt", "2 and 3", "--max-new-tokens", "1")["step"]!;
        Assert.Equal($"{poles[0]} {poles[1]}=-0.5", (string)json["pole"]!);
        var parts = json["parts"]!.AsArray();
        Assert.Equal([1, -0.5], parts.Select(part => (double)part!["weight"]!));
        using var one = PoleStep.Choose(session, poles[0], new() { Kl = 0.1 });
        using var other = PoleStep.Choose(session, poles[1], new() { Kl = 0.1, Less = true });
        Assert.Equal((double)parts[0]!["of_alone"]!, (double)parts[0]!["size"]! / one.Size, 1e-9);
        Assert.Equal((double)parts[1]!["of_alone"]!, (double)parts[1]!["size"]! / other.Size, 1e-9);
        Assert.Equal(0.5, (double)parts[1]!["of_alone"]! / (double)parts[0]!["of_alone"]!, 1e-9);
        Assert.True((bool)json["converged"]!);
        Assert.NotNull(json["kl_unseen"]);

        // The step is the sum that the parts say.
        using var whole = PoleStep.Compose(session, [new(poles[0]), new(poles[1], -0.5)], new() { Kl = 0.1 });
        using var scope = NewDisposeScope();
        var expected = (one.Direction.Direction * whole.Parts[0].Size) + (other.Direction.Direction * whole.Parts[1].Size);
        Assert.True(expected.allclose(whole.Direction.Direction * whole.Size, rtol: 1e-4, atol: 1e-6));
    }

    [Fact]
    public void A_projection_is_answered_and_exported_with_its_share()
    {
        using var session = new RunSession(Run);
        var (pole, to) = (session.Atoms[0].Poles[0].Id, finished.Audit.Folder["removed"]);
        var json = Json("export", "adapter", Run, "--pole", pole, "--remove", "--out", to);
        Assert.InRange((double)json["step"]!["removed_share"]!, 0, 1);
        Assert.Equal(0, (double)json["largest_difference"]!);
        using var expected = PoleStep.Remove(session, pole);
        using var adapter = expected.ToAdapter(session.Adapter);
        using var read = PeftAdapter.Load(to, session.Model.Loaded.Model);
        Assert.Equal(2 * session.Adapter.Modules[0].Rank, read.Modules[0].Rank);
        Assert.True(read.Modules[0].A.equal(adapter.Modules[0].A).all().item<bool>());
        Assert.Contains("projected out", CliRun.Of("steer", Run, pole, "--remove", "--prompt", "2 and 3", "--max-new-tokens", "1").Out, StringComparison.Ordinal);
    }

    [Fact]
    public void An_export_says_where_it_comes_from_and_how_it_is_loaded()
    {
        using var session = new RunSession(Run);
        var (pole, to) = (session.Atoms[0].Poles[0].Id, finished.Audit.Folder["card"]);
        var json = Json("export", "adapter", Run, "--pole", pole, "--kl", ".1", "--out", to);
        string[] load = [.. json["load"]!.AsArray().Select(line => (string)line!)];
        foreach (var program in (string[])["vllm serve", "convert_lora_to_gguf.py", "ollama create", "PeftModel.from_pretrained"])
        {
            Assert.Contains(load, line => line.Contains(program, StringComparison.Ordinal) && line.Contains(to, StringComparison.Ordinal));
        }

        using var file = SafetensorsFile.Open(Path.Combine(to, "adapter_model.safetensors"));
        Assert.Equal(pole, file.Metadata["gradient_atoms.pole"]);
        Assert.Equal(session.Folder.Manifest.ContentHash, file.Metadata["gradient_atoms.run"]);
        Assert.Equal("0.1", file.Metadata["gradient_atoms.kl_asked"]);
        Assert.Equal("pt", file.Metadata["format"]);
        Assert.Equal((double)json["step"]!["kl_measured"]!, double.Parse(file.Metadata["gradient_atoms.kl"], System.Globalization.CultureInfo.InvariantCulture), 1e-12);
        var card = File.ReadAllText(Path.Combine(to, "README.md"));
        Assert.StartsWith("---\nlibrary_name: peft\n", card, StringComparison.Ordinal);
        Assert.Contains($"`{pole}`", card, StringComparison.Ordinal);
        Assert.Contains("gradient_atoms.run", card, StringComparison.Ordinal);
    }

    [Fact]
    public void A_delta_says_how_far_it_can_be_scaled()
    {
        using var session = new RunSession(Run);
        var pole = session.Atoms[0].Poles[0].Id;
        var json = Json("export", "delta", Run, "--pole", pole, "--kl", ".05", "--out", finished.Audit.Folder["delta"]);
        using var step = PoleStep.Choose(session, pole, new() { Kl = 0.05 });
        var largest = (double)json["largest_step"]!;
        Assert.InRange(step.Direction.DeltaError(session.Adapter, largest), 0.0495, 0.05);
        Assert.Equal(largest / step.Size, (double)json["largest_scale"]!, 1e-9);
        Assert.Equal(step.Direction.DeltaError(session.Adapter, step.Size), (double)json["relative_error"]!, 1e-9);
        Assert.Equal(0, (double)json["largest_difference"]!);
        Assert.Contains(json["load"]!.AsArray(), line => ((string)line!).Contains("add_weighted_adapter", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("{0}=x")]
    [InlineData("{0}=0")]
    [InlineData("{0} {1} --step 1")]
    [InlineData("{0} {1} --remove")]
    [InlineData("{0} --remove --kl .1")]
    public void Poles_and_options_that_do_not_go_together_are_refused(string arguments)
    {
        using var session = new RunSession(Run);
        var given = string.Format(System.Globalization.CultureInfo.InvariantCulture, arguments, session.Atoms[0].Poles[0].Id, session.Atoms[1].Poles[0].Id).Split(' ');
        var run = CliRun.Of(["steer", Run, .. given, "--prompt", "x"]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("error GA1002", run.Error, StringComparison.Ordinal);
    }

    private static JsonNode Json(params string[] arguments)
    {
        var run = CliRun.Of([.. arguments, "--json"]);
        Assert.True(run.ExitCode == 0, run.Error);
        return JsonNode.Parse(run.Out)!;
    }
}
