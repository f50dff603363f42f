using System.Globalization;
using System.Text.Json;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Planning;

namespace GradientAtoms.Bench.Audits;

/// <summary><c>planned</c>: what finished runs were planned to take, from a probe, beside what their stages took.</summary>
internal static class PlannedCommand
{
    /// <summary>Of a file beside a run: the most bytes that its folder was seen to hold.</summary>
    public const string DiskSuffix = ".disk";

    /// <summary>Of a file beside a run: the processor's seconds by stage.</summary>
    public const string SecondsSuffix = ".seconds.json";

    // Shorter stages are about the clock, not about the plan.
    private const double ShortestStage = 1;

    public static int Run(Arguments arguments)
    {
        Console.WriteLine(Table(arguments.Need("runs").Split(','), arguments.Has("again")));
        return 0;
    }

    /// <summary>The tables, in Markdown: by run, and by stage.</summary>
    /// <param name="runs">Finished runs that were planned from a probe.</param>
    /// <param name="again">With the planner as it is now, from the probe that each run recorded.</param>
    public static string Table(IReadOnlyList<string> runs, bool again = false)
    {
        var lines = new List<string>
        {
            "| run | documents | parameters | planned | took | off | memory planned | peak | off | disk planned | most that was seen | off |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        };
        var (times, memories, disks, stages) = (new List<double>(), new List<double>(), new List<double>(), new List<StageFigures>());
        foreach (var path in runs)
        {
            using var run = RunFolder.OpenRead(path);
            var (predicted, disk) = again ? PlanAgain(run) : Recorded(run, path);
            var measured = File.Exists(path + SecondsSuffix) ? JsonSerializer.Deserialize<Dictionary<string, double>>(File.ReadAllText(path + SecondsSuffix))! : null;
            var own = predicted.Select(stage => Figures(run, stage, measured)).ToList();
            stages.AddRange(own);
            var (seconds, took, memory, peak) = (own.Sum(stage => stage.Planned.Seconds), own.Sum(stage => stage.Seconds), own.Max(stage => stage.Planned.MemoryBytes), own.Max(stage => stage.PeakBytes));
            var used = File.Exists(path + DiskSuffix) ? long.Parse(File.ReadAllText(path + DiskSuffix), CultureInfo.InvariantCulture) : BytesOf(path);
            times.Add(Off(seconds, took));
            memories.Add(Off(memory, peak));
            disks.Add(Off(disk, used));
            lines.Add(string.Create(CultureInfo.InvariantCulture, $"| {Path.GetFileName(path)} | {run.Manifest.Stage("documents")!.Notes["documents"]} | {run.Manifest.Stage("adapter")!.Notes["parameters"]} | {seconds:f0} s | {took:f0} s | {Signed(times[^1])} | {Mib(memory)} | {Mib(peak)} | {Signed(memories[^1])} | {Mib(disk)} | {Mib(used)} | {Signed(disks[^1])} |"));
        }

        lines.AddRange(["", "| stage | runs of 1 s and more | planned | took | off, median | off, median without sign | memory off, median |", "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]);
        var longer = stages.Where(stage => stage.Seconds >= ShortestStage).ToList();
        foreach (var group in longer.GroupBy(stage => stage.Planned.Name, StringComparer.Ordinal))
        {
            lines.Add(string.Create(CultureInfo.InvariantCulture, $"| {group.Key} | {group.Count()} | {group.Sum(stage => stage.Planned.Seconds):f0} s | {group.Sum(stage => stage.Seconds):f0} s | {Signed(Middle.Of(group.Select(stage => stage.Off)))} | {Middle.Of(group.Select(stage => Math.Abs(stage.Off))):p0} | {Signed(Middle.Of(group.Select(stage => stage.MemoryOff)))} |"));
        }

        lines.Add("");
        lines.Add(string.Create(CultureInfo.InvariantCulture, $"Median of |off|: whole runs {Percent(times):f0} %, memory {Percent(memories):f0} %, disk {Percent(disks):f0} %, single stages of {ShortestStage} s and more {Percent(longer.Select(stage => stage.Off)):f0} % ({longer.Count} of them)."));
        return string.Join('\n', lines);
    }

    /// <summary>What a folder holds now; files that go in between do not count.</summary>
    public static long BytesOf(string path)
    {
        try
        {
            return Directory.Exists(path) ? new DirectoryInfo(path).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Exists ? file.Length : 0) : 0;
        }
        catch (IOException)
        {
            return 0;
        }
    }

    private static (IReadOnlyList<PlannedStage> Stages, long Disk) Recorded(RunFolder run, string path)
    {
        var notes = run.Manifest.Stage("plan")!.Notes;
        var predicted = notes["predicted"]?.AsObject() ?? throw new ArgumentException($"{path} was planned without a record");
        return ([.. predicted.Select(stage => new PlannedStage(stage.Key, (double)stage.Value!["seconds"]!, (long)stage.Value["memory_bytes"]!))], (long)notes["predicted_disk_bytes"]!);
    }

    private static (IReadOnlyList<PlannedStage> Stages, long Disk) PlanAgain(RunFolder run)
    {
        var options = RunReader.ReadOptions(run) with { Out = run.Path };
        using var model = new ModelFiles(options.Model, options.Device, options.Adapter);
        var choice = PlanStage.Read(run);
        var speeds = run.Manifest.Stage("plan")!.Notes["probed"].Deserialize<Speeds>(RunJson.Indented) ?? throw new ArgumentException($"{run.Path} was planned without a probe");
        var request = AuditPlan.Request(options, model.Description, DocumentsStage.ReadTokens(run, DocumentsStage.ReadTexts(run))) with
        {
            Speeds = speeds,
            Coordinates = choice.Kind,
            SketchSize = choice.SketchSize,
            BatchTokens = choice.BatchTokens,
            Budget = Budget.Unlimited,
        };
        var plan = Planner.Plan(request);
        return (plan.Stages, plan.DiskBytes);
    }

    private static StageFigures Figures(RunFolder run, PlannedStage stage, Dictionary<string, double>? measured)
    {
        var record = run.Manifest.Stage(stage.Name) ?? throw new ArgumentException($"{run.Path} has no stage {stage.Name}");
        return new(stage, measured?.GetValueOrDefault(stage.Name) ?? record.Seconds ?? 0, record.PeakMemoryBytes ?? 0);
    }

    private sealed record StageFigures(PlannedStage Planned, double Seconds, long PeakBytes)
    {
        public double Off => PlannedCommand.Off(Planned.Seconds, Seconds);

        public double MemoryOff => PlannedCommand.Off(Planned.MemoryBytes, PeakBytes);
    }

    private static double Off(double planned, double taken) => (planned - taken) / taken;

    private static double Percent(IEnumerable<double> shares) => 100 * Middle.Of(shares.Select(Math.Abs));

    private static string Signed(double share) => string.Create(CultureInfo.InvariantCulture, $"{100 * share:+0;-0;0} %");

    private static string Mib(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / (1 << 20)} MiB");
}
