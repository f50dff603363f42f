using System.Text.Json;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Tests.Architectures;
using GradientAtoms.Tests.Runs;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Cli;

/// <summary><c>gatoms inspect MODEL --check EXPECTED</c>.</summary>
public sealed class InspectCheckTests : IDisposable
{
    private static readonly int[][] Documents = [[3, 14, 15, 9, 26], [5, 35]];
    private readonly TemporaryFolder _folder = new();

    private string Model => _folder["model"];

    private string Answer => _folder["answer.json"];

    [Fact]
    public void The_same_model_passes_and_prints_its_largest_difference()
    {
        WriteModelAndAnswer();
        var run = CliRun.Of("inspect", Model, "--check", Answer);
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("doc1.logits", run.Out, StringComparison.Ordinal);
        Assert.Contains("largest difference 0.0e+0 of a logit, allowed 1.0e-3: the same model", run.Out, StringComparison.Ordinal);
        var json = JsonDocument.Parse(CliRun.Of("inspect", Model, "--check", _folder["answer.safetensors"], "--json").Out).RootElement;
        Assert.True(json.GetProperty("passed").GetBoolean());
        Assert.Equal(2, json.GetProperty("documents").GetArrayLength());
    }

    [Fact]
    public void A_model_with_an_adapter_beside_its_weights_is_shown_as_a_model_and_an_empty_gguf_file_as_none()
    {
        WriteModelAndAnswer();
        using (var loaded = LoadedModel.Load(Model))
        {
            using var adapter = Some.Adapter(loaded.Model);
            PeftAdapter.Save(Path.Combine(Model, "adapter"), adapter, PeftConfiguration.Of(["q_proj", "v_proj"], rank: 3, alpha: 6));
        }

        Assert.Contains("qwen3", CliRun.Of("inspect", Model).Out, StringComparison.Ordinal);
        Assert.Contains("LoRA adapter", CliRun.Of("inspect", Path.Combine(Model, "adapter")).Out, StringComparison.Ordinal);
        File.WriteAllBytes(_folder["zero.gguf"], []);
        Assert.Contains("GA2310", CliRun.Of("inspect", _folder["zero.gguf"]).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_detail_of_the_configuration_fails_with_exit_code_3_and_says_where()
    {
        WriteModelAndAnswer();
        TinyModels.Write(Model, "qwen3", change: config => config["rope_theta"] = 20_000);
        var run = CliRun.Of("inspect", Model, "--check", Answer);
        Assert.Equal(3, run.ExitCode);
        Assert.Contains("GA2351", run.Error, StringComparison.Ordinal);
        Assert.Contains("NOT the same", run.Out, StringComparison.Ordinal);

        // The first token of a document has no angle: the difference is at a later one.
        var result = ModelCheck.Run(Model, Answer);
        Assert.All(result.Differences, one => Assert.InRange(one.Position, 1, one.Tokens - 1));
        Assert.Equal(0, CliRun.Of("inspect", Model, "--check", Answer, "--tolerance", "1000").ExitCode);
    }

    [Fact]
    public void A_stored_value_that_is_not_a_number_fails()
    {
        WriteModelAndAnswer(logits => logits[1, 7] = float.NaN);
        Assert.False(ModelCheck.Run(Model, Answer, tolerance: 1e9).Passed);
    }

    [Fact]
    public void An_adapter_beside_the_answer_or_named_is_used_for_logits_and_not_for_base_logits()
    {
        WriteModelAndAnswer();
        using (var loaded = LoadedModel.Load(Model))
        using (var adapter = Some.Adapter(loaded.Model, rank: 2))
        {
            PeftAdapter.Save(_folder["adapter"], adapter, PeftConfiguration.Of(["q_proj", "v_proj"], 2, 4));
            WriteAnswer(loaded.Model, [adapter]);
        }

        var beside = ModelCheck.Run(Model, Answer);
        Assert.Equal((0, _folder["adapter"]), (beside.Worst.LargestDifference, beside.Adapter));
        Assert.Equal(4, beside.Differences.Count);
        Directory.Move(_folder["adapter"], _folder["elsewhere"]);
        Assert.False(ModelCheck.Run(Model, Answer).Passed);
        Assert.True(ModelCheck.Run(Model, Answer, _folder["elsewhere"]).Passed);
    }

    [Fact]
    public void Answers_that_are_damaged_or_of_another_model_are_refused_by_code()
    {
        WriteModelAndAnswer();
        void Refused(string json)
        {
            File.WriteAllText(Answer, json);
            Assert.Equal("GA2350", Assert.Throws<CheckpointException>(() => ModelCheck.Run(Model, Answer)).Code);
        }

        Refused("");
        Refused("[]");
        Refused("{}");
        Refused("""{"documents":[]}""");
        Refused("""{"documents":[{"input_ids":[]}]}""");
        Refused("""{"documents":[{"input_ids":["x"]}]}""");
        Refused("""{"documents":[{"input_ids":[1,2,3]}]}""");
        Refused("""{"documents":[{"input_ids":[1,2,3,4,61]}]}""");
        Refused("""{"documents":[{"input_ids":[1,2,3,4,-1]}]}""");
        File.Delete(Answer);
        Assert.Equal("GA2350", Assert.Throws<CheckpointException>(() => ModelCheck.Run(Model, Answer)).Code);
    }

    [Theory]
    [MemberData(nameof(ModelFixture.Variants), MemberType = typeof(ModelFixture))]
    public void Every_fixture_passes_the_check_that_a_user_runs(string variant)
    {
        var folder = Fixtures.Need($"models/{variant}");
        var result = ModelCheck.Run(folder, folder, tolerance: 1e-4);
        Assert.True(result.Passed, $"{result.Worst}");
        Assert.NotNull(result.Adapter);
    }

    [Fact]
    public void An_adapter_is_told_with_what_is_not_analysed_and_whether_it_changes_anything()
    {
        WriteModelAndAnswer();
        using var loaded = LoadedModel.Load(Model);
        using var fresh = LoraAdapter.Create(loaded.Model, ["q_proj"], rank: 2, alpha: 4, seed: 1);
        PeftAdapter.Save(_folder["fresh"], fresh, PeftConfiguration.Of(["q_proj"], 2, 4));
        Assert.Contains("nothing: every lora_B is zero", CliRun.Of("inspect", _folder["fresh"]).Out, StringComparison.Ordinal);

        var path = Path.Combine(_folder["fresh"], "adapter_config.json");
        File.WriteAllText(path, File.ReadAllText(path).Replace("\"modules_to_save\": null", "\"modules_to_save\": [\"norm\"]", StringComparison.Ordinal));
        Assert.Contains("norm: trained but not analysed", CliRun.Of("inspect", _folder["fresh"]).Out, StringComparison.Ordinal);

        Directory.CreateDirectory(_folder["several"]);
        Directory.Move(_folder["fresh"], Path.Combine(_folder["several"], "fresh"));
        Assert.Contains("1 adapters", CliRun.Of("inspect", _folder["several"]).Out, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();

    private void WriteModelAndAnswer(Action<Tensor>? change = null)
    {
        TinyModels.Write(Model, "qwen3");
        using var loaded = LoadedModel.Load(Model);
        WriteAnswer(loaded.Model, [], change);
    }

    private void WriteAnswer(CausalLanguageModel model, IReadOnlyList<LoraAdapter> adapters, Action<Tensor>? change = null)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        File.WriteAllText(Answer, JsonSerializer.Serialize(new { documents = Documents.Select(ids => new { input_ids = ids }) }));
        var tensors = new List<(string, Tensor)>();
        for (var i = 0; i < Documents.Length; i++)
        {
            var logits = GoldenModelTests.Logits(model, Documents[i], new() { Adapters = adapters });
            change?.Invoke(logits);
            tensors.Add(($"doc{i}.logits", logits));
            if (adapters.Count > 0)
            {
                tensors.Add(($"doc{i}.base_logits", GoldenModelTests.Logits(model, Documents[i], ForwardRequest.Base)));
            }
        }

        SafetensorsWriter.Write(_folder["answer.safetensors"], tensors);
    }
}
