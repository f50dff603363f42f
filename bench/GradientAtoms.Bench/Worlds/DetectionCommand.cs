using System.Globalization;
using System.Text.Json;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Coordinates;
using GradientAtoms.Demo;
using GradientAtoms.Demo.Play;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Evaluation;
using GradientAtoms.Runs.Pipeline;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Worlds;

/// <summary>
/// The rarest behaviour that is found: worlds of planted behaviours at several rates and seeds, and the same dictionary on our
/// coordinates, the reference's, raw gradients, mean hidden states and tf-idf. One file of results a world, so that it goes on
/// where it stopped.
/// </summary>
internal static class DetectionCommand
{
    private const double Enough = 0.8;

    private sealed record Line(string Method, double Rate, long Seed, string Behaviour, int Documents, double Precision, double Recall);

    public static int Run(Arguments arguments)
    {
        var folder = arguments.Need("out");
        var seeds = (arguments.Text("seeds") ?? "101,102,103").Split(',').Select(seed => long.Parse(seed, CultureInfo.InvariantCulture)).ToList();
        var rates = (arguments.Text("rates") ?? "0.005,0.01,0.02,0.03,0.05").Split(',').Select(rate => double.Parse(rate, CultureInfo.InvariantCulture)).ToList();
        Directory.CreateDirectory(folder);
        var lines = new List<Line>();
        foreach (var (rate, seed) in rates.SelectMany(rate => seeds.Select(seed => (rate, seed))))
        {
            var file = Path.Combine(folder, FormattableString.Invariant($"rate-{rate}-seed-{seed}.json"));
            if (!File.Exists(file))
            {
                var found = World(Path.Combine(folder, "run"), rate, seed, arguments);
                File.WriteAllText(file, JsonSerializer.Serialize(found));
                Directory.Delete(Path.Combine(folder, "run"), recursive: true);
            }

            lines.AddRange(JsonSerializer.Deserialize<List<Line>>(File.ReadAllText(file))!);
        }

        Print(lines, rates);
        return 0;
    }

    private static List<Line> World(string run, double rate, long seed, Arguments arguments)
    {
        var options = new DemoOptions { Out = run, Seed = seed, Rate = rate, Documents = arguments.Integer("documents", new DemoOptions().Documents) };
        var audit = DemoPipeline.Audit(options);
        DemoPipeline.AuditOnly(options, audit);
        using var session = new RunSession(run);
        var labels = ScoringFiles.Labels(Path.Combine(run, WorldStage.Labels), int.MaxValue).ToDictionary(row => row.Id, row => row.Task, StringComparer.Ordinal);
        string[] tasks = [.. session.Texts.Select(text => labels[text.Id])];
        var lines = new List<Line>();
        void Score(string method, SparseCodes codes) => lines.AddRange(Detection.Of(codes, tasks)
            .Where(detection => detection.Label != Demo.Planting.PlantedWorld.Ordinary)
            .Select(detection => new Line(method, rate, seed, detection.Label, detection.Documents, detection.Precision, detection.Recall)));
        SparseCodes Learn(Tensor rows)
        {
            using var dictionary = DictionaryLearner.Learn(rows, new() { AtomCount = audit.Atoms!.Value, TargetNonzeros = audit.Nonzeros, Gate = audit.Gate, Starts = audit.Starts, Seed = seed });
            return dictionary.Codes;
        }

        Score("ours", session.Codes);
        foreach (var (method, whitening, center) in ((string, Whitening, bool)[])
        [
            ("reference", Whitening.Reference(session.Layout, session.Bases.KroneckerEigenvalues()), false),
            ("raw gradients", Whitening.Raw(session.Layout.Size), true),
        ])
        {
            using var scope = NewDisposeScope();
            using var gram = GramPass.Compute(session.Rows, session.Layout, whitening);
            using var coordinates = GramCoordinates.Fit(gram, [.. tasks.Select(_ => true)], center);
            Score(method, Learn(coordinates.Rows));
            whitening.Dispose();
        }

        using (NewDisposeScope())
        {
            var hidden = MeanHiddenStates.Of(session);
            hidden -= hidden.mean([0L], keepdim: true);
            Score("mean hidden state", Learn(hidden / hidden.norm(1, keepdim: true)));
        }

        using (var words = TfIdfBaseline.Coordinates(TfIdfBaseline.Gram([.. session.Texts.Select(text => $"{text.Prompt}\n{text.Answer}")]), tasks.Length, centre: true))
        {
            Score("tf-idf of the text", Learn(words));
        }

        return lines;
    }

    private static void Print(List<Line> lines, List<double> rates)
    {
        var rare = lines.Where(line => line.Behaviour == "signature").ToList();
        var rest = lines.Except(rare).ToList();
        string Percent(IReadOnlyCollection<Line> some) => some.Count == 0 ? "-" : FormattableString.Invariant($"{100.0 * some.Count(IsFound) / some.Count:f0} %");
        Console.WriteLine($"| coordinates | {string.Join(" | ", rates.Select(rate => FormattableString.Invariant($"{100 * rate:0.#} %")))} | smallest rate found | rare ({100 * Demo.Planting.PlantedWorld.RareRate:0.#} %) |");
        Console.WriteLine($"| --- |{string.Concat(rates.Select(_ => " --- |"))} --- | --- |");
        foreach (var method in rest.GroupBy(line => line.Method, StringComparer.Ordinal))
        {
            // A behaviour's smallest rate is the smallest one from which on it is found at every larger one; worlds in which it never is count as more than the largest.
            var smallest = method.GroupBy(line => (line.Seed, line.Behaviour)).Select(series => series.OrderByDescending(line => line.Rate).TakeWhile(IsFound).Select(line => line.Rate).DefaultIfEmpty(double.PositiveInfinity).Last()).Order().ToArray();
            var median = smallest[smallest.Length / 2];
            Console.WriteLine($"| {method.Key} | {string.Join(" | ", rates.Select(rate => Percent([.. method.Where(line => line.Rate == rate)])))} | {(double.IsInfinity(median) ? "more" : FormattableString.Invariant($"{100 * median:0.#} %"))} | {Percent([.. rare.Where(line => line.Method == method.Key)])} |");
        }

        Console.WriteLine();
        Console.WriteLine($"| behaviour, ours | {string.Join(" | ", rates.Select(rate => FormattableString.Invariant($"{100 * rate:0.#} %")))} |");
        Console.WriteLine($"| --- |{string.Concat(rates.Select(_ => " --- |"))}");
        foreach (var behaviour in lines.Where(line => line.Method == "ours").GroupBy(line => line.Behaviour, StringComparer.Ordinal))
        {
            Console.WriteLine($"| {behaviour.Key} | {string.Join(" | ", rates.Select(rate => Percent([.. behaviour.Where(line => line.Rate == rate)])))} |");
        }
    }

    private static bool IsFound(Line line) => Math.Min(line.Precision, line.Recall) >= Enough;
}
