using System.Text.Json;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Tests.Architectures;

/// <summary>One folder of <c>fixtures/models</c>: a model, an adapter, and what transformers and peft compute of them.</summary>
internal sealed class ModelFixture : IDisposable
{
    private static readonly string[] Usual =
    [
        "gemma2", "gemma3", "gpt2", "gpt2-hub-names", "gptneox", "llama", "llama-all-linear", "llama-bf16", "llama-fp16", "llama-patterns", "llama3-rope", "mistral", "mistral-window",
        "olmo2", "phi3", "qwen2-sharded", "qwen3",
    ];

    public ModelFixture(string variant)
    {
        Folder = Fixtures.Need($"models/{variant}");
        Loaded = LoadedModel.Load(Folder);
        Adapter = PeftAdapter.Load(AdapterFolder, Loaded.Model);
        Golden = SafetensorsFile.Open(Path.Combine(Folder, "expected.safetensors"));
        Expected = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder, "expected.json"))).RootElement;
        Documents = [.. Expected.GetProperty("documents").EnumerateArray().Select((item, index) =>
        {
            var ids = Ids(item.GetProperty("input_ids"));
            var first = Math.Max(1, item.GetProperty("prompt_tokens").GetInt32());
            return new TokenizedDocument($"doc{index}", index + 1, ids, [.. ids.Select((_, t) => t >= first)], 0);
        })];
        Losses = [.. Expected.GetProperty("documents").EnumerateArray().Select(item => item.GetProperty("loss_sum").GetDouble())];
    }

    /// <summary>Every variant that is there; the usual names where none is, so that they are reported as skipped.</summary>
    public static TheoryData<string> Variants
    {
        get
        {
            var folder = Path.Combine(Fixtures.Root, "models");
            var found = Directory.Exists(folder) ? Directory.GetDirectories(folder).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal).ToArray() : [];
            return [.. found.Length > 0 ? found : Usual];
        }
    }

    public string Folder { get; }

    public string AdapterFolder => Path.Combine(Folder, "adapter");

    public LoadedModel Loaded { get; }

    public LoraAdapter Adapter { get; }

    public SafetensorsFile Golden { get; }

    public JsonElement Expected { get; }

    public IReadOnlyList<TokenizedDocument> Documents { get; }

    public IReadOnlyList<double> Losses { get; }

    /// <summary>The golden gradient's name of a parameter.</summary>
    public static string ParameterName(string module, char factor) => $"base_model.model.{module}.lora_{factor}.default.weight";

    public static int[] Ids(JsonElement list) => [.. list.EnumerateArray().Select(id => id.GetInt32())];

    public void Dispose()
    {
        Golden.Dispose();
        Adapter.Dispose();
        Loaded.Dispose();
    }
}
