using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Tests.Architectures;
using GradientAtoms.Tests.Runs;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Checkpoints;

/// <summary>
/// What llama.cpp itself (v0.5.0) makes of GGUF models, of LoRA adapters that we write, and of blocks that ggml's own quantiser wrote
/// (<c>tools/make_llama_cpp_cases.py</c>). The models are made anew by every test, from <see cref="TinyModels"/>; only the answers are stored.
/// </summary>
public sealed class LlamaCppTests
{
    private static readonly Dictionary<string, (string Family, int Tokens, Action<JsonObject>? Change)> Cases = new(StringComparer.Ordinal)
    {
        ["llama"] = ("llama", 12, null),
        ["llama linear"] = ("llama linear", 12, null),
        ["llama yarn"] = ("llama yarn", 40, null),
        ["llama llama3"] = ("llama llama3", 40, null),
        ["mistral"] = ("mistral", 12, null),
        ["qwen2"] = ("qwen2", 12, OfHiddenSize),
        ["qwen3"] = ("qwen3", 12, null),
        ["gemma2"] = ("gemma2", 12, null),
        ["gemma3"] = ("gemma3", 12, null),
        ["phi3"] = ("phi3", 12, config => config["sliding_window"] = null), // llama.cpp leaves phi3's window out
        ["phi3 longrope, long"] = ("phi3 longrope", 40, null),
        ["phi3 longrope, short"] = ("phi3 longrope", 12, config => (config["original_max_position_embeddings"], config["max_position_embeddings"]) = (1024, 4096)),
        ["gpt2"] = ("gpt2", 12, null),
        ["gpt_neox"] = ("gpt_neox", 12, null),
        ["gpt_neox one after the other"] = ("gpt_neox one after the other", 12, null),
        ["olmo2"] = ("olmo2", 12, OfHiddenSize),
    };

    private static readonly Lazy<Dictionary<string, Answer>> Answers = new(() => JsonSerializer.Deserialize<Dictionary<string, Answer>>(File.ReadAllText(CaseFile("llama-cpp.json")))!);

    private readonly ITestOutputHelper _output;

    public LlamaCppTests(ITestOutputHelper output) => _output = output;

    public static TheoryData<string> Names => [.. Cases.Keys];

    public static TheoryData<string> BlockTypes => ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"];

    private static string CaseFile(string name) => Path.Combine(Fixtures.RepositoryRoot, "tests", "GradientAtoms.Tests", "Checkpoints", "Cases", name);

