using System.Text.Json.Nodes;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Tests.Architectures;
using GradientAtoms.Tests.Checkpoints;
using GradientAtoms.Tests.Runs;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Adapters;

/// <summary>A model with its adapter added predicts what model and adapter do; what is not changed is copied to the last bit.</summary>
public sealed class MergedModelTests : IDisposable
{
    private static readonly int[] Prompt = [3, 14, 15, 9, 26, 5, 35];
    private readonly TemporaryFolder _folder = new();

    private string Model => _folder["model"];

    private string Merged => _folder["merged"];

    public static TheoryData<string> Families => TinyModels.All;

    [Theory]
    [MemberData(nameof(Families))]
    public void A_merged_model_of_each_family_predicts_what_model_and_adapter_do(string family)
    {
        TinyModels.Write(Model, family);
        Assert.InRange(MergeAll(), 0, 1e-4);
        Assert.Equal(File.ReadAllText(Path.Combine(Model, "config.json")), File.ReadAllText(Path.Combine(Merged, "config.json")));
        Assert.Equal(["merged", "model"], Directory.GetDirectories(_folder.Path).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("gpt2-hub-names")]
    [InlineData("phi3")]
    [InlineData("qwen2-sharded")]
    public void A_merged_fixture_has_the_files_names_and_types_of_the_checkpoint(string name)
    {
        var source = Fixtures.Need($"models/{name}");
        foreach (var file in Directory.GetFiles(source))
        {
            _folder.Write($"model/{Path.GetFileName(file)}", string.Empty);
            File.Copy(file, Path.Combine(Model, Path.GetFileName(file)), overwrite: true);
        }

        Assert.InRange(MergeAll(), 0, 1e-4);
        AssertSameLayout();
    }

    [Fact]
    public void Only_adapted_weights_change_and_sums_are_rounded_to_the_type_that_they_were_stored_in()
    {
        using var scope = NewDisposeScope();
        TinyModels.Write(Model, "gpt2", weights =>
        {
            foreach (var name in weights.Keys.ToArray())
            {
                weights[name] = weights[name].to(ScalarType.BFloat16);
            }
        });
        using var loaded = LoadedModel.Load(Model);
        using var adapter = Some.Adapter(loaded.Model, ["c_attn"], rank: 3, scale: 2, seed: 4);
        MergedModel.Write(Merged, Model, loaded.Model, adapter, card: "a card");
        AssertSameLayout();
        Assert.Equal("a card", File.ReadAllText(Path.Combine(Merged, "README.md")));
        using var before = SafetensorsFile.Open(Path.Combine(Model, "model.safetensors"));
        using var after = SafetensorsFile.Open(Path.Combine(Merged, "model.safetensors"));
        Assert.Equal("pt", after.Metadata["format"]);
        foreach (var name in before.Names)
        {
            var lora = adapter.Find(name.Replace(".weight", "", StringComparison.Ordinal));
            var expected = lora is null || !name.EndsWith(".weight", StringComparison.Ordinal) ? before.ReadRaw(name) : (before.Read(name) + (lora.B.matmul(lora.A) * lora.Scale).t()).to(ScalarType.BFloat16);
            Assert.True(expected.equal(after.ReadRaw(name)).all().item<bool>(), name);
        }
    }

    [Fact]
    public void Weights_of_eight_bits_become_float32_and_the_configuration_says_so()
    {
        const string name = "model.layers.1.self_attn.q_proj.weight";
        TinyModels.Write(Model, "llama linear", weights => weights[name] = weights[name].to(ScalarType.Byte).mul_(0), config => config["torch_dtype"] = "bfloat16");
        var path = Path.Combine(Model, "model.safetensors");
        var bytes = File.ReadAllBytes(path);
        var cut = bytes.AsSpan(8, (int)BitConverter.ToInt64(bytes));
        var header = System.Text.Encoding.UTF8.GetString(cut).Replace("\"U8\"", "\"F8_E4M3\"", StringComparison.Ordinal).TrimEnd();
        header = header.PadRight((header.Length + 7) / 8 * 8);
        File.WriteAllBytes(path, [.. BitConverter.GetBytes((long)header.Length), .. System.Text.Encoding.UTF8.GetBytes(header), .. bytes.AsSpan(8 + cut.Length)]);
        Assert.Equal(1, LoadedModel.Describe(Model).StoredTypes.Keys.Count(type => type == "F8_E4M3"));

        Assert.InRange(MergeAll(), 0, 1e-4);
        using var after = SafetensorsFile.Open(Path.Combine(Merged, "model.safetensors"));
        Assert.Equal("F32", after.Entry(name).StoredType);
        Assert.Equal("float32", (string?)JsonNode.Parse(File.ReadAllText(Path.Combine(Merged, "config.json")))!["torch_dtype"]);
    }

    [Fact]
    public void A_sum_too_large_for_its_type_is_refused_and_nothing_is_left()
    {
        using var scope = NewDisposeScope();
        TinyModels.Write(Model, "qwen3", weights => weights["model.layers.0.self_attn.v_proj.weight"] = weights["model.layers.0.self_attn.v_proj.weight"].to(ScalarType.Float16));
        using var loaded = LoadedModel.Load(Model);
        using var adapter = Some.Adapter(loaded.Model, ["v_proj"], rank: 2, scale: 1e7, seed: 4);
        Assert.Equal("GA2332", Assert.Throws<CheckpointException>(() => MergedModel.Write(Merged, Model, loaded.Model, adapter)).Code);
        Assert.Equal([Model], Directory.GetDirectories(_folder.Path));
    }

    [Fact]
    public void An_existing_folder_is_not_written_to()
    {
        TinyModels.Write(Model, "qwen3");
        Directory.CreateDirectory(Merged);
        using var loaded = LoadedModel.Load(Model);
        using var adapter = Some.Adapter(loaded.Model, ["v_proj"], rank: 2, scale: 1, seed: 4);
        Assert.Throws<IOException>(() => MergedModel.Write(Merged, Model, loaded.Model, adapter));
        Assert.Empty(Directory.GetFileSystemEntries(Merged));
    }

    [Fact]
    public void A_GGUF_file_is_refused_with_the_export_that_suits_it()
    {
        TinyModels.Write(Model, "llama linear", change: config => GgufConversion.Adapt("llama linear", config));
        GgufConversion.Convert("llama linear", Model, _folder["model.gguf"]);
        var error = Assert.Throws<AdapterException>(() => MergedModel.Check(_folder["model.gguf"]));
        Assert.Equal("GA2409", error.Code);
        Assert.Contains("gatoms export gguf", error.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void A_module_without_a_GGUF_name_is_refused_and_no_file_is_written()
    {
        using var loaded = TinyModels.Load("phi3");
        foreach (var name in (string[])["lm_head", "model.layers.0.mlp.c_fc", "transformer.h.0.attn.c_attn"])
        {
            using var adapter = new LoraAdapter([new(name, ones(1, 24), ones(24, 1), 1)]);
            Assert.Equal("GA2409", Assert.Throws<AdapterException>(() => GgufAdapter.Write(_folder["x.gguf"], adapter, loaded.Model)).Code);
        }

        Assert.False(File.Exists(_folder["x.gguf"]));
    }

    [Theory]
    [InlineData("qwen3", false)]
    [InlineData("llama", true)]
    public void Modules_saved_whole_are_merged_but_a_tied_head_is_refused(string family, bool isTied)
    {
        using var scope = NewDisposeScope();
        TinyModels.Write(Model, family);
        using (var loaded = LoadedModel.Load(Model))
        {
            using var adapter = Some.Adapter(loaded.Model, ["v_proj"], rank: 2, scale: 2, seed: 4);
            PeftAdapter.Save(_folder["adapter"], adapter, PeftConfiguration.Of(["v_proj"], rank: 2, alpha: 4));
        }

        SaveModule(_folder["adapter"], "lm_head", randn([61, 24], generator: new Generator(8)));
        if (isTied)
        {
            Assert.Equal("GA2409", Assert.Throws<AdapterException>(() => MergedModel.Check(Model, _folder["adapter"])).Code);
            return;
        }

        using var whole = LoadedModel.Load(Model, new() { SavedModules = _folder["adapter"] });
        using var lora = PeftAdapter.Load(_folder["adapter"], whole.Model);
        MergedModel.Write(Merged, Model, whole.Model, lora, _folder["adapter"]);
        Assert.InRange(Difference(whole, lora), 0, 1e-4);
    }

    public void Dispose() => _folder.Dispose();

    /// <summary>Adds a module trained whole to an adapter folder.</summary>
    internal static void SaveModule(string folder, string module, Tensor values)
    {
        var config = Path.Combine(folder, "adapter_config.json");
        var json = JsonNode.Parse(File.ReadAllText(config))!;
        json["modules_to_save"] = new JsonArray(module[(module.LastIndexOf('.') + 1)..]);
        File.WriteAllText(config, json.ToJsonString());
        var path = Path.Combine(folder, "adapter_model.safetensors");
        Dictionary<string, Tensor> tensors;
        using (var file = SafetensorsFile.Open(path))
        {
            tensors = file.Names.ToDictionary(name => name, file.ReadRaw, StringComparer.Ordinal);
        }

        tensors[$"base_model.model.{module}.weight"] = values;
        SafetensorsWriter.Write(path, tensors.Select(item => (item.Key, item.Value)));
    }

    // With every linear module adapted.
    private double MergeAll()
    {
        using var loaded = LoadedModel.Load(Model);
        using var adapter = Some.Adapter(loaded.Model, [""], rank: 3, scale: 2, seed: 4);
        MergedModel.Write(Merged, Model, loaded.Model, adapter);
        return Difference(loaded, adapter);
    }

    private double Difference(LoadedModel loaded, LoraAdapter adapter)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var merged = LoadedModel.Load(Merged);
        var expected = GoldenModelTests.Logits(loaded.Model, Prompt, new() { Adapters = [adapter] });
        Assert.True((expected - GoldenModelTests.Logits(loaded.Model, Prompt, ForwardRequest.Base)).abs().max().item<float>() > 1e-2);
        return (expected - GoldenModelTests.Logits(merged.Model, Prompt, ForwardRequest.Base)).abs().max().item<float>();
    }

    private void AssertSameLayout()
    {
        using var before = Checkpoint.Open(Model);
        using var after = Checkpoint.Open(Merged);
        Assert.Equal(before.Files.Select(Path.GetFileName), after.Files.Select(Path.GetFileName));
        Assert.Equal(before.Names.Order(StringComparer.Ordinal), after.Names.Order(StringComparer.Ordinal));
        Assert.All(before.Names, name => Assert.Equal(before.StoredType(name), after.StoredType(name)));
    }
}
