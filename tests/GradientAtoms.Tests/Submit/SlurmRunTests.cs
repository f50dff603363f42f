using System.Diagnostics;
using GradientAtoms.Runs.Submit;
using GradientAtoms.Tests.Runs;
using GradientAtoms.Tests.Support;

namespace GradientAtoms.Tests.Submit;

/// <summary>How a run on Slurm is submitted, followed and mended, on a queue in memory.</summary>
public sealed class SlurmRunTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private SlurmOptions Options(bool second = false, int shards = 4) => new()
    {
        Submit = new()
        {
            Out = _folder["run"],
            Arguments = ["--model", "a model", "--data", "it's.jsonl", "--out", _folder["run"]],
            Program = ["/opt/gatoms"],
            WorkingFolder = _folder.Path,
            Shards = shards,
            HasSecondPass = second,
            Cpus = 8,
            Memory = 3_000_000_000,
        },
        Partition = "short",
        JobTime = 5400,
        Extra = ["--gres=gpu:1"],
        PollSeconds = 0,
        LagSeconds = 0,
    };

    private FakeSlurm Queue(Func<string, int, int, int?>? ends = null) => new(_folder["run"], ends ?? ((_, _, _) => 0));

    [Fact]
    public void Steps_come_one_after_another_and_each_task_runs_once_where_nothing_is_lost()
    {
        var queue = Queue();
        var run = new SlurmRun(Options(second: true), queue);
        Assert.True(run.Submit());
        Assert.Equal(["prepare", "covariances", "curvature", "sketches", "finish"], run.Jobs.Select(step => step.Step));
        run.Follow(cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(["prepare-0", "covariances-4", "covariances-3", "covariances-2", "covariances-1", "curvature-0", "sketches-4", "sketches-3", "sketches-2", "sketches-1", "finish-0"], queue.Ran);
        Assert.Equal(5, queue.Submitted.Count);
        Assert.Contains("--dependency=afterok:11", queue.Submitted[1].Arguments);
        Assert.Contains("--array=1-4", queue.Submitted[1].Arguments);
        Assert.DoesNotContain(queue.Submitted[0].Arguments, argument => argument.StartsWith("--dependency", StringComparison.Ordinal));
        Assert.All(queue.Submitted.Skip(1), job => Assert.Contains("--kill-on-invalid-dep=yes", job.Arguments));
    }

    [Fact]
    public void Without_a_second_pass_there_is_one_round_of_shards() =>
        Assert.Equal(["prepare", "covariances", "finish"], JobPlan.Steps(Options().Submit).Select(step => step.Name));

    [Theory]
    [InlineData(null)] // killed: it wrote nothing
    [InlineData(137)] // its gatoms was killed, and the script said so
    public void A_lost_shard_is_submitted_again_alone_and_what_waits_for_it_anew(int? code)
    {
        var queue = Queue((step, task, time) => step == "covariances" && task == 2 && time < 3 ? code : 0);
        var run = new SlurmRun(Options(), queue);
        run.Submit();
        var notes = new List<string>();
        run.Follow(new Relay<StageProgress>(progress => notes.Add($"{progress.Stage} {progress.Done}/{progress.Total} {progress.Note}")), TestContext.Current.CancellationToken);
        Assert.Equal(3, queue.Ran.Count(task => task == "covariances-2"));
        Assert.Equal(1, queue.Ran.Count(task => task == "covariances-1"));
        Assert.Equal(["finish-0"], queue.Ran.TakeLast(1));
        Assert.Equal(1, queue.Ran.Count(task => task == "finish-0"));
        Assert.Contains(queue.Submitted, job => job.Arguments.Contains("--array=2", StringComparer.Ordinal));
        Assert.Contains(notes, note => note.Contains("again: 2", StringComparison.Ordinal));
        Assert.Equal("finish 1/1 ", notes[^1]);

        // The job that finishes waits for the new shard and for those of the old array that were still open.
        var second = queue.Submitted.Index().First(job => job.Item.Arguments.Contains("--array=2", StringComparer.Ordinal));
        var finish = queue.Submitted[second.Index + 1].Arguments;
        Assert.Contains(finish, argument => argument.StartsWith($"--dependency=afterok:{second.Item.Id}", StringComparison.Ordinal));
        Assert.Contains("13", queue.Cancelled); // the first one, which waited for a job that had failed
    }

    [Fact]
    public void A_shard_that_fails_three_times_is_named_with_its_log_and_the_rest_is_cancelled()
    {
        var queue = Queue((step, task, _) => step == "covariances" && task == 3 ? 7 : 0);
        var run = new SlurmRun(Options(), queue);
        run.Submit();
        _folder.Write("run/slurm/logs/covariances-3.log", "something\nerror GA9999: it burns\n\n");
        var error = Assert.Throws<SubmitException>(() => run.Follow(cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(("GA5006", _folder["run/slurm/logs/covariances-3.log"]), (error.Code, error.Location));
        Assert.Contains("shard 3/4 of the covariances has failed 3 times (exit code 7)", error.Problem, StringComparison.Ordinal);
        Assert.Contains("error GA9999: it burns", error.Problem, StringComparison.Ordinal);
        Assert.Equal(3, queue.Ran.Count(task => task == "covariances-3"));
        Assert.DoesNotContain("finish-0", queue.Ran);
        Assert.Contains(run.Jobs[^1].Jobs[0], queue.Cancelled);

        // The same command begins anew: what it does with what is there is the audit's business.
        Assert.True(new SlurmRun(Options(), Queue()).Submit());
    }

    [Fact]
    public void Jobs_that_are_in_the_queue_are_followed_and_not_submitted_twice()
    {
        var queue = Queue();
        new SlurmRun(Options(), queue).Submit();
        var again = new SlurmRun(Options(), queue);
        queue.IsPaused = true;
        Assert.False(again.Submit());
        Assert.Equal(3, queue.Submitted.Count);

        var other = Options() with { Submit = Options().Submit with { Shards = 5 } };
        var error = Assert.Throws<SubmitException>(() => new SlurmRun(other, queue).Submit());
        Assert.Equal("GA5005", error.Code);
        Assert.Contains("scancel 11 12 13", error.Remedy, StringComparison.Ordinal);

        queue.IsPaused = false;
        again.Follow(cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal("finish-0", queue.Ran[^1]);
    }

    [Fact]
    public void More_shards_than_an_array_may_have_are_refused_before_anything_is_submitted()
    {
        var queue = Queue();
        queue.Largest = 4;
        Assert.Equal("GA5004", Assert.Throws<SubmitException>(() => new SlurmRun(Options(), queue).Submit()).Code);
        Assert.Empty(queue.Submitted);
        Assert.True(new SlurmRun(Options(shards: 3), queue).Submit());
    }

    [Fact]
    public void A_task_that_has_just_gone_is_given_time_to_show_what_it_wrote()
    {
        var queue = Queue((_, _, _) => null);
        var run = new SlurmRun(Options() with { LagSeconds = 3600 }, queue);
        run.Submit();
        using var source = new CancellationTokenSource();
        var looks = 0;
        Assert.ThrowsAny<OperationCanceledException>(() => run.Follow(
            new Relay<StageProgress>(_ =>
            {
                if (++looks == 5)
                {
                    source.Cancel();
                }
            }),
            source.Token));
        Assert.Equal(3, queue.Submitted.Count); // nothing was submitted again
    }

    [Fact]
    public void A_script_asks_for_what_was_given_and_quotes_what_a_shell_would_take_apart()
    {
        var options = Options();
        var script = SlurmScripts.Script(options, JobPlan.Steps(options.Submit)[1]);
        Assert.Contains("#SBATCH --partition=short\n", script, StringComparison.Ordinal);
        Assert.Contains("#SBATCH --time=90\n", script, StringComparison.Ordinal);
        Assert.Contains("#SBATCH --cpus-per-task=8\n", script, StringComparison.Ordinal);
        Assert.Contains("#SBATCH --mem=2862M\n", script, StringComparison.Ordinal);
        Assert.Contains("#SBATCH --gres=gpu:1\n", script, StringComparison.Ordinal);
        Assert.Contains($"/opt/gatoms audit --model 'a model' --data 'it'\\''s.jsonl' --out {_folder["run"]} --shard \"$SLURM_ARRAY_TASK_ID/4\"\n", script, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public void A_script_writes_down_how_its_task_ended(int code)
    {
        var program = _folder.Write("program.sh", $"#!/bin/sh\nfor word in \"$@\"; do echo \"<$word>\"; done\nexit {code}\n");
        var options = Options() with { Submit = Options().Submit with { Program = ["/bin/sh", program] } };
        new SlurmRun(options, Queue()).Write();
        var start = new ProcessStartInfo("/bin/bash", [Path.Combine(_folder["run"], "slurm", "covariances.sh")]) { RedirectStandardOutput = true, UseShellExecute = false };
        start.Environment["SLURM_ARRAY_TASK_ID"] = "3";
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.Equal(code, process.ExitCode);
        Assert.Equal($"{code}\n", File.ReadAllText(Path.Combine(_folder["run"], "slurm", "status", "covariances-3")));
        Assert.Contains("<a model>\n<--data>\n<it's.jsonl>\n", output, StringComparison.Ordinal);
        Assert.EndsWith("<--shard>\n<3/4>\n", output, StringComparison.Ordinal);
    }
}
