using System.Collections.Concurrent;
using System.Globalization;
using System.Runtime.Versioning;
using System.Text.Json.Nodes;
using GradientAtoms.Demo;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Tests.Runs;

namespace GradientAtoms.Tests.Submit;

/// <summary><c>gatoms submit slurm</c> on real daemons, with the built-in model.</summary>
/// <param name="cluster">Shared.</param>
[UnsupportedOSPlatform("windows")]
public sealed class SlurmDaemonTests(SlurmCluster cluster) : IClassFixture<SlurmCluster>, IDisposable
{
    private static readonly string[] Asked = ["write a short poem about the sea", "how do i boil an egg", "name three birds", "what is the capital of france"];
    private readonly TemporaryFolder _folder = new();

    private static string Gatoms => Path.Combine(AppContext.BaseDirectory, "gatoms");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task An_array_of_four_shards_with_one_killed_ends_with_the_same_atoms()
    {
        Assert.SkipWhen(cluster.WhyNot is not null, cluster.WhyNot ?? string.Empty);
        var options = Prepare("whole");

        // A process of its own, as the jobs are.
        var (code, said) = cluster.Run(Gatoms, ["audit", .. Arguments(options), "--threads", "1"]);
        Assert.True(code == 0, said);

        // The waits are short, and the file system is a local one.
        using var process = cluster.Start(Gatoms, [.. Submit(options with { Out = _folder["run"] }), "--poll", "0.3s", "--lag", "2s"]);
        var output = new ConcurrentQueue<string>();
        var reading = Task.WhenAll(Read(process.StandardOutput, output), Read(process.StandardError, output));
        var killed = await KillRunning("gatoms-covariances", task: 2);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(TimeSpan.FromMinutes(8), TestContext.Current.CancellationToken);
        await reading;
        Assert.True(process.ExitCode == 0, string.Join('\n', output));

        // The shard was begun a second time, in another job, and only that one.
        var log = File.ReadAllText(Path.Combine(_folder["run"], "slurm", "logs", "covariances-2.log"));
        Assert.Contains("again: 2", string.Join('\n', output), StringComparison.Ordinal);
        Assert.DoesNotContain(killed.Split('_')[0] + "_", cluster.Run("squeue", "--noheader", "--array", "--format=%i").Output, StringComparison.Ordinal);
        Assert.Contains("shard 2/4 of the covariances is done", log, StringComparison.Ordinal);

        using var whole = RunFolder.OpenRead(options.Out);
        using var merged = RunFolder.OpenRead(_folder["run"]);
        Assert.Equal(File.ReadAllText(whole.PathOf(RunFiles.Atoms)), File.ReadAllText(merged.PathOf(RunFiles.Atoms)));
        Assert.Equal(whole.Manifest.ContentHash, merged.Manifest.ContentHash);
        Assert.False(Directory.Exists(merged.PathOf("shards")));
    }

    [Fact]
    public async Task A_shard_that_fails_three_times_is_named_with_its_log_and_exit_code_6()
    {
        Assert.SkipWhen(cluster.WhyNot is not null, cluster.WhyNot ?? string.Empty);
        var options = Prepare("failing") with { Out = _folder["run"] };
        var wrapper = _folder.Write("gatoms.sh", $"#!/bin/sh\ncase \"$*\" in *'--shard 2/4'*) echo 'the node is on fire' >&2; exit 9;; esac\nexec {Gatoms} \"$@\"\n");
        File.SetUnixFileMode(wrapper, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using var process = cluster.Start(Gatoms, [.. Submit(options), "--gatoms", wrapper, "--poll", "0.3s", "--lag", "2s"]);
        var output = new ConcurrentQueue<string>();
        var reading = Task.WhenAll(Read(process.StandardOutput, output), Read(process.StandardError, output));
        await process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(TimeSpan.FromMinutes(8), TestContext.Current.CancellationToken);
        await reading;
        Assert.Equal(6, process.ExitCode);
        Assert.Contains("GA5006", string.Join('\n', output), StringComparison.Ordinal);
        Assert.Contains(Path.Combine(_folder["run"], "slurm", "logs", "covariances-2.log"), string.Join('\n', output), StringComparison.Ordinal);
        Assert.Contains("exit code 9", string.Join('\n', output), StringComparison.Ordinal);
        Assert.Contains("the node is on fire", string.Join('\n', output), StringComparison.Ordinal);
        Assert.DoesNotContain("gatoms-finish", cluster.Run("squeue", "--noheader", "--format=%j").Output, StringComparison.Ordinal);
    }

    private AuditOptions Prepare(string run)
    {
        var random = new Random(5);
        _folder.Write("chats.jsonl", string.Concat(Enumerable.Range(0, 96).Select(index => new JsonObject
        {
            ["id"] = index.ToString(CultureInfo.InvariantCulture),
            ["prompt"] = $"{Asked[index % 4]}, number {index}",
            ["completion"] = string.Join(' ', Enumerable.Range(0, random.Next(4, 20)).Select(_ => Asked[(index + 1) % 4].Split(' ')[random.Next(3)])),
        }.ToJsonString() + "\n")));
        return new() { Model = DemoModel.Folder, Data = _folder["chats.jsonl"], Out = _folder[run], Atoms = 6, Starts = 1, Rank = 4, BatchTokens = 256 };
    }

    private static string[] Submit(AuditOptions options) => ["submit", "slurm", "--shards", "4", "--cpus", "1", .. Arguments(options)];

    private static string[] Arguments(AuditOptions options) =>
    [
        "--model", options.Model, "--data", options.Data, "--out", options.Out,
        "--atoms", "6", "--starts", "1", "--rank", "4", "--batch-tokens", "256",
    ];

    // Every process of the task at once, the batch script too: nobody is left who could write down how it ended.
    private async Task<string> KillRunning(string job, int task)
    {
        for (var look = 0; look < 1500; look++)
        {
            var running = cluster.Run("squeue", "--noheader", "--array", "--format=%j|%i|%T").Output.Split('\n')
                .Select(line => line.Trim().Split('|')).FirstOrDefault(line => line is [var name, var id, "RUNNING"] && name == job && id.EndsWith($"_{task}", StringComparison.Ordinal));
            if (running is not null)
            {
                await Task.Delay(400, TestContext.Current.CancellationToken);
                Assert.Equal(0, cluster.Run("scancel", "--signal=KILL", "--full", running[1]).Code);
                return running[1];
            }

            await Task.Delay(100, TestContext.Current.CancellationToken);
        }

        throw new InvalidOperationException("the task never ran");
    }

    private static async Task Read(StreamReader reader, ConcurrentQueue<string> to)
    {
        while (await reader.ReadLineAsync(TestContext.Current.CancellationToken) is { } line)
        {
            to.Enqueue(line);
        }
    }
}
