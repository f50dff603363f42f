using System.Diagnostics;
using System.Globalization;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Runs;

namespace GradientAtoms.Bench.Audits;

/// <summary>
/// <c>kills</c>: an audit that is killed (SIGKILL) at random moments and started again, over and over, against one that was left
/// alone: every file that a manifest hashes must have the same bytes.
/// </summary>
internal static class KillsCommand
{
    public static int Run(Arguments arguments)
    {
        var (program, folder, kills) = (arguments.Need("gatoms"), arguments.Need("out"), arguments.Integer("kills", 50));
        string[] audit = ["audit", "--model", arguments.Need("model"), "--data", arguments.Need("data"), "--limit", arguments.Text("limit") ?? "96", "--batch-tokens", "256", "--nulls", arguments.Text("nulls") ?? "2", "-q", .. arguments.Text("adapter") is { } adapter ? (string[])["--adapter", adapter] : ["--epochs", "1"]];
        Directory.CreateDirectory(folder);
        var watch = Stopwatch.StartNew();
        using (var whole = Begin(program, audit, Path.Combine(folder, "whole")))
        {
            whole.WaitForExit();
        }

        var seconds = watch.Elapsed.TotalSeconds;
        var shortest = seconds; // that a sitting took from begin to end, so that most moments come before it
        var expected = Hashes(Path.Combine(folder, "whole"));
        var random = new Random(arguments.Integer("seed", 0));
        var (done, runs, stages, different) = (0, 0, new SortedDictionary<string, int>(StringComparer.Ordinal), new List<string>());
        while (done < kills)
        {
            var path = Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"killed-{runs++}"));
            for (var finished = false; !finished;)
            {
                watch.Restart();
                var isFresh = !Directory.Exists(path);
                using var process = Begin(program, audit, path);
                finished = process.WaitForExit(TimeSpan.FromSeconds(shortest * random.NextDouble())) || done >= kills;
                if (finished)
                {
                    process.WaitForExit();
                    shortest = isFresh ? Math.Min(shortest, watch.Elapsed.TotalSeconds) : shortest;
                    continue;
                }

                process.Kill();
                process.WaitForExit();
                done++;
                var stage = StageAt(path);
                stages[stage] = stages.GetValueOrDefault(stage) + 1;
            }

            var found = Hashes(path);
            different.AddRange(expected.Where(file => found.GetValueOrDefault(file.Key) != file.Value).Select(file => $"{path}: {file.Key}"));
            different.AddRange(found.Keys.Except(expected.Keys, StringComparer.Ordinal).Select(file => $"{path}: {file} should not be there"));
        }

        Console.WriteLine(FormattableString.Invariant($"{done} kills in {runs} runs of {seconds:f1} s each; killed before or in: {string.Join(", ", stages.Select(stage => $"{stage.Key} {stage.Value}"))}"));
        Console.WriteLine(different.Count == 0 ? FormattableString.Invariant($"all {expected.Count} hashed files of every run have the same bytes") : string.Join('\n', different));
        return different.Count == 0 ? 0 : 1;
    }

    private static Process Begin(string program, string[] audit, string path)
    {
        var start = new ProcessStartInfo(program) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in (string[])[.. audit, "--out", path])
        {
            start.ArgumentList.Add(argument);
        }

        var process = Process.Start(start) ?? throw new IOException($"{program} could not be started");
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return process;
    }

    // The first stage that was not done when the process went.
    private static string StageAt(string path)
    {
        if (!File.Exists(Path.Combine(path, "run.json")))
        {
            return "start";
        }

        using var run = RunFolder.OpenRead(path);
        string[] order = ["documents", "plan", "adapter", "gradients", "coordinates", "dictionary", "certificates", "atoms", "report"];
        return order.FirstOrDefault(stage => run.Manifest.Stage(stage) is not { IsDone: true }) ?? "end";
    }

    // What the manifest lists, with its bytes as they are now; run.json itself has times and is not hashed.
    private static Dictionary<string, string> Hashes(string path)
    {
        using var run = RunFolder.OpenRead(path);
        return run.Manifest.Stages.SelectMany(stage => stage.Outputs).Where(output => !output.Path.EndsWith(".html", StringComparison.Ordinal))
            .ToDictionary(output => output.Path, output => Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(run.PathOf(output.Path)))), StringComparer.Ordinal);
    }
}
