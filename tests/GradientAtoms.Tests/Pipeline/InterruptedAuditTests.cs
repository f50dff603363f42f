using System.Diagnostics;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Tests.Support;

namespace GradientAtoms.Tests.Pipeline;

/// <summary>An audit that is stopped anywhere and run again gives the bytes of one that was not.</summary>
public sealed class InterruptedAuditTests : IDisposable
{
    private const string ChildRun = "GATOMS_TEST_AUDIT";

    private readonly ChatAudit _audit = new();

    public void Dispose() => _audit.Dispose();

    [Fact]
    public void An_audit_cancelled_anywhere_goes_on_to_the_same_bytes()
    {
        foreach (var (run, at) in Places("cancelled"))
        {
            using var source = new CancellationTokenSource();
            var seen = 0;
            try
            {
                AuditPipeline.Run(Options(run), progress: new Watch(_ =>
                {
                    if (seen++ == at)
                    {
                        source.Cancel();
                    }
                }), cancellationToken: source.Token);
            }
            catch (OperationCanceledException)
            {
            }

            GoOn(run);
        }
    }

    [Fact]
    public void An_audit_that_fails_anywhere_goes_on_to_the_same_bytes()
    {
        foreach (var (run, at) in Places("failed"))
        {
            var seen = 0;
            Assert.Throws<InvalidDataException>(() => AuditPipeline.Run(Options(run), progress: new Watch(_ =>
            {
                if (seen++ == at)
                {
                    throw new InvalidDataException("by the test");
                }
            })));
            GoOn(run);
        }
    }

    [Fact]
    public void An_audit_killed_anywhere_goes_on_to_the_same_bytes()
    {
        // A copy of the folder at a moment is what a kill at that moment leaves: nothing is tidied up, not even the lock.
        var places = Places("killed").ToDictionary(place => place.At, place => place.Run);
        var seen = 0;
        AuditPipeline.Run(Options("copied"), progress: new Watch(_ =>
        {
            if (places.TryGetValue(seen++, out var run))
            {
                Copy(_audit.Folder["copied"], _audit.Folder[run]);
            }
        }));
        Assert.All(places.Values, GoOn);
    }

    [Fact]
    public void An_audit_of_a_child_process_can_be_run_twice()
    {
        // The same test is the process that the next one kills: then it goes slowly, in a folder that it is told.
        var slow = Environment.GetEnvironmentVariable(ChildRun);
        var options = slow is null ? _audit.Options() : Elsewhere(slow);
        AuditPipeline.Run(options, progress: new Watch(progress => Thread.Sleep(slow is not null && progress.Stage == "gradients" ? 200 : 0)));
        Assert.True(AuditPipeline.Run(options).NothingToDo);
    }

    [Fact]
    public async Task An_audit_whose_process_is_killed_in_the_gradient_pass_goes_on_to_the_same_bytes()
    {
        AuditPipeline.Run(_audit.Options("whole"));
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "GradientAtoms.Tests"), ["-method", $"{typeof(InterruptedAuditTests).FullName}.{nameof(An_audit_of_a_child_process_can_be_run_twice)}"])
        {
            RedirectStandardOutput = true,
            UseShellExecute = false,
            Environment = { [ChildRun] = _audit.Folder.Path },
        };
        using var child = Process.Start(start)!;
        var deadline = Stopwatch.StartNew();
        while (!File.Exists(_audit.Folder["run/gradients-raw/block-00001.safetensors"]))
        {
            Assert.False(child.HasExited || deadline.Elapsed > TimeSpan.FromSeconds(120), "the child did not come so far");
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        child.Kill();
        await child.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(File.Exists(_audit.Folder["run/run.lock"]));
        Assert.Null(_audit.Manifest().Stage("gradients"));
        var passed = new List<long>();
        AuditPipeline.Run(_audit.Options(), progress: new Watch(progress =>
        {
            if (progress is { Stage: "gradients", Unit: "documents" })
            {
                passed.Add(progress.Done);
            }
        }));
        Assert.True(passed[0] > 16, "the block that was done has been computed again");
        Assert.Equal(_audit.Outputs("whole"), _audit.Outputs());
        Assert.Equal(_audit.Manifest("whole").ContentHash, _audit.Manifest().ContentHash);
    }

    // Tuned and then audited: every stage has something to go on with.
    private AuditOptions Options(string run) => _audit.Options(run) with { Adapter = null, Rank = 2, Epochs = 1, LearningRate = 1e-2 };

    private static AuditOptions Elsewhere(string folder) => new()
    {
        Model = Path.Combine(folder, "model"),
        Data = Path.Combine(folder, "chats.jsonl"),
        Adapter = Path.Combine(folder, "adapter"),
        Out = Path.Combine(folder, "run"),
        BatchTokens = 400,
        Atoms = 6,
        Nonzeros = 1.5,
        Starts = 2,
    };

    /// <summary>Runs the audit to its end, counting; then the first, middle and last report of every stage and unit.</summary>
    private List<(string Run, int At)> Places(string name)
    {
        var reports = new List<string>();
        AuditPipeline.Run(Options("whole"), progress: new Watch(progress => reports.Add($"{progress.Stage}, {progress.Unit}")));
        var places = reports.Select((what, at) => (what, at)).GroupBy(report => report.what, StringComparer.Ordinal)
            .SelectMany(group => (int[])[group.First().at, group.ElementAt(group.Count() / 2).at, group.Last().at]).Distinct().ToList();
        Assert.True(places.Count >= 14, $"{places.Count} places in {string.Join("; ", reports.Distinct())}");
        return [.. places.Select(at => ($"{name}-{at}", at))];
    }

    private void GoOn(string run)
    {
        AuditPipeline.Run(Options(run));
        Assert.Equal(_audit.Outputs("whole"), _audit.Outputs(run));
        Assert.Equal(_audit.Manifest("whole").ContentHash, _audit.Manifest(run).ContentHash);
        Assert.Equal(Files("whole"), Files(run));
    }

    // Nothing that was only needed on the way is left.
    private IEnumerable<string> Files(string run) => Directory.EnumerateFiles(_audit.Folder[run], "*", SearchOption.AllDirectories)
        .Select(file => Path.GetRelativePath(_audit.Folder[run], file)).Order(StringComparer.Ordinal);

    private static void Copy(string from, string to)
    {
        foreach (var file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories).Where(file => Path.GetFileName(file) != ".lock"))
        {
            var place = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(place)!);
            File.Copy(file, place);
        }
    }

    /// <summary>Progress as it is reported, on the thread that reports it.</summary>
    private sealed class Watch(Action<StageProgress> look) : IProgress<StageProgress>
    {
        public void Report(StageProgress value) => look(value);
    }
}
