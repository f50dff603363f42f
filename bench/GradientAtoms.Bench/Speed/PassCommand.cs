using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Curvature;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Speed;

/// <summary>
/// <c>pass</c>: per-document gradients of a run's documents, ours against the reference's loop in PyTorch on the same weights, tokens
/// and threads, in turns. The two must agree on every loss and norm.
/// </summary>
internal static class PassCommand
{
    public static int Run(Arguments arguments)
    {
        Console.WriteLine(Table(arguments.Need("run"), arguments.Text("model"), arguments.Integer("documents", 60), arguments.Integer("rounds", 3), arguments.Integer("batch-tokens", 1024), !arguments.Has("no-peer")));
        return 0;
    }

    /// <summary>The table, in Markdown.</summary>
    public static string Table(string run, string? modelPath, int count, int rounds, int batchTokens, bool withPeer)
    {
        using var session = new RunSession(run, modelPath);
        if (session.Model.Loaded.Model is not LlamaModel model)
        {
            throw new ArgumentException("the reference's loop is written for models of the llama family");
        }

        var all = session.Documents;
        TokenizedDocument[] documents = [.. Enumerable.Range(0, Math.Min(count, all.Count)).Select(i => all[(int)((long)i * all.Count / Math.Min(count, all.Count))])];
        var folder = Directory.CreateTempSubdirectory("gatoms-bench-").FullName;
        try
        {
            WriteCase(folder, model, session, documents);
            var (tokens, predicted) = (documents.Sum(document => (long)document.Tokens.Length), documents.Sum(document => (long)document.TrainedCount));
            var embedding = (double)model.VocabularySize * model.HiddenSize;
            var body = model.ParameterCount - (embedding * (model.Configuration.TiedEmbeddings ? 1 : 2));
            var operations = 4 * ((body * tokens) + (embedding * predicted));
            var source = new AdapterGradientSource(model, session.Adapter);
            Measure(source, documents, batchTokens, withCovariances: false); // the first run pays for compiling
            var (ours, full, theirs, rates) = (new List<double>(), new List<double>(), new List<double>(), new List<double>());
            for (var round = 0; round < rounds; round++)
            {
                rates.Add(SpeedProbe.MatrixFlops());
                var mine = Measure(source, documents, batchTokens, withCovariances: false);
                ours.Add(mine.Seconds);
                full.Add(Measure(source, documents, batchTokens, withCovariances: true).Seconds);
                if (withPeer)
                {
                    var peer = Peer.Run("reference_loop.py", folder, Peer.Threads.ToString(CultureInfo.InvariantCulture));
                    theirs.Add(peer.GetProperty("seconds").GetDouble());
                    Compare(documents, mine.Losses, mine.Norms, peer);
                }
            }

            var rate = rates.Max();
            string Line(string name, List<double> seconds)
            {
                var middle = Middle.Of(seconds);
                double[] ratios = [.. seconds.Zip(theirs, (mine, other) => other / mine)];
                var times = ratios.Length == 0 ? "not run" : FormattableString.Invariant($"{Middle.Of(theirs) / middle:f2} ({ratios.Min():f2} to {ratios.Max():f2})");
                return FormattableString.Invariant($"| {name} | {documents.Length / middle:f2} | {tokens / middle:f0} | {operations / middle / rate:f2} | {times} |");
            }

            return string.Join('\n',
            [
                FormattableString.Invariant($"{documents.Length} documents of {session.Documents.Count}, {tokens} tokens, {predicted} of them predicted; adapter of {session.Adapter.ParameterCount} parameters; {Peer.Threads} threads; {rounds} rounds in turns, medians (range); matrix products run at {rate / 1e9:f0} GFLOP/s."),
                "",
                "| | documents a second | tokens a second | share of the matrix-product rate | times the reference's loop |",
                "| --- | ---: | ---: | ---: | ---: |",
                Line("gradients", ours),
                Line("gradients and covariances", full),
                .. withPeer ? (string[])[Line("the reference's loop", theirs)] : [],
            ]);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static (double Seconds, double[] Losses, double[] Norms) Measure(AdapterGradientSource source, TokenizedDocument[] documents, int batchTokens, bool withCovariances)
    {
        using var covariances = new CovarianceSums(source.Layout);
        var sink = new Rows(documents.Length);
        var plan = BatchPlan.Make([.. documents.Select(document => document.Tokens.Length)], batchTokens, documents.Length);
        var watch = Stopwatch.StartNew();
        foreach (var batch in plan.Blocks.SelectMany(block => block))
        {
            if (withCovariances)
            {
                source.Run(documents, batch, sink, covariances);
            }
            else
            {
                source.Run(documents, batch, sink);
            }
        }

        return (watch.Elapsed.TotalSeconds, sink.Losses, sink.Norms);
    }

    private static void WriteCase(string folder, LlamaModel model, RunSession session, TokenizedDocument[] documents)
    {
        var c = model.Configuration;
        var head = c.TiedEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight";
        var scale = session.Adapter.Modules.Select(module => module.Scale).Distinct().Single();
        File.WriteAllText(Path.Combine(folder, "config.json"), JsonSerializer.Serialize(new
        {
            layers = c.LayerCount, heads = c.HeadCount, key_value_heads = c.KeyValueHeadCount, head_size = c.HeadSize, theta = c.RopeTheta, epsilon = c.NormEpsilon, scale, head,
        }));
        string[] names =
        [
            "model.embed_tokens", "model.norm",
            .. Enumerable.Range(0, c.LayerCount).SelectMany(layer => (string[])
                [$"model.layers.{layer}.input_layernorm", $"model.layers.{layer}.post_attention_layernorm"]),
            .. model.LinearModules.Select(module => module.Name),
        ];
        SafetensorsWriter.Write(
            Path.Combine(folder, "weights.safetensors"),
            names.Select(name => $"{name}.weight").Append(head).Distinct(StringComparer.Ordinal).Select(name => (name, model.FindWeight(name) ?? throw new ArgumentException($"the model has no {name}"))));
        SafetensorsWriter.Write(Path.Combine(folder, "adapter.safetensors"), session.Adapter.Modules.SelectMany(module => new[] { ($"{module.ModuleName}.A", module.A), ($"{module.ModuleName}.B", module.B) }));
        File.WriteAllText(Path.Combine(folder, "documents.json"), JsonSerializer.Serialize(documents.Select(document => new { tokens = document.Tokens, trained = document.Trained.Select(trained => trained ? 1 : 0) })));
    }

    private static void Compare(TokenizedDocument[] documents, double[] losses, double[] norms, JsonElement peer)
    {
        double[] Of(string name) => [.. peer.GetProperty(name).EnumerateArray().Select(value => value.GetDouble())];
        var (theirLosses, theirNorms) = (Of("losses"), Of("norms"));
        for (var i = 0; i < documents.Length; i++)
        {
            if (Math.Abs(losses[i] - theirLosses[i]) > 1e-3 * Math.Max(1, theirLosses[i]) || Math.Abs(norms[i] - theirNorms[i]) > 2e-3 * theirNorms[i])
            {
                throw new ArgumentException(FormattableString.Invariant($"document {documents[i].Id}: loss {losses[i]} and norm {norms[i]}, the reference's loop has {theirLosses[i]} and {theirNorms[i]}"));
            }
        }
    }

    /// <summary>Keeps what is compared, and forms every flat gradient as the reference does.</summary>
    private sealed class Rows(int count) : IGradientSink
    {
        public double[] Losses { get; } = new double[count];

        public double[] Norms { get; } = new double[count];

        public void Accept(GradientBatch batch)
        {
            using var scope = NewDisposeScope();
            var norms = batch.Rows().norm(1).data<float>().ToArray();
            for (var row = 0; row < norms.Length; row++)
            {
                (Losses[batch.Documents[row]], Norms[batch.Documents[row]]) = (batch.Losses[row], norms[row]);
            }
        }
    }
}
