using System.Text.Json.Nodes;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Tests.Support;
using GradientAtoms.Tests.Tokenization;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Runs;

/// <summary>A random llama with a byte-level tokenizer, and plain texts of three kinds: everything that an audit needs, in a folder that goes away.</summary>
internal sealed class TinyAudit : IDisposable
{
    private const int Vocabulary = 302;
    private readonly TemporaryFolder _folder = new();

    public TinyAudit(int documents)
    {
        var model = Directory.CreateDirectory(_folder["model"]).FullName;
        ModelFolders.WriteLlama(
            model,
            config => config["vocab_size"] = Vocabulary,
            weights => weights["model.embed_tokens.weight"] = randn([Vocabulary, 24], generator: new Generator(8)) * 0.2);
        File.WriteAllText(Path.Combine(model, "tokenizer.json"), TinyTokenizer.Json().ToJsonString());
        var random = new Random(4);
        string[] alphabets = ["abcde ", "mnopq ", "12345+"];
        _folder.Write("data.jsonl", string.Concat(Enumerable.Range(0, documents).Select(index =>
            new JsonObject { ["text"] = string.Concat(random.GetItems(alphabets[index % 3].AsSpan(), random.Next(6, 16))) }.ToJsonString() + "\n")));
    }

    public string this[string relative] => _folder[relative];

    public AuditOptions Options(string run, CoordinateKind coordinates) => new()
    {
        Model = _folder["model"],
        Data = _folder["data.jsonl"],
        Out = _folder[run],
        Coordinates = coordinates,
        SketchSize = 256,
        BatchTokens = 64,
        LearningRate = 1e-2,
        Sparsity = 0.1,
        Starts = 1,
        Nulls = 2,
    };

    public void Dispose() => _folder.Dispose();
}
