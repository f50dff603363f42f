using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Adapters;

public sealed class PeftAdapterTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("adapter").FullName;
    private readonly LlamaModel _model = Some.Llama();

    private string ConfigPath => Path.Combine(_folder, "adapter_config.json");

    private string WeightsPath => Path.Combine(_folder, "adapter_model.safetensors");

    [Fact]
    public void An_adapter_comes_back_as_it_was_saved()
    {
        var configuration = new PeftConfiguration
        {
            Rank = 3, Alpha = 6.5, TargetModules = ["v_proj", "q_proj", "down_proj"], UseRsLora = true, BaseModel = "some/model",
            RankPattern = [new("layers.1.self_attn.q_proj", 2), new("q_proj", 5)], AlphaPattern = [new("v_proj", 4), new("self_attn.v_proj", 9)],
        };
        using var adapter = Random(configuration);
        PeftAdapter.Save(_folder, adapter, configuration);
        using var loaded = PeftAdapter.Load(_folder, _model);

        Assert.Equal(adapter.Modules.Count, loaded.Modules.Count);
        foreach (var (saved, read) in adapter.Modules.Zip(loaded.Modules))
        {
            Assert.Equal((saved.ModuleName, saved.Scale), (read.ModuleName, read.Scale));
            Assert.True(saved.A.equal(read.A).all().item<bool>() && saved.B.equal(read.B).all().item<bool>());
        }

        Assert.Equal(4 / Math.Sqrt(3), loaded.Find("model.layers.0.self_attn.v_proj")!.Scale, 1e-12);
        Assert.Equal(2, loaded.Find("model.layers.1.self_attn.q_proj")!.Rank);
        Assert.Equal(5, loaded.Find("model.layers.0.self_attn.q_proj")!.Rank);
        Assert.Equal(configuration.RankPattern, PeftAdapter.Configuration(_folder).RankPattern);
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("llama-patterns")]
    [InlineData("llama-all-linear")]
    public void What_we_write_has_the_keys_and_tensors_of_pefts_own_file(string variant)
    {
        var folder = Fixtures.Need($"models/{variant}");
        using var loaded = GradientAtoms.Models.LoadedModel.Load(folder);
        var original = Path.Combine(folder, "adapter");
        using var adapter = PeftAdapter.Load(original, loaded.Model);
        PeftAdapter.Save(_folder, adapter, PeftAdapter.Configuration(original));

        var (theirs, ours) = (JsonNode.Parse(File.ReadAllText(Path.Combine(original, "adapter_config.json")))!, JsonNode.Parse(File.ReadAllText(ConfigPath))!);
        Assert.True(JsonNode.DeepEquals(theirs, ours), ours.ToJsonString());
        using var one = SafetensorsFile.Open(Path.Combine(original, "adapter_model.safetensors"));
        using var other = SafetensorsFile.Open(WeightsPath);
        Assert.Equal(one.Names.Order(StringComparer.Ordinal), other.Names.Order(StringComparer.Ordinal), StringComparer.Ordinal);
        foreach (var name in one.Names)
        {
            using var scope = NewDisposeScope();
            Assert.True(one.Read(name).equal(other.Read(name)).all().item<bool>());
        }
    }

    [Fact]
    public void The_real_adapter_targets_q_and_v_of_every_block()
    {
        var configuration = PeftAdapter.Configuration(Fixtures.NeedShared("models/smollm2-instruct-lora"));
        Assert.Equal((8, 16.0), (configuration.Rank, configuration.Alpha));
        Assert.True(configuration.Targets("model.layers.29.self_attn.v_proj"));
        Assert.False(configuration.Targets("model.layers.29.self_attn.k_proj"));
    }

    [Fact]
    public void Targets_are_named_by_list_pattern_and_all_linear()
    {
        string[] Chosen(PeftConfiguration configuration) => [.. _model.LinearModules.Select(module => module.Name).Where(configuration.Targets)];
        Assert.Equal(2, Chosen(new() { TargetModules = ["k_proj"] }).Length);
        Assert.Empty(Chosen(new() { TargetModules = ["proj"] }));
        Assert.Equal(["model.layers.1.mlp.up_proj"], Chosen(new() { TargetModules = ["model.layers.1.mlp.up_proj"] }));
        Assert.Equal(14, Chosen(new() { TargetPattern = "all-linear" }).Length);
        Assert.Equal(13, Chosen(new() { TargetPattern = "all-linear", ExcludedModules = ["layers.0.mlp.gate_proj"] }).Length);
        Assert.Equal(["model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.k_proj"], Chosen(new() { TargetPattern = @".*\.1\..*(q|k)_proj" }));
        Assert.Empty(Chosen(new() { TargetPattern = "q_proj" }));
        Assert.Equal(["model.layers.1.self_attn.q_proj"], Chosen(new() { TargetModules = ["q_proj"], LayersToTransform = [1] }));
        Assert.Equal("GA2402", Assert.Throws<AdapterException>(() => Chosen(new() { TargetPattern = "(" })).Code);
    }

    [Fact]
    public void A_fresh_adapter_changes_nothing_and_is_the_same_for_the_same_seed()
    {
        using var scope = NewDisposeScope();
        using var one = LoraAdapter.Create(_model, ["all-linear"], rank: 4, alpha: 8, seed: 3);
        using var same = LoraAdapter.Create(_model, ["all-linear"], rank: 4, alpha: 8, seed: 3);
        using var other = LoraAdapter.Create(_model, ["all-linear"], rank: 4, alpha: 8, seed: 4);
        Assert.True(one.ChangesNothing());
        Assert.Equal(_model.LinearModules.Select(module => module.Name), one.Modules.Select(module => module.ModuleName), StringComparer.Ordinal);
        Assert.All(one.Modules.Zip(same.Modules), pair => Assert.True(pair.First.A.equal(pair.Second.A).all().item<bool>()));
        Assert.False(one.Modules[0].A.equal(other.Modules[0].A).all().item<bool>());
        var (widest, bound) = (one.Modules[0].A.abs().max().item<float>(), 1 / Math.Sqrt(24));
        Assert.InRange(widest, 0.8 * bound, bound);
        Assert.Equal(2, one.Modules[0].Scale);
        one.Modules[5].B[1, 2] = 1e-30;
        Assert.False(one.ChangesNothing());
        Assert.Equal("GA2406", Assert.Throws<AdapterException>(() => LoraAdapter.Create(_model, ["c_attn"], 4, 8, 0)).Code);
    }

    [Fact]
    public void A_float16_adapter_is_widened()
    {
        Write(tensors => tensors.ToDictionary(item => item.Key, item => item.Value.to(ScalarType.Float16), StringComparer.Ordinal));
        using var adapter = PeftAdapter.Load(_folder, _model);
        Assert.All(adapter.Modules, module => Assert.Equal(ScalarType.Float32, module.A.dtype));
    }

    [Fact]
    public void Tensors_of_another_model_are_refused_with_module_and_shapes()
    {
        const string key = "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight";
        AdapterException Refused(string code, Func<Dictionary<string, Tensor>, Dictionary<string, Tensor>> change)
        {
            Write(change);
            var error = Assert.Throws<AdapterException>(() => PeftAdapter.Load(_folder, _model).Dispose());
            Assert.Equal(code, error.Code);
            return error;
        }

        Dictionary<string, Tensor> With(Dictionary<string, Tensor> tensors, string name, Tensor? value)
        {
            if (value is null)
            {
                tensors.Remove(name);
            }
            else
            {
                tensors[name] = value;
            }

            return tensors;
        }

        Assert.Contains(key, Refused("GA2404", tensors => With(tensors, key, null)).Message, StringComparison.Ordinal);
        Assert.Contains("[99, 3]", Refused("GA2404", tensors => With(tensors, key, ones(99, 3))).Message, StringComparison.Ordinal);
        Assert.Contains("layers.7", Refused("GA2404", tensors => With(tensors, "base_model.model.model.layers.7.self_attn.v_proj.lora_A.weight", ones(3, 24))).Message, StringComparison.Ordinal);
        Refused("GA2405", tensors => With(tensors, key, tensors[key] / 0));
        Refused("GA2403", tensors => With(tensors, key, tensors[key].to(ScalarType.Int32)));
    }

    [Fact]
    public void Kinds_of_adapters_that_we_do_not_compute_are_refused_by_name()
    {
        foreach (var (key, json, code) in ((string, string, string)[])
        [
            ("peft_type", "\"IA3\"", "GA2403"), ("use_dora", "true", "GA2403"), ("bias", "\"all\"", "GA2403"), ("init_lora_weights", "\"pissa\"", "GA2403"), ("use_something_new", "true", "GA2403"), ("target_modules", "[\"q_proj\",\"lm_head\"]", "GA2403"),
            ("layer_replication", "[[0,1]]", "GA2403"), ("lora_bias", "true", "GA2403"), ("trainable_token_indices", "[1]", "GA2403"),
            ("r", "0", "GA2402"), ("r", "\"8\"", "GA2402"), ("r", "null", "GA2402"), ("lora_alpha", "null", "GA2402"), ("target_modules", "null", "GA2402"), ("target_modules", "[3]", "GA2402"),
            ("rank_pattern", "{\"q_proj\":0}", "GA2402"), ("rank_pattern", "[]", "GA2402"), ("alpha_pattern", "{\"q_proj\":\"x\"}", "GA2402"), ("use_rslora", "3", "GA2402"),
            ("target_modules", "[\"c_attn\"]", "GA2406"),
        ])
        {
            Write(tensors => tensors);
            var config = JsonNode.Parse(File.ReadAllText(ConfigPath))!.AsObject();
            config[key] = JsonNode.Parse(json);
            File.WriteAllText(ConfigPath, config.ToJsonString());
            var error = Assert.Throws<AdapterException>(() => PeftAdapter.Load(_folder, _model).Dispose());
            Assert.True(code == error.Code, $"{key} {json}: {error.Code} {error.Message}");
        }

        foreach (var rubbish in (string[])["", "{", "[]", "3"])
        {
            File.WriteAllText(ConfigPath, rubbish);
            Assert.Equal("GA2401", Assert.Throws<AdapterException>(() => PeftAdapter.Load(_folder, _model)).Code);
        }
    }

    [Fact]
    public void A_folder_without_weights_or_with_cut_ones_is_refused_by_code()
    {
        Assert.Equal("GA2401", Assert.Throws<AdapterException>(() => PeftAdapter.Load(_folder, _model)).Code);
        Write(tensors => tensors);
        var whole = File.ReadAllBytes(WeightsPath);
        File.WriteAllBytes(WeightsPath, whole[..(whole.Length / 2)]);
        Assert.Equal("GA2303", Assert.Throws<CheckpointException>(() => PeftAdapter.Load(_folder, _model)).Code);
        File.Delete(WeightsPath);
        Assert.Equal("GA2401", Assert.Throws<AdapterException>(() => PeftAdapter.Load(_folder, _model)).Code);
    }

    [Fact]
    public void A_configuration_that_does_not_fit_the_adapter_is_not_saved()
    {
        using var adapter = LoraAdapter.Create(_model, ["q_proj"], 4, 8, 0);
        Assert.Throws<ArgumentException>(() => PeftAdapter.Save(_folder, adapter, PeftConfiguration.Of(["v_proj"], 4, 8)));
        Assert.Throws<ArgumentException>(() => PeftAdapter.Save(_folder, adapter, PeftConfiguration.Of(["q_proj"], 4, 9)));
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public void A_configuration_that_we_write_is_json_with_every_number_as_a_number()
    {
        using var adapter = LoraAdapter.Create(_model, ["q_proj"], 4, 8, 0);
        PeftAdapter.Save(_folder, adapter, PeftConfiguration.Of(["q_proj"], 4, 8));
        using var config = JsonDocument.Parse(File.ReadAllBytes(ConfigPath));
        Assert.Equal(4, config.RootElement.GetProperty("r").GetInt32());
        Assert.Equal(8, config.RootElement.GetProperty("lora_alpha").GetInt32());
    }

    public void Dispose()
    {
        _model.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private LoraAdapter Random(PeftConfiguration configuration)
    {
        var adapter = LoraAdapter.Create(_model, configuration, 1);
        foreach (var module in adapter.Modules)
        {
            module.B.normal_();
        }

        return adapter;
    }

    private void Write(Func<Dictionary<string, Tensor>, Dictionary<string, Tensor>> change)
    {
        using var scope = NewDisposeScope();
        var configuration = PeftConfiguration.Of(["q_proj", "v_proj"], 3, 6);
        using var adapter = Random(configuration);
        PeftAdapter.Save(_folder, adapter, configuration);
        Dictionary<string, Tensor> tensors;
        using (var file = SafetensorsFile.Open(WeightsPath))
        {
            tensors = file.Names.ToDictionary(name => name, file.Read, StringComparer.Ordinal);
        }

        SafetensorsWriter.Write(WeightsPath, change(tensors).Select(item => (item.Key, item.Value)));
    }
}
