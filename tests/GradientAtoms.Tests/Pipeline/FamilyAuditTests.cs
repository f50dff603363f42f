using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Verification;
using GradientAtoms.Tests.Architectures;
using GradientAtoms.Tests.Cli;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Pipeline;

/// <summary>Whole audits of models with fused projections and transposed weights, from the fine-tune to an exported adapter.</summary>
public sealed class FamilyAuditTests : IDisposable
{
    private static readonly int[] Prompt = [3, 14, 15, 9, 26, 5, 35];
    private readonly ChatAudit _audit = new();

    [Theory]
    [InlineData("gpt2", "c_attn", "n_positions")]
    [InlineData("phi3", "qkv_proj", "max_position_embeddings")]
    [InlineData("gpt_neox", "query_key_value", "max_position_embeddings")]
    public void A_fused_projection_is_tuned_audited_steered_and_exported(string family, string module, string context)
    {
        TinyModels.Write(_audit.Folder["other"], family, change: config => (config["vocab_size"], config[context]) = (302, 512));
        foreach (var file in (string[])["tokenizer.json", "tokenizer_config.json"])
        {
            File.Copy(Path.Combine(_audit.Model, file), _audit.Folder[$"other/{file}"]);
        }

        var options = _audit.Options() with { Model = _audit.Folder["other"], Adapter = null, Rank = 2, Alpha = 4, Epochs = 2, LearningRate = 1e-2, HeldOut = 0.2 };
        AuditPipeline.Run(options);
        var notes = _audit.Manifest().Stage("adapter")!.Notes;
        Assert.True((double)notes["held_out_loss_after"]! < (double)notes["held_out_loss_before"]!, notes.ToJsonString());
        string pole;
        using (var session = new RunSession(_audit.Folder["run"]))
        {
            Assert.All(session.Adapter.Modules, one => Assert.EndsWith($".{module}", one.ModuleName, StringComparison.Ordinal));
            Assert.Equal(3, session.Adapter.Modules.Count);
            Assert.True(RunVerifier.Verify(session.Folder).Passed);
            pole = session.Atoms[0].Poles[0].Id;
        }

        Assert.Equal(family == "gpt2", PeftAdapter.Configuration(_audit.Folder["run/adapter"]).FanInFanOut);
        var run = CliRun.Of("export", "adapter", _audit.Folder["run"], "--pole", pole, "--step", "0.5", "--out", _audit.Folder["steered"]);
        Assert.True(run.ExitCode == 0, run.Error);
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var loaded = LoadedModel.Load(_audit.Folder["other"]);
        using var origin = PeftAdapter.Load(_audit.Folder["run/adapter"], loaded.Model);
        using var steered = PeftAdapter.Load(_audit.Folder["steered"], loaded.Model);
        var difference = GoldenModelTests.Logits(loaded.Model, Prompt, new() { Adapters = [origin] }) - GoldenModelTests.Logits(loaded.Model, Prompt, new() { Adapters = [steered] });
        Assert.True(difference.abs().max().item<float>() > 1e-4);
    }

    public void Dispose() => _audit.Dispose();
}
