using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Models;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Models.Generation;
using GradientAtoms.Tests.Architectures;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Checkpoints;

public sealed class LoadedModelTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("model").FullName;

    [Fact]
    public void A_folder_gives_its_model_its_description_and_its_stop_tokens()
    {
        ModelFolders.WriteLlama(_folder);
        File.WriteAllText(Path.Combine(_folder, "generation_config.json"), """{"eos_token_id":[5,2]}""");
        using var loaded = LoadedModel.Load(_folder);
        var description = LoadedModel.Describe(_folder);
        Assert.Equal("llama", description.Architecture);
        Assert.Equal("safetensors", description.Format);
        Assert.Equal(loaded.Model.ParameterCount, description.ParameterCount);
        Assert.Equal(description.ParameterCount, description.StoredTypes["F32"]);
        Assert.Equal(loaded.Model.LinearModules.Select(module => new LinearShape(module.Name, module.InputSize, module.OutputSize)), description.LinearModules);
        Assert.Equal(loaded.Description.Fingerprint, description.Fingerprint);
        Assert.Equal([5, 2], loaded.StopIds);
        Assert.Single(description.FileHashes());
        Assert.Equal("GA2334", Assert.Throws<CheckpointException>(() => loaded.Tokenizer).Code);
        File.AppendAllText(Path.Combine(_folder, "config.json"), " ");
        Assert.NotEqual(description.Fingerprint, LoadedModel.Describe(_folder).Fingerprint, StringComparer.Ordinal);
    }

    [Fact]
    public void Shards_give_the_same_model_as_one_file()
    {
        ModelFolders.WriteLlama(_folder);
        using var whole = LoadedModel.Load(_folder);
        Split(out var map);
        using var sharded = LoadedModel.Load(_folder);
        Assert.Equal(2, sharded.Description.Files.Count);
        foreach (var (one, other) in whole.Model.LinearModules.Zip(sharded.Model.LinearModules))
        {
            Assert.True(one.Weight.equal(other.Weight).all().item<bool>());
        }

        var index = Path.Combine(_folder, "model.safetensors.index.json");
        foreach (var (bad, code) in ((string, string)[])
        [
            ("{", "GA2333"), ("{}", "GA2333"), ("""{"weight_map":{}}""", "GA2333"), ("""{"weight_map":{"model.norm.weight":3}}""", "GA2333"),
            ("""{"weight_map":{"model.norm.weight":"../other.safetensors"}}""", "GA2333"), ("""{"weight_map":{"model.norm.weight":"none.safetensors"}}""", "GA2333"),
            (JsonSerializer.Serialize(new { weight_map = map.ToDictionary(item => item.Key, _ => "a.safetensors", StringComparer.Ordinal) }), "GA2333"),
        ])
        {
            File.WriteAllText(index, bad);
            Assert.Equal(code, Assert.Throws<CheckpointException>(() => LoadedModel.Describe(_folder)).Code);
        }
    }

    [Fact]
    public void Missing_unused_and_misshapen_weights_are_named()
    {
        void Refused(string code, string named, Action<Dictionary<string, Tensor>> weights)
        {
            ModelFolders.WriteLlama(_folder, weights: weights);
            var error = Assert.Throws<CheckpointException>(() => LoadedModel.Load(_folder).Dispose());
            Assert.Equal(code, error.Code);
            Assert.Contains(named, error.Message, StringComparison.Ordinal);
        }

        Refused("GA2330", "lacks model.layers.1.mlp.up_proj.weight", weights => weights.Remove("model.layers.1.mlp.up_proj.weight"));
        Refused("GA2330", "model.layers.0.self_attn.q_norm.weight", weights => weights["model.layers.0.self_attn.q_norm.weight"] = ones(6));
        Refused("GA2331", "[24, 12]", weights => weights["model.layers.0.self_attn.q_proj.weight"] = ones(24, 12));
        Refused("GA2330", "lm_head.weight of its own", weights => weights["lm_head.weight"] = ones(61, 24));
        Refused("GA2304", "I64", weights => weights["model.norm.weight"] = ones([24], dtype: ScalarType.Int64));
        Refused("GA2332", "model.layers.1.self_attn.v_proj.weight holds NaN or infinity (1 of", weights => weights["model.layers.1.self_attn.v_proj.weight"][3, 2] = double.NaN);
        Refused("GA2332", "model.norm.weight", weights => weights["model.norm.weight"][3] = double.NegativeInfinity);
    }

    [Fact]
    public void Old_rotary_buffers_and_a_tied_head_that_is_the_embedding_are_no_fault()
    {
        ModelFolders.WriteLlama(_folder, weights: weights =>
        {
            weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = ones(3);
            weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone();
        });
        LoadedModel.Load(_folder).Dispose();
    }

    [Fact]
    public void Configurations_that_lack_or_ask_too_much_are_refused_by_code()
    {
        ModelFolders.WriteLlama(_folder);
        foreach (var key in (string[])["model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"])
        {
            Refused("GA2321", config => config.Remove(key));
        }

        Refused("GA2321", config => config["hidden_size"] = "24");
        Refused("GA2321", config => config["hidden_size"] = -24);
        Refused("GA2321", config => config["num_hidden_layers"] = 1e30);
        Refused("GA2321", config => config["num_attention_heads"] = 5);
        Refused("GA2321", config => config["head_dim"] = 7);
        Refused("GA2321", config => config["num_hidden_layers"] = int.MaxValue);
        Refused("GA2330", config => config["num_hidden_layers"] = 99_999);
        Refused("GA2331", config => config["vocab_size"] = int.MaxValue);
        Refused("GA2323", config => config["hidden_act"] = "quick_gelu");
        Refused("GA2323", config => config["rope_scaling"] = new JsonObject { ["type"] = "spiral", ["factor"] = 2 });
        Refused("GA2321", config => config["rope_scaling"] = new JsonObject { ["type"] = "linear" });
        Refused("GA2321", config => config["rope_scaling"] = 3);
        Refused("GA2321", config => config["rope_parameters"] = new JsonObject { ["rope_type"] = "llama3", ["factor"] = 8 });
        Refused("GA2323", config => config["partial_rotary_factor"] = 0.5);
        Refused("GA2323", config => config["quantization_config"] = new JsonObject());
        Assert.Contains("mamba", Refused("GA2322", config => config["model_type"] = "mamba").Message, StringComparison.Ordinal);
        Assert.Contains("llama", Refused("GA2322", config => config["model_type"] = "mamba").Remedy, StringComparison.Ordinal);
        foreach (var rubbish in (string[])["", "[]", "{", "3"])
        {
            File.WriteAllText(Path.Combine(_folder, "config.json"), rubbish);
            Assert.Equal("GA2320", Assert.Throws<CheckpointException>(() => LoadedModel.Describe(_folder)).Code);
        }

        File.Delete(Path.Combine(_folder, "config.json"));
        Assert.Equal("GA2320", Assert.Throws<CheckpointException>(() => LoadedModel.Describe(_folder)).Code);
        Assert.Equal("GA2341", Assert.Throws<CheckpointException>(() => LoadedModel.Describe(Directory.CreateDirectory(Path.Combine(_folder, "none")).FullName)).Code);

        CheckpointException Refused(string code, Action<JsonObject> change)
        {
            var config = ModelFolders.Config(Some.TinyLlama());
            change(config);
            File.WriteAllText(Path.Combine(_folder, "config.json"), config.ToJsonString());
            var error = Assert.Throws<CheckpointException>(() => LoadedModel.Describe(_folder));
            Assert.True(error.Code == code, $"{code} expected: {error.Code} {error.Message}");
            return error;
        }
    }

    [Fact]
    public void A_model_by_its_hub_name_is_found_in_the_cache_or_named_with_the_command_that_fetches_it()
    {
        var snapshot = Path.Combine(_folder, "hub", "models--some--model", "snapshots", "abc123");
        Directory.CreateDirectory(snapshot);
        Directory.CreateDirectory(Path.Combine(_folder, "hub", "models--some--model", "refs"));
        File.WriteAllText(Path.Combine(_folder, "hub", "models--some--model", "refs", "main"), "abc123\n");
        string? Home(string variable) => variable == "HF_HOME" ? _folder : null;
        Assert.Equal(snapshot, HubCache.Resolve("some/model", Home));
        Assert.Equal(snapshot, HubCache.Resolve("some/model", variable => variable == "HF_HUB_CACHE" ? Path.Combine(_folder, "hub") : null));
        Assert.Equal(_folder, HubCache.Resolve(_folder, Home));

        var absent = Assert.Throws<CheckpointException>(() => HubCache.Resolve("some/other", Home));
        Assert.Equal("GA2340", absent.Code);
        Assert.Contains("hf download some/other", absent.Remedy, StringComparison.Ordinal);
        Assert.Equal("GA2340", Assert.Throws<CheckpointException>(() => HubCache.Resolve("/no/such/folder", Home)).Code);

        File.WriteAllText(Path.Combine(_folder, "hub", "models--some--model", "refs", "main"), "../../..");
        Assert.Equal("GA2340", Assert.Throws<CheckpointException>(() => HubCache.Resolve("some/model", Home)).Code);
    }

    [Fact]
    public void The_real_model_loads_from_its_gguf_and_answers_as_transformers_does()
    {
        var expected = JsonDocument.Parse(File.ReadAllBytes(Fixtures.Need("gguf/expected.json"))).RootElement;
        using var scope = NewDisposeScope();
        using var loaded = LoadedModel.Load(Fixtures.NeedShared("models/SmolLM2-135M-Instruct.Q4_1.gguf"));
        Assert.Equal(expected.GetProperty("model").GetProperty("parameters_tied").GetInt64(), loaded.Model.ParameterCount);
        Assert.Equal([2], loaded.StopIds);
        Assert.Equal("<|im_start|>", loaded.SpecialTokens.Bos);

        using var noGrad = no_grad();
        foreach (var chat in expected.GetProperty("chats").EnumerateArray())
        {
            using var one = NewDisposeScope();
            int[] ids = [.. chat.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
            var logits = GoldenModelTests.Logits(loaded.Model, ids, ForwardRequest.Base)[-1];
            long[] best = [.. chat.GetProperty("top20_ids").EnumerateArray().Select(id => id.GetInt64())];
            var wanted = tensor(chat.GetProperty("top20_logits").EnumerateArray().Select(value => value.GetSingle()).ToArray());
            AssertTensor.Close(wanted, logits.index_select(0, tensor(best)), 0, 5e-4);
            Assert.Equal(chat.GetProperty("logsumexp").GetDouble(), logits.logsumexp(0).item<float>(), 5e-4);
            Assert.Equal(chat.GetProperty("greedy24_ids").EnumerateArray().Select(id => id.GetInt32()), TextGenerator.Generate(loaded.Model, ids, new() { MaxNewTokens = 24 }).Tokens);
        }

        foreach (var document in expected.GetProperty("documents").GetProperty("items").EnumerateArray())
        {
            using var one = NewDisposeScope();
            int[] ids = [.. document.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
            var first = document.GetProperty("prompt_tokens").GetInt32();
            var logits = GoldenModelTests.Logits(loaded.Model, ids, ForwardRequest.Base).narrow(0, first - 1, ids.Length - first);
            var loss = nn.functional.cross_entropy(logits, tensor(ids.Skip(first).Select(id => (long)id).ToArray()), reduction: nn.Reduction.Sum).item<float>();
            Assert.Equal(document.GetProperty("loss_sum").GetDouble(), loss, 1e-3);
        }
    }

    [Fact]
    public void Rows_of_q_and_k_are_put_back_as_hugging_face_has_them()
    {
        var expected = JsonDocument.Parse(File.ReadAllBytes(Fixtures.Need("gguf/expected.json"))).RootElement.GetProperty("qk_permutation");
        using var checkpoint = Checkpoint.Open(Fixtures.NeedShared("models/SmolLM2-135M-Instruct.Q4_1.gguf"));
        foreach (var module in (string[])["q_proj", "k_proj"])
        {
            var name = $"model.layers.0.self_attn.{module}.weight";
            using var weight = checkpoint.Read(name);
            Assert.Equal(
                expected.GetProperty($"{name} after undoing").GetProperty("sha256_f32le").GetString(),
                Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(weight.bytes)));
        }
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private void Split(out Dictionary<string, string> map)
    {
        using var scope = NewDisposeScope();
        var path = Path.Combine(_folder, "model.safetensors");
        map = [];
        using (var file = SafetensorsFile.Open(path))
        {
            foreach (var (shard, names) in ((string, IEnumerable<string>)[])[("a.safetensors", file.Names.Take(9)), ("b.safetensors", file.Names.Skip(9))])
            {
                SafetensorsWriter.Write(Path.Combine(_folder, shard), names.Select(name => (name, file.Read(name))));
                foreach (var name in names)
                {
                    map[name] = shard;
                }
            }
        }

        File.Delete(path);
        File.WriteAllText(Path.Combine(_folder, "model.safetensors.index.json"), JsonSerializer.Serialize(new { metadata = new { }, weight_map = map }));
    }
}
