using System.Text.Json.Nodes;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Steps;
using GradientAtoms.Tests.Adapters;
using GradientAtoms.Tests.Architectures;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Cli;

/// <summary><c>gatoms export gguf</c> and <c>merged</c>: what they write is the steered adapter, and they say so.</summary>
public sealed class ModelExportTests(FinishedRun finished) : IClassFixture<FinishedRun>
{
    private static readonly int[] Prompt = [3, 14, 15, 9, 26, 5, 35];

    [Fact]
    public void A_gguf_adapter_is_the_steered_adapter_to_the_last_bit()
    {
        using var scope = NewDisposeScope();
        using var session = new RunSession(finished.Audit.Folder["run"]);
        var (pole, to) = (session.Atoms[0].Poles[0].Id, finished.Audit.Folder["steered.gguf"]);
        var json = Export("gguf", pole, to);
        Assert.Equal(0, (double)json["largest_difference"]!);
        Assert.EndsWith($"--lora {to}", (string)json["load"]!.AsArray()[^1]!, StringComparison.Ordinal);
        using var step = PoleStep.Choose(session, pole, new() { Step = 0.5 });
        using var expected = step.ToAdapter(session.Adapter);
        using var again = GgufAdapter.Read(to, session.Model.Loaded.Model);
        Assert.Equal(expected.Modules.Select(module => module.ModuleName), again.Modules.Select(module => module.ModuleName));
        foreach (var (one, other) in expected.Modules.Zip(again.Modules))
        {
            Assert.True(one.A.equal(other.A).all().item<bool>() && one.B.equal(other.B).all().item<bool>() && one.Scale == other.Scale, one.ModuleName);
        }

        Refused("gguf", pole, to, "GA1006");
    }

    [Fact]
    public void A_merged_folder_predicts_what_model_and_steered_adapter_do_and_says_what_it_is()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var session = new RunSession(finished.Audit.Folder["run"]);
        var (pole, to) = (session.Atoms[0].Poles[0].Id, finished.Audit.Folder["steered-model"]);
        var json = Export("merged", pole, to);
        Assert.InRange((double)json["largest_difference"]!, 0, 1e-4);
        Assert.Contains("from_pretrained", (string)json["load"]![0]!, StringComparison.Ordinal);
        using var step = PoleStep.Choose(session, pole, new() { Step = 0.5 });
        using var steered = step.ToAdapter(session.Adapter);
        using var merged = LoadedModel.Load(to);
        AssertTensor.Close(
            GoldenModelTests.Logits(session.Model.Loaded.Model, Prompt, new() { Adapters = [steered] }), GoldenModelTests.Logits(merged.Model, Prompt, ForwardRequest.Base), 1e-4);
        Assert.Equal(session.Model.Loaded.Tokenizer.Encode("lemon"), merged.Tokenizer.Encode("lemon"));
        Assert.NotNull(merged.ChatTemplate);
        var card = File.ReadAllText(Path.Combine(to, "README.md"));
        Assert.Contains($"`{pole}`", card, StringComparison.Ordinal);
        Assert.Contains("step 0.5", card, StringComparison.Ordinal);

        Refused("merged", pole, to, "GA1006");
        Refused("merged", pole, Directory.CreateDirectory(finished.Audit.Folder["an empty folder"]).FullName, "GA1006");
    }

    [Theory]
    [InlineData("gguf")]
    [InlineData("merged")]
    public void Without_a_pole_nothing_is_written(string kind)
    {
        Refused(kind, null, finished.Audit.Folder["without"], "GA1002");
        Assert.False(Path.Exists(finished.Audit.Folder["without"]));
    }

    [Fact]
    public void Modules_trained_whole_are_merged_and_have_no_place_in_a_gguf_adapter()
    {
        using var scope = NewDisposeScope();
        using var audit = new ChatAudit();
        MergedModelTests.SaveModule(audit.Adapter, "model.norm", ones(Some.TinyLlama().HiddenSize) * 1.5);
        AuditPipeline.Run(audit.Options());
        string pole;
        using (var session = new RunSession(audit.Folder["run"]))
        {
            pole = session.Atoms[0].Poles[0].Id;
        }

        Assert.InRange((double)Export("merged", pole, audit.Folder["merged"], audit.Folder["run"])["largest_difference"]!, 0, 1e-4);
        Refused("gguf", pole, audit.Folder["steered.gguf"], "GA1002", audit.Folder["run"]);
        Assert.False(File.Exists(audit.Folder["steered.gguf"]));
    }

    private JsonNode Export(string kind, string pole, string to, string? from = null)
    {
        var run = CliRun.Of("export", kind, from ?? finished.Audit.Folder["run"], "--pole", pole, "--step", "0.5", "--out", to, "--json");
        Assert.True(run.ExitCode == 0, run.Error);
        return JsonNode.Parse(run.Out)!;
    }

    private void Refused(string kind, string? pole, string to, string code, string? from = null)
    {
        var run = CliRun.Of(["export", kind, from ?? finished.Audit.Folder["run"], .. pole is null ? Array.Empty<string>() : ["--pole", pole], "--out", to]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains($"error {code}: ", run.Error, StringComparison.Ordinal);
    }
}
