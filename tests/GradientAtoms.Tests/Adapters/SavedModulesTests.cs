using System.Text.Json.Nodes;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Steps;
using GradientAtoms.Tests.Architectures;
using GradientAtoms.Tests.Runs;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Adapters;

/// <summary>Modules that were trained whole (<c>modules_to_save</c>), several adapters, and adapters of a multimodal model's text part.</summary>
public sealed class SavedModulesTests : IDisposable
{
    private static readonly int[] Prompt = [3, 14, 15, 9, 26, 5, 35];
    private readonly TemporaryFolder _folder = new();

    private string Model => _folder["model"];

    private string Adapter => _folder["adapter"];

    [Fact]
    public void Modules_saved_whole_take_the_place_of_the_models_own()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        TinyModels.Write(Model, "qwen3");
        var (norm, head) = (ones(24) * 1.5, randn([61, 24], generator: new Generator(8)));
        WriteAdapter("qwen3", ["norm", "lm_head"], ("model.norm.weight", norm), ("lm_head.weight", head));

        TinyModels.Write(_folder["same"], "qwen3", weights => (weights["model.norm.weight"], weights["lm_head.weight"]) = (norm, head));
        AssertSameModel(_folder["same"]);
        Assert.Equal(["norm", "lm_head"], PeftAdapter.Configuration(Adapter).SavedModules);
    }

    [Fact]
    public void A_tied_head_that_was_trained_is_a_weight_of_its_own_from_then_on()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        TinyModels.Write(Model, "llama");
        var trained = randn([61, 24], generator: new Generator(8));
        foreach (var (module, name) in ((string, string)[])[("lm_head", "lm_head.weight"), ("embed_tokens", "model.embed_tokens.weight")])
        {
            WriteAdapter("llama", [module], (name, trained));
            TinyModels.Write(
                _folder["same"], "llama",
                weights =>
                {
                    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone();
                    weights[name] = trained;
                },
                config => config["tie_word_embeddings"] = true);
            var config = TinyModels.Config("llama");
            config["tie_word_embeddings"] = false;
            File.WriteAllText(Path.Combine(_folder["same"], "config.json"), config.ToJsonString());
            AssertSameModel(_folder["same"]);
        }
    }

    [Fact]
    public void An_adapter_with_saved_modules_is_not_loaded_onto_a_model_without_them()
    {
        using var scope = NewDisposeScope();
        TinyModels.Write(Model, "llama");
        WriteAdapter("llama", ["norm"], ("model.norm.weight", ones(24) * 1.5));
        using var plain = LoadedModel.Load(Model);
        var error = Assert.Throws<AdapterException>(() => PeftAdapter.Load(Adapter, plain.Model));
        Assert.Equal("GA2408", error.Code);
        Assert.Contains("model.norm.weight", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Saved_modules_that_are_missing_or_of_another_shape_are_refused()
    {
        using var scope = NewDisposeScope();
        TinyModels.Write(Model, "llama");
        WriteAdapter("llama", ["norm"]);
        Assert.Equal("GA2404", Assert.Throws<AdapterException>(() => LoadedModel.Load(Model, new() { SavedModules = Adapter })).Code);
        WriteAdapter("llama", ["norm"], ("model.norm.weight", ones(25)));
        Assert.Equal("GA2404", Assert.Throws<AdapterException>(() => LoadedModel.Load(Model, new() { SavedModules = Adapter })).Code);
        WriteAdapter("llama", ["classifier"], ("classifier.weight", ones(2, 24)));
        Assert.Equal("GA2404", Assert.Throws<AdapterException>(() => LoadedModel.Load(Model, new() { SavedModules = Adapter })).Code);
    }

    [Fact]
    public void A_steered_adapter_keeps_the_modules_that_were_saved_with_its_origin_and_a_delta_does_not()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        TinyModels.Write(Model, "llama");
        WriteAdapter("llama", ["norm"], ("model.norm.weight", ones(24) * 1.5));
        using var loaded = LoadedModel.Load(Model, new() { SavedModules = Adapter });
        using var adapter = PeftAdapter.Load(Adapter, loaded.Model);
        SteeredAdapterFile.Write(_folder["steered"], adapter, PeftAdapter.Configuration(Adapter), Adapter);
        SteeredAdapterFile.Write(_folder["delta"], adapter, PeftAdapter.Configuration(Adapter));
        using var steered = SafetensorsFile.Open(Path.Combine(_folder["steered"], "adapter_model.safetensors"));
        Assert.Contains("base_model.model.model.norm.weight", steered.Names);
        Assert.Equal(["norm"], PeftAdapter.Configuration(_folder["steered"]).SavedModules);
        Assert.Empty(PeftAdapter.Configuration(_folder["delta"]).SavedModules);
        PeftAdapter.Load(_folder["steered"], loaded.Model).Dispose();
        using var plain = LoadedModel.Load(Model);
        PeftAdapter.Load(_folder["delta"], plain.Model).Dispose();
    }

    [Fact]
    public void Of_several_adapters_in_a_folder_one_has_to_be_named()
    {
        TinyModels.Write(Model, "llama");
        using var loaded = LoadedModel.Load(Model);
        foreach (var name in (string[])["rude", "kind"])
        {
            using var one = Some.Adapter(loaded.Model, rank: 2);
            PeftAdapter.Save(Path.Combine(Adapter, name), one, PeftConfiguration.Of(["q_proj", "v_proj"], 2, 4));
        }

        var error = Assert.Throws<AdapterException>(() => PeftAdapter.Load(Adapter, loaded.Model));
        Assert.Equal("GA2407", error.Code);
        Assert.Contains("kind, rude", error.Message, StringComparison.Ordinal);
        PeftAdapter.Load(Path.Combine(Adapter, "rude"), loaded.Model).Dispose();
        Assert.Equal(2, PeftAdapter.AdaptersIn(Adapter).Count);
    }

    [Fact]
    public void Several_adapters_in_one_file_are_named_and_one_with_its_name_in_the_keys_is_read()
    {
        using var scope = NewDisposeScope();
        TinyModels.Write(Model, "llama");
        using var loaded = LoadedModel.Load(Model);
        WriteAdapter("llama", []);
        Rename(name => name.Replace(".weight", ".mine.weight", StringComparison.Ordinal));
        PeftAdapter.Load(Adapter, loaded.Model).Dispose();
        Rename(name => name.Contains("layers.1", StringComparison.Ordinal) ? name.Replace(".mine.weight", ".other.weight", StringComparison.Ordinal) : name);
        var error = Assert.Throws<AdapterException>(() => PeftAdapter.Load(Adapter, loaded.Model));
        Assert.Equal("GA2407", error.Code);
        Assert.Contains("mine, other", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("language_model.model.layers")]
    [InlineData("model.language_model.layers")]
    [InlineData("model.layers")]
    public void The_text_part_of_a_multimodal_checkpoint_loads_with_adapters_under_every_naming(string naming)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        TinyModels.Write(_folder["text"], "gemma3");
        Directory.CreateDirectory(Model);
        using (var file = SafetensorsFile.Open(Path.Combine(_folder["text"], "model.safetensors")))
        {
            var parts = file.Names.Select(name => ($"language_model.{name}", file.Read(name))).Append(("vision_tower.patches.weight", ones(3, 4))).Append(("multi_modal_projector.weight", ones(4, 4)));
            SafetensorsWriter.Write(Path.Combine(Model, "model.safetensors"), parts);
        }

        var config = new JsonObject { ["model_type"] = "gemma3", ["eos_token_id"] = 1, ["text_config"] = TinyModels.Config("gemma3"), ["vision_config"] = new JsonObject() };
        File.WriteAllText(Path.Combine(Model, "config.json"), config.ToJsonString());
        Assert.Equal(["multi_modal_projector", "vision_tower"], LoadedModel.Describe(Model).OtherParts);
        Assert.Equal("gemma3_text", LoadedModel.Describe(Model).Architecture);

        using var whole = LoadedModel.Load(Model);
        using var text = LoadedModel.Load(_folder["text"]);
        using var adapter = Some.Adapter(text.Model, ["_proj"], rank: 2);
        PeftAdapter.Save(Adapter, adapter, PeftConfiguration.Of([PeftConfiguration.AllLinear], 2, 4));
        Rename(name => name.Replace("base_model.model.model.layers", $"base_model.model.{naming}", StringComparison.Ordinal));
        using var loaded = PeftAdapter.Load(Adapter, whole.Model);
        Assert.True(GoldenModelTests.Logits(text.Model, Prompt, new() { Adapters = [adapter] })
            .equal(GoldenModelTests.Logits(whole.Model, Prompt, new() { Adapters = [loaded] })).all().item<bool>());
    }

    [Fact]
    public void Layers_patterns_and_excluded_patterns_choose_as_peft_does()
    {
        using var loaded = TinyModels.Load("gpt2");
        string[] Chosen(PeftConfiguration configuration) => [.. loaded.Model.LinearModules.Select(module => module.Name).Where(configuration.Targets)];
        Assert.Equal(["transformer.h.1.attn.c_attn"], Chosen(new() { TargetModules = ["c_attn"], LayersToTransform = [1], LayersPatterns = ["h"] }));
        Assert.Empty(Chosen(new() { TargetModules = ["c_attn"], LayersToTransform = [1], LayersPatterns = ["layers"] }));
        Assert.Equal(["transformer.h.0.attn.c_attn", "transformer.h.2.attn.c_attn"], Chosen(new() { TargetModules = ["c_attn"], LayersToTransform = [0, 2] }));
        Assert.Equal(["transformer.h.2.mlp.c_proj"], Chosen(new() { TargetModules = ["c_proj"], ExcludedPattern = @".*(attn|[01]\.mlp)\..*" }));
        Assert.Equal(6, Chosen(new() { TargetModules = ["c_proj"] }).Length);
        Assert.Equal(12, Chosen(new() { TargetPattern = PeftConfiguration.AllLinear }).Length);
        Assert.Equal(["c_attn"], loaded.Description.UsualTargets);
    }

    public void Dispose() => _folder.Dispose();

    private void AssertSameModel(string same)
    {
        using var tuned = LoadedModel.Load(Model, new() { SavedModules = Adapter });
        using var other = LoadedModel.Load(same);
        using var adapter = PeftAdapter.Load(Adapter, tuned.Model);
        var request = new ForwardRequest { Adapters = [adapter] };
        Assert.True(GoldenModelTests.Logits(other.Model, Prompt, request).equal(GoldenModelTests.Logits(tuned.Model, Prompt, request)).all().item<bool>());
    }

    private void WriteAdapter(string family, string[] savedModules, params (string Name, Tensor Values)[] saved)
    {
        using var loaded = TinyModels.Load(family);
        using var adapter = Some.Adapter(loaded.Model, rank: 2);
        PeftAdapter.Save(Adapter, adapter, PeftConfiguration.Of(["q_proj", "v_proj"], 2, 4));
        var path = Path.Combine(Adapter, "adapter_config.json");
        var config = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        config["modules_to_save"] = new JsonArray([.. savedModules.Select(module => (JsonNode)module)]);
        File.WriteAllText(path, config.ToJsonString());
        Rename(name => name, saved);
    }

    private void Rename(Func<string, string> rename, params (string Name, Tensor Values)[] more)
    {
        using var scope = NewDisposeScope();
        var path = Path.Combine(Adapter, "adapter_model.safetensors");
        List<(string, Tensor)> tensors;
        using (var file = SafetensorsFile.Open(path))
        {
            tensors = [.. file.Names.Select(name => (rename(name), file.Read(name)))];
        }

        SafetensorsWriter.Write(path, [.. tensors, .. more.Select(one => ($"base_model.model.{one.Name}", one.Values))]);
    }
}
