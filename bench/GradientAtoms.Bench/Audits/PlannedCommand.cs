using System.Globalization;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Runs;

namespace GradientAtoms.Bench.Audits;

/// <summary><c>planned</c>: what finished runs were planned to take, from a probe, beside what their stages took.</summary>
internal static class PlannedCommand
{
    // Shorter stages are about the clock, not about the plan.
    private const double ShortestStage = 1;

    public static int Run(Arguments arguments)
    {
        Console.WriteLine(Table(arguments.Need("runs").Split(',')));
        return 0;
    }

    /// <summary>The table, in Markdown.</summary>
    public static string Table(IReadOnlyList<string> runs)
    {
        var lines = new List<string>
        {
            "| run | documents | parameters | planned | took | off | memory planned | peak | off | disk planned | most that was seen at the end |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        };
        var (times, memories, stages) = (new List<double>(), new List<double>(), new List<double>());
        foreach (var path in runs)
        {
            using var run = RunFolder.OpenRead(path);
            var plan = run.Manifest.Stage("plan")!;
            var predicted = plan.Notes["predicted"]?.AsObject() ?? throw new ArgumentException($"{path} was planned without a record");
            var (seconds, took, memory, peak) = (0.0, 0.0, 0L, 0L);
            foreach (var (name, value) in predicted)
            {
                var stage = run.Manifest.Stage(name) ?? throw new ArgumentException($"{path} has no stage {name}");
                var (expected, measured) = ((double)value!["seconds"]!, stage.Seconds ?? 0);
                (seconds, took) = (seconds + expected, took + measured);
                (memory, peak) = (Math.Max(memory, (long)value["memory_bytes"]!), Math.Max(peak, stage.PeakMemoryBytes ?? 0));
                if (measured >= ShortestStage)
                {
                    stages.Add(Off(expected, measured));
                }
            }

            times.Add(Off(seconds, took));
            memories.Add(Off(memory, peak));
            var disk = (long)plan.Notes["predicted_disk_bytes"]!;
            var used = new DirectoryInfo(path).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length);
            lines.Add(string.Create(CultureInfo.InvariantCulture, $"| {Path.GetFileName(path)} | {run.Manifest.Stage("documents")!.Notes["documents"]} | {run.Manifest.Stage("adapter")!.Notes["parameters"]} | {seconds:f0} s | {took:f0} s | {100 * times[^1]:+0;-0;0} % | {Mib(memory)} | {Mib(peak)} | {100 * memories[^1]:+0;-0;0} % | {Mib(disk)} | {Mib(used)} |"));
        }

        lines.Add("");
        lines.Add(string.Create(CultureInfo.InvariantCulture, $"Median of |off|: whole runs {Percent(times):f0} %, memory {Percent(memories):f0} %, single stages of {ShortestStage} s and more {Percent(stages):f0} % ({stages.Count} of them)."));
        return string.Join('\n', lines);
    }

    private static double Off(double planned, double taken) => (planned - taken) / taken;

    private static double Percent(List<double> shares) => 100 * Middle.Of(shares.Select(Math.Abs));

    private static string Mib(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / (1 << 20)} MiB");
}
