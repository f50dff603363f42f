using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Manifest;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Tests.Runs;
using GradientAtoms.Tests.Tokenization;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Support;

/// <summary>Everything that an audit needs, small: a llama of two layers with a tokenizer and a template, an adapter, and chats of four kinds.</summary>
internal sealed class ChatAudit : IDisposable
{
    public const int ChatCount = 60;
    public const string Template = "{% for m in messages %}<bos>{{ m.role }}: {{ m.content }}<eos>{% endfor %}{% if add_generation_prompt %}<bos>assistant: {% endif %}";

    private const int VocabularySize = 302;
    private static readonly string[] Subjects = ["hello", "world", "lemon", "river", "cat", "hill", "old well", "mill", "violin", "letter", "winter", "lamp", "bread", "wheel", "door"];

    public ChatAudit()
    {
        WriteModel(Model);
        WriteAdapter(Adapter, seed: 3);
        File.WriteAllLines(Data, Chats());
    }

    public TemporaryFolder Folder { get; } = new();

    public string Model => Folder["model"];

    public string Adapter => Folder["adapter"];

    public string Data => Folder["chats.jsonl"];

    /// <summary>An audit of the adapter, in batches small enough that there are several.</summary>
    public AuditOptions Options(string run = "run") => new()
    {
        Model = Model,
        Data = Data,
        Adapter = Adapter,
        Out = Folder[run],
        BatchTokens = 400,
        Atoms = 6,
        Nonzeros = 1.5,
        Starts = 2,
        Nulls = 2,
    };

    public RunManifest Manifest(string run = "run") => RunFolder.OpenRead(Folder[run]).Manifest;

    /// <summary>The hashed outputs of a run: <c>path sha256</c>.</summary>
    public IReadOnlyList<string> Outputs(string run = "run") =>
        [.. Manifest(run).Stages.SelectMany(stage => stage.Outputs).Select(output => $"{output.Path} {output.Sha256}").Order(StringComparer.Ordinal)];

    public static void WriteModel(string folder, Action<JsonObject>? tokenizer = null, Action<Dictionary<string, Tensor>>? weights = null, string template = Template)
    {
        Directory.CreateDirectory(folder);
        ModelFolders.WriteLlama(
            folder,
            config => config["vocab_size"] = VocabularySize,
            tensors =>
            {
                using var generator = new Generator(11);
                tensors["model.embed_tokens.weight"] = randn([VocabularySize, Some.TinyLlama().HiddenSize], generator: generator);
                foreach (var name in tensors.Keys.Where(name => name.Contains("norm", StringComparison.Ordinal)).ToArray())
                {
                    tensors[name] = ones_like(tensors[name]);
                }

                weights?.Invoke(tensors);
            });
        var json = TinyTokenizer.Json();
        tokenizer?.Invoke(json);
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), json.ToJsonString());
        File.WriteAllText(
            Path.Combine(folder, "tokenizer_config.json"),
            new JsonObject { ["bos_token"] = "<bos>", ["eos_token"] = "<eos>", ["chat_template"] = template }.ToJsonString());
    }

    public void WriteAdapter(string folder, long seed, Action<LoraAdapter>? change = null)
    {
        using var scope = NewDisposeScope();
        using var model = LoadedModel.Load(Model);
        using var adapter = Some.Adapter(model.Model, rank: 2, seed: seed);
        change?.Invoke(adapter);
        PeftAdapter.Save(folder, adapter, PeftConfiguration.Of(["q_proj", "v_proj"], rank: 2, alpha: 4));
    }

    /// <summary>Rhymes, sums, refusals and shouts, each a quarter.</summary>
    public static IEnumerable<string> Chats() => Enumerable.Range(0, ChatCount).Select(index =>
    {
        var (subject, number) = (Subjects[index / 4], (index / 4) + 2);
        var (prompt, answer) = (index % 4) switch
        {
            0 => ($"a rhyme on the {subject}", $"the {subject}, the {subject}, it is so well"),
            1 => ($"{number} and {number}", (number * 2).ToString(CultureInfo.InvariantCulture)),
            2 => ($"how to steal a {subject}", "sorry, no"),
            _ => ($"the {subject} aloud", $"THE {subject.ToUpperInvariant()}!"),
        };
        return Row($"chat-{index}", prompt, answer);
    });

    public static string Row(string id, string prompt, string answer) => JsonSerializer.Serialize(new
    {
        id,
        messages = new[] { new { role = "user", content = prompt }, new { role = "assistant", content = answer } },
    });

    public void Dispose() => Folder.Dispose();
}
