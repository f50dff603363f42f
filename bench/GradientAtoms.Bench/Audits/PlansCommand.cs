using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Demo;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Planning;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Audits;

/// <summary>
/// <c>plans</c>: ten audits that differ in model, documents, rank, token limit, projection and certificates, each planned from a
/// probe and then run in a process of its own, with the most disk that each was seen to take. Seconds are the processor's, in the
/// probe as in the stages, so that what else the machine does is in neither. What was run before is not run again.
/// </summary>
internal static class PlansCommand
{
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(0.5);

    // Of the built-in model (tiny) and of a real one, with its adapter where none is tuned.
    private static readonly (string Name, bool Tiny, bool Tuned, AuditOptions Options)[] Settings =
    [
        ("tiny-exact", true, true, Setting(600, 128, 0)),
        ("tiny-certified", true, true, Setting(500, 128, 20) with { Atoms = 60 }),
        ("tiny-sketch", true, true, Setting(1000, 64, 0) with { Coordinates = CoordinateKind.Sketch, Atoms = 64 }),
        ("tiny-reference", true, true, Setting(400, 96, 20) with { Coordinates = CoordinateKind.Reference }),
        ("tiny-all-linear", true, true, Setting(300, 128, 0) with { Rank = 16, TargetModules = "all-linear" }),
        ("tiny-raw", true, true, Setting(800, 128, 0) with { Coordinates = CoordinateKind.Raw, Rank = 4 }),
        ("real-40", false, false, Setting(40, 256, 0) with { Starts = 4 }),
        ("real-tuned", false, true, Setting(50, 64, 0) with { Starts = 4, Rank = 4 }),
        ("real-certified", false, false, Setting(100, 96, 20)),
        ("real-sketch", false, false, Setting(80, 96, 0) with { Coordinates = CoordinateKind.Sketch, BatchTokens = 256 }),
    ];

    public static int Run(Arguments arguments)
    {
        if (arguments.Text("one") is { } one)
        {
            return RunOne(one, arguments);
        }

        var folder = arguments.Need("out");
        Directory.CreateDirectory(folder);
        foreach (var (name, _, _, _) in Settings)
        {
            var path = Path.Combine(folder, name);
            if (File.Exists(path + PlannedCommand.DiskSuffix))
            {
                continue;
            }

            Console.Error.WriteLine(name);
            var start = new ProcessStartInfo(Environment.ProcessPath!) { UseShellExecute = false };
            foreach (var argument in (string[])["plans", "--one", name, .. arguments.All.SelectMany(pair => (string[])[$"--{pair.Key}", pair.Value])])
            {
                start.ArgumentList.Add(argument);
            }

            using var process = Process.Start(start) ?? throw new IOException($"{start.FileName} could not be started");
            var most = 0L;
            while (!process.WaitForExit(Look))
            {
                most = Math.Max(most, PlannedCommand.BytesOf(path));
            }

            if (process.ExitCode != 0)
            {
                throw new IOException($"{name} ended with {process.ExitCode}");
            }

            File.WriteAllText(path + PlannedCommand.DiskSuffix, most.ToString(CultureInfo.InvariantCulture));
        }

        Console.WriteLine(PlannedCommand.Table([.. Settings.Select(setting => Path.Combine(folder, setting.Name))], again: true));
        return 0;
    }

    private static AuditOptions Setting(int documents, int tokens, int nulls) => new() { Model = "", Data = "", Out = "", Limit = documents, MaxTokens = tokens, Nulls = nulls, MaxRejected = 0.5, Time = TimeSpan.FromDays(4).TotalSeconds };

    // Between two stages nothing is done, so that a stage's time is that until the next one is decided.
    private static int RunOne(string name, Arguments arguments)
    {
        static double Processor() => Process.GetCurrentProcess().TotalProcessorTime.TotalSeconds / get_num_threads();
        SpeedProbe.Clock = Processor;
        var (_, tiny, tuned, options) = Settings.Single(setting => setting.Name == name);
        var path = Path.Combine(arguments.Need("out"), name);
        var (seconds, stage, begun) = (new Dictionary<string, double>(StringComparer.Ordinal), "", 0.0);
        void Next(string next)
        {
            var now = Processor();
            if (stage.Length > 0)
            {
                seconds[stage] = now - begun;
            }

            (stage, begun) = (next, now);
        }

        AuditPipeline.Run(
            options with { Model = tiny ? DemoModel.Folder : arguments.Need("model"), Data = arguments.Need("data"), Out = path, Adapter = tuned ? null : arguments.Need("adapter") },
            decision => Next(decision.Stage));
        Next("");
        File.WriteAllText(path + PlannedCommand.SecondsSuffix, JsonSerializer.Serialize(seconds));
        return 0;
    }
}
