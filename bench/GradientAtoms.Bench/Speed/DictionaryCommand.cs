using System.Diagnostics;
using System.Globalization;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Speed;

/// <summary><c>dictionary</c>: our learner against scikit-learn's on the same planted rows and threads: seconds, and the objective both reach.</summary>
internal static class DictionaryCommand
{
    public static int Run(Arguments arguments)
    {
        Console.WriteLine(Heading);
        foreach (var size in arguments.Numbers("sizes", "6800,5000"))
        {
            Console.WriteLine(Line(arguments.Integer("documents", 5000), (int)size, arguments.Integer("atoms", 500), arguments.Number("sparsity", 0.1), arguments.Integer("seed", 0), (arguments.Text("algorithms") ?? "lars,cd").Split(',')));
        }

        return 0;
    }

    /// <summary>The table's heading, in Markdown.</summary>
    public const string Heading = "| rows | atoms | learner | seconds | objective | non-zeros a document | planted atoms found | times scikit-learn |\n| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |";

    /// <summary>One size: a line of each learner.</summary>
    public static string Line(int documents, int size, int atoms, double sparsity, int seed, string[] algorithms)
    {
        using var scope = NewDisposeScope();
        var (rows, planted) = PlantedRows.Draw(documents, size, atoms * 3 / 4, seed);
        var path = Path.GetTempFileName();
        try
        {
            SafetensorsWriter.Write(path, [("rows", rows), ("planted", planted)]);
            var lines = new List<string>();
            var (ours, learned) = Learn(rows, atoms, sparsity, rounds: 30, seed);
            using (learned)
            {
                lines.Add(Row($"{documents} x {size} | {Text(atoms)}", $"ours, {learned.Rounds} rounds", ours, learned.Objective, learned.Codes.MeanNonzeros, Found(planted, learned.Atoms), ""));
            }

            foreach (var algorithm in algorithms)
            {
                var peer = Peer.Run("sklearn_dictionary.py", path, Text(atoms), Text(sparsity), Text(Peer.Threads), Text(seed), algorithm);
                double Of(string name) => peer.GetProperty(name).GetDouble();
                var theirs = Of("learn") + Of("encode");
                lines.Add(Row(" | ", $"scikit-learn {peer.GetProperty("version").GetString()}, {algorithm}, {peer.GetProperty("steps").GetInt32()} steps", theirs, Of("objective"), Of("nonzeros"), Of("found"), ""));
                lines.Add(ToObjective(rows, planted, atoms, sparsity, seed, Of("objective"), theirs));
            }

            return string.Join('\n', lines);
        }
        finally
        {
            File.Delete(path);
        }
    }

    // The fewest rounds after which our objective is no higher.
    private static string ToObjective(Tensor rows, Tensor planted, int atoms, double sparsity, int seed, double objective, double theirs)
    {
        for (var rounds = 2; rounds <= 30; rounds++)
        {
            var (seconds, learned) = Learn(rows, atoms, sparsity, rounds, seed);
            using (learned)
            {
                if (learned.Objective <= objective)
                {
                    return Row(" | ", $"ours, no higher: {learned.Rounds} rounds", seconds, learned.Objective, learned.Codes.MeanNonzeros, Found(planted, learned.Atoms), FormattableString.Invariant($"{theirs / seconds:f1}"));
                }
            }
        }

        return Row(" | ", "ours did not reach it in 30 rounds", double.NaN, double.NaN, double.NaN, double.NaN, "");
    }

    private static (double Seconds, LearnedDictionary Learned) Learn(Tensor rows, int atoms, double sparsity, int rounds, int seed)
    {
        var watch = Stopwatch.StartNew();
        var learned = DictionaryLearner.Learn(rows, new() { AtomCount = atoms, Sparsity = sparsity, Seed = seed, Rounds = rounds });
        return (watch.Elapsed.TotalSeconds, learned);
    }

    private static double Found(Tensor planted, Tensor learned)
    {
        using var scope = NewDisposeScope();
        return planted.matmul(learned.t()).abs().amax([1L]).gt(0.9).to(ScalarType.Float64).mean().item<double>();
    }

    private static string Row(string what, string learner, double seconds, double objective, double nonzeros, double found, string times) =>
        FormattableString.Invariant($"| {what} | {learner} | {seconds:f1} | {objective:f5} | {nonzeros:f2} | {100 * found:f0} % | {times} |");

    private static string Text(IFormattable value) => value.ToString(null, CultureInfo.InvariantCulture);
}
