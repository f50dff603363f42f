using System.Diagnostics;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.DictionaryLearning;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Speed;

/// <summary><c>curves</c>: what the learner costs against documents, numbers a row, and atoms, one of them varied at a time.</summary>
internal static class CurvesCommand
{
    public static int Run(Arguments arguments)
    {
        Console.WriteLine(Table(arguments.Integer("documents", 1000), arguments.Integer("size", 1000), arguments.Integer("atoms", 100), [.. arguments.Numbers("factors", ".5,1,2,4")]));
        return 0;
    }

    /// <summary>The table, in Markdown.</summary>
    public static string Table(int documents, int size, int atoms, double[] factors)
    {
        var lines = new List<string>
        {
            "| documents | numbers a row | atoms | rounds | seconds | nanoseconds a document, number, atom and round |",
            "| ---: | ---: | ---: | ---: | ---: | ---: |",
        };
        foreach (var (n, k, count) in factors.Select(factor => ((int)(factor * documents), size, atoms))
            .Concat(factors.Where(factor => factor != 1).Select(factor => (documents, (int)(factor * size), atoms)))
            .Concat(factors.Where(factor => factor != 1).Select(factor => (documents, size, (int)(factor * atoms)))))
        {
            using var scope = NewDisposeScope();
            var (rows, _) = PlantedRows.Draw(n, k, count * 3 / 4, seed: 0);
            var watch = Stopwatch.StartNew();
            using var learned = DictionaryLearner.Learn(rows, new() { AtomCount = count, Sparsity = 0.1, Seed = 0 });
            var seconds = watch.Elapsed.TotalSeconds;
            lines.Add(FormattableString.Invariant($"| {n} | {k} | {count} | {learned.Rounds} | {seconds:f2} | {1e9 * seconds / ((double)n * k * count * learned.Rounds):f3} |"));
        }

        return string.Join('\n', lines);
    }
}
