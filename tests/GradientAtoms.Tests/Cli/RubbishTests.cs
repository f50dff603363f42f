using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Cli;

/// <summary>A finished run, made once for all cases of <see cref="RubbishTests"/>.</summary>
public sealed class FinishedRun : IDisposable
{
    public FinishedRun() => AuditPipeline.Run(Audit.Options());

    internal ChatAudit Audit { get; } = new();

    public void Dispose() => Audit.Dispose();
}

/// <summary>
/// What is damaged, foreign or impossible: an error with a code on stderr, the exit code of its kind, and the run that
/// <c>--out</c> names is as it was to the last byte.
/// </summary>
public sealed class RubbishTests(FinishedRun finished) : IClassFixture<FinishedRun>
{
    private const int Usage = 2;
    private const int BadInput = 3;
    private const int TooManyRejected = 5;
    private const string AnotherPlan = "more atoms than documents";

    private static readonly Dictionary<string, (int Exit, string Code, Func<ChatAudit, string, string[]> Arguments)> Cases = new(StringComparer.Ordinal)
    {
        ["weights cut"] = (BadInput, "GA2303", (_, place) => WithModel(place, weights => weights[..^40])),
        ["weights cut in the header"] = (BadInput, "GA2302", (_, place) => WithModel(place, weights => weights[..100])),
        ["weights of no bytes"] = (BadInput, "GA2302", (_, place) => WithModel(place, _ => [])),
        ["a header longer than the file"] = (BadInput, "GA2302", (_, place) => WithModel(place, weights => WithHeaderLength(weights, weights.Length * 2L))),
        ["a header of 2^62 bytes"] = (BadInput, "GA2302", (_, place) => WithModel(place, weights => WithHeaderLength(weights, 1L << 62))),
        ["a header of negative length"] = (BadInput, "GA2302", (_, place) => WithModel(place, weights => WithHeaderLength(weights, -1))),
        ["a weight that is NaN"] = (BadInput, "GA2332", (_, place) => WithWeights(place, tensors => tensors["model.layers.1.mlp.up_proj.weight"][3, 4] = float.NaN)),
        ["a weight that is infinite"] = (BadInput, "GA2332", (_, place) => WithWeights(place, tensors => tensors["model.norm.weight"][0] = float.NegativeInfinity)),
        ["a configuration of a billion layers"] = (BadInput, "GA2321", (_, place) => WithConfiguration(place, "num_hidden_layers", 1_000_000_000)),
        ["a configuration of another size"] = (BadInput, "GA2331", (_, place) => WithConfiguration(place, "intermediate_size", 41)),
        ["a configuration of an unknown architecture"] = (BadInput, "GA2322", (_, place) => WithConfiguration(place, "model_type", "perceptron")),
        ["a model that is not there"] = (BadInput, "GA2340", (_, place) => ["--model", Path.Combine(place, "nothing")]),
        ["a GGUF file that ends in its header"] = (BadInput, "GA2310", (_, place) => ["--model", Write(place, "model.gguf", [.. "GGUF"u8, 3, 0, 0, 0, 9, 0, 0, 0])]),
        ["a GGUF file that promises more than it has"] = (BadInput, "GA2311", (_, place) => ["--model", Write(place, "model.gguf", [.. "GGUF"u8, 3, 0, 0, 0, .. BitConverter.GetBytes(long.MaxValue), .. BitConverter.GetBytes(1L), .. new byte[64]])]),
        ["a GGUF file that is none"] = (BadInput, "GA2310", (_, place) => ["--model", Write(place, "model.gguf", Encoding.UTF8.GetBytes(new string('x', 500)))]),
        ["a GGUF file of no bytes"] = (BadInput, "GA2310", (_, place) => ["--model", Write(place, "model.gguf", [])]),
        ["a shard that is missing"] = (BadInput, "GA2333", (_, place) => WithIndex(place, """{"weight_map":{"model.norm.weight":"model-00001-of-00002.safetensors"}}""")),
        ["a tokenizer with an expression that cannot be translated"] = (BadInput, "GA2107", (_, place) => WithTokenizer(place, json => json["pre_tokenizer"] = JsonNode.Parse("""{"type":"Split","pattern":{"Regex":"(?~a)"},"behavior":"Isolated","invert":false}"""))),
        ["a tokenizer of an unknown type"] = (BadInput, "GA2104", (_, place) => WithTokenizer(place, json => json["model"]!["type"] = "Telepathy")),
        ["a tokenizer that is no JSON"] = (BadInput, "GA2102", (_, place) => WithText(place, "tokenizer.json", "{\"model\":")),
        ["no tokenizer"] = (BadInput, "GA2334", (_, place) => Without(place, "tokenizer.json")),
        ["a template with a syntax error"] = (BadInput, "GA2201", (_, place) => WithTemplate(place, "{% for m in messages %}{{ m.content }}")),
        ["a template that fails on every chat"] = (TooManyRejected, "GA4001", (_, place) => WithTemplate(place, "{{ messages[0]['content'] + 1 }}")),
        ["a template that refuses every chat"] = (TooManyRejected, "GA4001", (_, place) => WithTemplate(place, "{{ raise_exception('never') }}")),
        ["a template without an end"] = (BadInput, "GA2205", (_, place) => WithTemplate(place, "{% for i in range(90000) %}{% for j in range(90000) %}x{% endfor %}{% endfor %}")),
        ["a template that calls itself"] = (BadInput, "GA2205", (_, place) => WithTemplate(place, "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}")),
        ["a template file that is not there"] = (BadInput, "GA2206", (_, place) => ["--chat-template", Path.Combine(place, "nothing.jinja")]),
        ["an adapter that is not there"] = (BadInput, "GA2401", (_, place) => ["--adapter", Path.Combine(place, "nothing")]),
        ["an adapter of another model"] = (BadInput, "GA2404", (audit, place) => WithAdapter(audit, place, adapter => adapter.Replace("q_proj", "q_proc", StringComparison.Ordinal))),
        ["an adapter with NaN in a query"] = (BadInput, "GA2405", (audit, place) => WithAdapterValue(audit, place, float.NaN)),
        ["an adapter with infinity in a query"] = (BadInput, "GA2405", (audit, place) => WithAdapterValue(audit, place, float.PositiveInfinity)),
        ["an adapter that is cut"] = (BadInput, "GA2303", (audit, place) => WithAdapterBytes(audit, place, bytes => bytes[..^8])),
        ["data that is not there"] = (BadInput, "GA2001", (_, place) => ["--data", Path.Combine(place, "nothing.jsonl")]),
        ["data that is empty"] = (BadInput, "GA2002", (_, place) => ["--data", Write(place, "empty.jsonl", [])]),
        ["data that is no text"] = (BadInput, "GA2004", (_, place) => ["--data", Write(place, "rubbish.jsonl", [.. Enumerable.Range(0, 5000).Select(i => (byte)(i * i * 7 % 251))])]),
        ["Parquet data that is empty"] = (BadInput, "GA2002", (_, place) => ["--data", Write(place, "empty.parquet", [])]),
        ["CSV data with zero bytes"] = (BadInput, "GA2004", (_, place) => ["--data", Write(place, "zero.csv", "prompt,completion\nh\0i,there\n\0,x\n"u8.ToArray())]),
        ["CSV data whose names have zero bytes"] = (BadInput, "GA2007", (_, place) => ["--data", Write(place, "zero.csv", "p\0rompt,completion\nhi,there\n"u8.ToArray())]),
        ["data of blank lines"] = (BadInput, "GA2002", (_, place) => ["--data", Write(place, "blank.jsonl", "\n\n\n"u8.ToArray())]),
        ["data of two documents"] = (BadInput, "GA2004", (_, place) => ["--data", Write(place, "two.jsonl", Encoding.UTF8.GetBytes(string.Join('\n', ChatAudit.Chats().Take(2))))]),
        ["data with too many bad rows"] = (TooManyRejected, "GA4001", (_, place) => ["--data", Write(place, "bad.jsonl", Encoding.UTF8.GetBytes(string.Join('\n', ChatAudit.Chats().Take(20).Concat(Enumerable.Repeat("{\"messages\":3}", 5)))))]),
        ["a map that makes no sense"] = (BadInput, "GA2005", (_, _) => ["--map", "melody=song"]),
        ["an option that is no number"] = (Usage, "GA1001", (_, _) => ["--damping", "NaN"]),
        ["an option out of range"] = (Usage, "GA1001", (_, _) => ["--max-tokens", "1"]),
        ["an option that is not known"] = (Usage, "GA1001", (_, _) => ["--fast"]),
        ["options that exclude each other"] = (Usage, "GA1002", (_, _) => ["--sparsity", ".1", "--nonzeros", "3"]),
        ["a device that is not there"] = (Usage, "GA1009", (_, _) => ["--device", "abacus"]),
        [AnotherPlan] = (BadInput, "GA2512", (_, _) => ["--atoms", "10000"]),
        ["a penalty that leaves no code"] = (BadInput, "GA2510", (_, _) => ["--sparsity", "5"]),
        ["non-zeros that no penalty gives"] = (BadInput, "GA2513", (_, _) => ["--nonzeros", "5000"]),
    };