    [Theory]
    [MemberData(nameof(BlockTypes))]
    public void Blocks_that_ggml_quantised_mean_what_ggml_says_they_mean(string type)
    {
        var one = JsonDocument.Parse(File.ReadAllText(CaseFile("ggml-blocks.json"))).RootElement.GetProperty(type);
        var (bytes, expected) = (one.GetProperty("bytes").GetBytesFromBase64(), Floats(one.GetProperty("values").GetBytesFromBase64()));
        var format = GgufFormats.Find(type);
        Assert.Equal(bytes.Length / format.BlockBytes * format.BlockSize, expected.Length);
        var found = new float[expected.Length];
        format.Decode!(bytes, found);
        Assert.Equal(expected, found);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_model_and_an_adapter_that_we_wrote_predict_what_llama_cpp_says(string name)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var folder = new TemporaryFolder();
        var (tokens, answer) = (Write(name, folder.Path), Answers.Value[name]);
        using var loaded = LoadedModel.Load(folder[$"{name}.gguf"]);
        using var adapter = Adapter(loaded.Model);

        // ggml takes gelu (gemma, gpt2, gpt_neox) from a table of 16-bit floats.
        var tolerance = name.StartsWith('g') ? 1e-2 : 5e-5;
        var plain = Compare("model", answer.Logits, GoldenModelTests.Logits(loaded.Model, tokens, ForwardRequest.Base), tolerance);
        Compare("with adapter", answer.LoraLogits, GoldenModelTests.Logits(loaded.Model, tokens, new() { Adapters = [adapter] }), tolerance);

        // The adapter moves logits by far more than the tolerance, and llama.cpp read exactly these bytes.
        Assert.True((Stored(answer.LoraLogits, plain.shape) - Stored(answer.Logits, plain.shape)).abs().max().item<float>() > 0.2);
        Assert.Equal(answer.LoraSha256, Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(folder[$"{name}.lora.gguf"]))));
        using var again = GgufAdapter.Read(folder[$"{name}.lora.gguf"], loaded.Model);
        AssertTensor.Close(
            GoldenModelTests.Logits(loaded.Model, tokens, new() { Adapters = [adapter] }), GoldenModelTests.Logits(loaded.Model, tokens, new() { Adapters = [again] }), 1e-6);
    }

    /// <summary>
    /// The large differences above are that table's. What is left is of single values so near the middle of two half floats that
    /// float32's rounding before the table decides which they become: noise of 4e-7 does as much to this model itself.
    /// </summary>
    [Theory]
    [InlineData("gemma2")]
    [InlineData("gemma3")]
    [InlineData("gpt2")]
    [InlineData("gpt_neox")]
    [InlineData("gpt_neox one after the other")]
    public void With_gelu_from_a_table_of_half_floats_a_model_is_as_close_to_llama_cpp_as_others_are(string name)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var folder = new TemporaryFolder();
        var (tokens, answer) = (Write(name, folder.Path), Answers.Value[name]);
        using var checkpoint = new GgufCheckpoint(GgufFile.Open(folder[$"{name}.gguf"]));
        var blueprint = new GgufSource(checkpoint).Blueprint;
        using var exact = WeightReader.Read(blueprint, checkpoint, CPU, CancellationToken.None);
        using var table = WeightReader.Read(blueprint.Changed(configuration => configuration with { Activation = HalfFloatGelu }), checkpoint, CPU, CancellationToken.None);
        using var adapter = Adapter(exact);
        foreach (var (what, stored, request) in ((string, string, ForwardRequest)[])[("model", answer.Logits, ForwardRequest.Base), ("with adapter", answer.LoraLogits, new() { Adapters = [adapter] })])
        {
            (float Median, float Largest) Off(CausalLanguageModel model)
            {
                var logits = GoldenModelTests.Logits(model, tokens, request);
                var off = (Stored(stored, logits.shape) - logits).abs();
                return (off.median().item<float>(), off.max().item<float>());
            }

            var (before, after) = (Off(exact), Off(table));
            _output.WriteLine($"{what}: median and largest difference {before.Median:g2}, {before.Largest:g2}; through the table {after.Median:g2}, {after.Largest:g2}");

            // Last digits, which the kernels of matrix products choose, decide between neighbours in the table.
            Assert.InRange(after.Median, 0, Math.Min(1e-4, before.Median / 3));
            Assert.InRange(after.Largest, 0, before.Largest / 2);
        }
    }

    /// <summary>Run by hand before the program above; the folder is that of the variable GATOMS_LLAMA_CPP_CASES.</summary>
    [Fact(Explicit = true)]
    public void Write_the_files_that_llama_cpp_is_asked_about()
    {
        var folder = Environment.GetEnvironmentVariable("GATOMS_LLAMA_CPP_CASES") ?? throw new InvalidOperationException("GATOMS_LLAMA_CPP_CASES names no folder");
        Directory.CreateDirectory(folder);
        foreach (var name in Cases.Keys)
        {
            File.WriteAllText(Path.Combine(folder, $"{name}.json"), JsonSerializer.Serialize(Write(name, folder)));
        }
    }

    private static int[] Write(string name, string folder)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var model = new TemporaryFolder();
        var (family, count, change) = Cases[name];
        TinyModels.Write(model.Path, family, change: config =>
        {
            GgufConversion.Adapt(family, config);
            change?.Invoke(config);
        });
        var path = Path.Combine(folder, $"{name}.gguf");
        GgufConversion.Convert(family, model.Path, path);
        using var loaded = LoadedModel.Load(model.Path);
        using var adapter = Adapter(loaded.Model);
        GgufAdapter.Write(Path.Combine(folder, $"{name}.lora.gguf"), adapter, loaded.Model);
        return [.. Enumerable.Range(0, count).Select(t => ((7 * t * t) + (3 * t) + 5) % TinyModels.VocabularySize)];
    }

    // What ggml computes between -10 and 10, outside of which its gelu is 0 or x: the tanh form of a value rounded to 16 bits, itself rounded to 16 bits.
    private static Activation HalfFloatGelu { get; } = new("gelu of ggml", values =>
    {
        var inside = values.to(ScalarType.Float16).to(ScalarType.Float32).gelu(TorchSharp.Modules.GELU.Approximate.tanh).to(ScalarType.Float16).to(ScalarType.Float32);
        return where(values.abs() < 10, inside, nn.functional.relu(values));
    });

    // llama.cpp knows these two only with heads that make up the hidden size.
    private static void OfHiddenSize(JsonObject config) => config["head_dim"] = 6;

    // Ranks and scales differ from module to module.
    private static LoraAdapter Adapter(CausalLanguageModel model) =>
        new([.. model.LinearModules.Select((module, m) => Some.ExactModule(module, rank: 2 + (m % 2), scale: m % 3 == 0 ? 1 : 0.5, salt: m))]);

    private static Tensor Stored(string base64, long[] shape) => tensor(Floats(Convert.FromBase64String(base64)), shape);

    private static float[] Floats(byte[] bytes) => MemoryMarshal.Cast<byte, float>(bytes).ToArray();

    private Tensor Compare(string what, string expected, Tensor found, double tolerance)
    {
        var error = (Stored(expected, found.shape) - found).abs().max().item<float>();
        _output.WriteLine($"{what}: largest difference of a logit {error:g3}, largest logit {found.abs().max().item<float>():g3}");
        Assert.True(error <= tolerance, $"{what}: {error} > {tolerance}");
        return found;
    }

    private sealed record Answer(
        [property: JsonPropertyName("logits")] string Logits,
        [property: JsonPropertyName("lora_sha256")] string LoraSha256,
        [property: JsonPropertyName("lora_logits")] string LoraLogits);
}