    public static TheoryData<string> Names => [.. Cases.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Rubbish_gives_a_coded_error_and_leaves_the_run_as_it_was(string name)
    {
        var (exit, code, arguments) = Cases[name];
        var audit = finished.Audit;
        var place = Directory.CreateDirectory(audit.Folder[Guid.NewGuid().ToString("N")]).FullName;
        var before = Contents(audit.Folder["run"]);
        var manifestPath = Path.Combine(audit.Folder["run"], RunFiles.Manifest);
        var manifest = File.ReadAllBytes(manifestPath);
        var run = Audit(audit, arguments(audit, place));
        Assert.True(exit == run.ExitCode && run.Error.Contains($"error {code}: ", StringComparison.Ordinal), $"exit code {run.ExitCode}, expected {exit} and {code}:\n{run.Error}");
        Assert.Contains("fix: ", run.Error, StringComparison.Ordinal);
        Assert.Empty(run.Out);
        var after = Contents(audit.Folder["run"]);
        if (name == AnotherPlan)
        {
            // The number of atoms is an option of the plan, which is made anew and written down before the dictionary fails.
            Assert.True(before.Remove(RunFiles.Manifest) && after.Remove(RunFiles.Manifest));
            File.WriteAllBytes(manifestPath, manifest); // the other cases find the run as it was
        }

        Assert.Equal(before, after);
    }

    [Fact]
    public void A_place_that_cannot_be_a_run_is_refused_and_left_alone()
    {
        var audit = finished.Audit;
        var file = audit.Folder.Write("a-file", "text");
        var other = Path.GetDirectoryName(audit.Folder.Write("other/notes.txt", "mine"))!;
        var broken = Path.GetDirectoryName(audit.Folder.Write("broken/run.json", "{"))!;
        var newer = Path.GetDirectoryName(audit.Folder.Write("newer/run.json", """{"schema":"gatoms/run","version":99}"""))!;
        foreach (var (place, code) in ((string, string)[])[(file, "GA2601"), (other, "GA2601"), (Path.Combine(file, "run"), "GA2602"), ("/proc/gatoms/run", "GA2602"), (broken, "GA2604"), (newer, "GA2605")])
        {
            var run = Audit(audit, ["--out", place]);
            Assert.True(run.ExitCode == BadInput && run.Error.Contains($"error {code}: ", StringComparison.Ordinal), $"{place}, exit code {run.ExitCode}, expected {code}:\n{run.Error}");
        }

        Assert.Equal("text", File.ReadAllText(file));
        Assert.Equal([Path.Combine(other, "notes.txt")], Directory.GetFileSystemEntries(other));
        Assert.Equal("{", File.ReadAllText(Path.Combine(broken, "run.json")));
    }

    [Theory]
    [InlineData("atoms")]
    [InlineData("docs")]
    [InlineData("verify")]
    [InlineData("export", "csv", "--out", "{place}/codes.csv")]
    [InlineData("steer", "a1+", "--prompt", "hello")]
    public void A_folder_that_is_no_run_is_said_to_be_none(string verb, params string[] rest)
    {
        var place = Directory.CreateDirectory(finished.Audit.Folder[Guid.NewGuid().ToString("N")]).FullName;
        var given = rest.Select(argument => argument.Replace("{place}", place, StringComparison.Ordinal)).ToList();
        given.Insert(verb == "export" ? 1 : 0, place);
        var run = CliRun.Of([verb, .. given]);
        Assert.True(run.ExitCode == BadInput && run.Error.Contains("error GA2606: ", StringComparison.Ordinal), $"exit code {run.ExitCode}\n{run.Error}");
        Assert.Empty(Directory.GetFileSystemEntries(place));
    }

    [Fact]
    public void A_row_with_an_empty_answer_is_rejected_and_listed_and_the_rest_goes_on()
    {
        var audit = finished.Audit;
        var data = audit.Folder.Write("hole.jsonl", string.Join('\n', ChatAudit.Chats().Take(30).Append(ChatAudit.Row("hole", "what?", "")).Concat(ChatAudit.Chats().Skip(30))));
        var run = CliRun.Of("audit", "--model", audit.Model, "--adapter", audit.Adapter, "--data", data, "--out", audit.Folder["with-hole"], "--json");
        Assert.True(run.ExitCode == 0, run.Error);
        Assert.Equal(1, (int)JsonNode.Parse(run.Out)!["rejected"]!);
        Assert.Equal(ChatAudit.ChatCount, (int)JsonNode.Parse(run.Out)!["documents"]!);
        var rejected = Assert.Single(DocumentsFile.Read(audit.Folder["with-hole/documents.parquet"]), row => row.Status == "rejected");
        Assert.Equal(31, rejected.SourceRow);
        Assert.NotEmpty(rejected.Reason!);
    }

    [Fact]
    public void A_fine_tune_that_diverges_is_a_numerical_error_and_no_adapter()
    {
        var audit = finished.Audit;
        var run = CliRun.Of("audit", "--model", audit.Model, "--data", audit.Data, "--out", audit.Folder["diverged"], "--learning-rate", "1e30");
        Assert.True(run.ExitCode == BadInput && run.Error.Contains("error GA2501: ", StringComparison.Ordinal), $"exit code {run.ExitCode}\n{run.Error}");
        Assert.False(Directory.Exists(audit.Folder["diverged/adapter"]));
    }

    // The finished run's own command, with what the case puts in the place of its options.
    private static CliRun Audit(ChatAudit audit, string[] instead)
    {
        var options = new List<string> { "--batch-tokens", "400" };
        foreach (var (name, value) in (((string, string)[])[("--model", audit.Model), ("--data", audit.Data), ("--adapter", audit.Adapter), ("--out", audit.Folder["run"]), ("--atoms", "6")]).Where(option => !instead.Contains(option.Item1, StringComparer.Ordinal)))
        {
            options.AddRange([name, value]);
        }

        return CliRun.Of(["audit", .. options, .. instead]);
    }

    private static Dictionary<string, string> Contents(string folder) => Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
        .ToDictionary(file => Path.GetRelativePath(folder, file), file => FileHash.OfFile(file), StringComparer.Ordinal);

    private static string Write(string place, string name, byte[] bytes)
    {
        var path = Path.Combine(place, name);
        File.WriteAllBytes(path, bytes);
        return path;
    }

    private static string[] WithModel(string place, Func<byte[], byte[]> change)
    {
        ChatAudit.WriteModel(place);
        var path = Path.Combine(place, "model.safetensors");
        File.WriteAllBytes(path, change(File.ReadAllBytes(path)));
        return ["--model", place];
    }

    private static byte[] WithHeaderLength(byte[] weights, long length)
    {
        BinaryPrimitives.WriteInt64LittleEndian(weights, length);
        return weights;
    }

    private static string[] WithWeights(string place, Action<Dictionary<string, Tensor>> change)
    {
        ChatAudit.WriteModel(place, weights: change);
        return ["--model", place];
    }

    private static string[] WithConfiguration(string place, string key, JsonNode value)
    {
        ChatAudit.WriteModel(place);
        var path = Path.Combine(place, "config.json");
        var config = JsonNode.Parse(File.ReadAllText(path))!;
        config[key] = value;
        File.WriteAllText(path, config.ToJsonString());
        return ["--model", place];
    }

    private static string[] WithTokenizer(string place, Action<JsonObject> change)
    {
        ChatAudit.WriteModel(place, tokenizer: change);
        return ["--model", place];
    }

    private static string[] WithTemplate(string place, string template)
    {
        ChatAudit.WriteModel(place, template: template);
        return ["--model", place];
    }

    private static string[] WithText(string place, string file, string text)
    {
        ChatAudit.WriteModel(place);
        File.WriteAllText(Path.Combine(place, file), text);
        return ["--model", place];
    }

    private static string[] Without(string place, string file)
    {
        ChatAudit.WriteModel(place);
        File.Delete(Path.Combine(place, file));
        return ["--model", place];
    }

    private static string[] WithIndex(string place, string index)
    {
        Without(place, "model.safetensors");
        File.WriteAllText(Path.Combine(place, "model.safetensors.index.json"), index);
        return ["--model", place];
    }

    private static string[] WithAdapterBytes(ChatAudit audit, string place, Func<byte[], byte[]> change)
    {
        File.Copy(Path.Combine(audit.Adapter, "adapter_config.json"), Path.Combine(place, "adapter_config.json"));
        Write(place, "adapter_model.safetensors", change(File.ReadAllBytes(Path.Combine(audit.Adapter, "adapter_model.safetensors"))));
        return ["--adapter", place];
    }

    private static string[] WithAdapter(ChatAudit audit, string place, Func<string, string> names) =>
        WithAdapterTensors(audit, place, tensors => [.. tensors.Select(tensor => (names(tensor.Name), tensor.Tensor))]);

    private static string[] WithAdapterValue(ChatAudit audit, string place, float value) => WithAdapterTensors(audit, place, tensors =>
    {
        tensors.First(tensor => tensor.Name.Contains("q_proj.lora_A", StringComparison.Ordinal)).Tensor[0, 0] = value;
        return tensors;
    });

    private static string[] WithAdapterTensors(ChatAudit audit, string place, Func<List<(string Name, Tensor Tensor)>, List<(string Name, Tensor Tensor)>> change)
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(Path.Combine(audit.Adapter, "adapter_model.safetensors"));
        WithAdapterBytes(audit, place, bytes => bytes);
        SafetensorsWriter.Write(Path.Combine(place, "adapter_model.safetensors"), change([.. file.Names.Select(name => (name, file.ReadRaw(name)))]));
        return ["--adapter", place];
    }
}
