using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;

namespace GradientAtoms.Runs.Submit;

/// <summary>What a Slurm cluster is asked: to take jobs, to say which are still there, and to drop them.</summary>
public interface ISlurmQueue
{
    /// <summary>The largest index of a task of an array, plus one.</summary>
    int MaxArraySize();

    /// <summary>Submits a batch script.</summary>
    /// <param name="arguments">Of <c>sbatch</c>.</param>
    /// <returns>The job's id.</returns>
    string Submit(IReadOnlyList<string> arguments);

    /// <summary>The tasks of some jobs that wait or run: <c>12_3</c>, or <c>12</c> of a job that is no array.</summary>
    /// <param name="jobs">Ids.</param>
    /// <returns>Each with its state: <c>RUNNING</c>.</returns>
    IReadOnlyDictionary<string, string> Alive(IReadOnlyList<string> jobs);

    /// <summary>Drops jobs; those that are not there any more are passed over.</summary>
    /// <param name="jobs">Ids.</param>
    void Cancel(IReadOnlyList<string> jobs);
}

/// <summary>The Slurm whose commands are on the PATH: <c>sbatch</c>, <c>squeue</c>, <c>scancel</c>, <c>scontrol</c>. Accounting is not needed.</summary>
public sealed class SlurmCommands : ISlurmQueue
{
    private const int DefaultMaxArraySize = 1001;
    private static readonly string[] Ended = ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "BOOT_FAIL", "OUT_OF_MEMORY", "DEADLINE", "PREEMPTED", "REVOKED"];

    /// <inheritdoc/>
    public int MaxArraySize()
    {
        var (code, output, _) = Run("scontrol", ["show", "config"]);
        var line = code == 0 ? output.Split('\n').FirstOrDefault(line => line.StartsWith("MaxArraySize", StringComparison.Ordinal)) : null;
        return int.TryParse(line?.Split('=')[^1].Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var size) ? size : DefaultMaxArraySize;
    }

    /// <inheritdoc/>
    /// <exception cref="SubmitException">GA5001 there is no <c>sbatch</c>; GA5002 it does not take the job.</exception>
    public string Submit(IReadOnlyList<string> arguments)
    {
        var (code, output, error) = Run("sbatch", arguments);

        // With several clusters it is ID;CLUSTER.
        var id = output.Trim().Split('\n')[^1].Split(';')[0].Trim();
        return code == 0 && id.Length > 0 && id.All(char.IsAsciiDigit)
            ? id
            : throw new SubmitException("GA5002", $"sbatch {ShellText.Join(arguments)}", $"Slurm does not take the job: {Line(error, output)}", "Choose what the cluster has with --partition, --account, --job-time, --cpus, --memory or --sbatch (sinfo and sacctmgr show it), and run the command again.");
    }

    /// <inheritdoc/>
    /// <exception cref="SubmitException">GA5003: the queue cannot be asked.</exception>
    public IReadOnlyDictionary<string, string> Alive(IReadOnlyList<string> jobs)
    {
        ArgumentNullException.ThrowIfNull(jobs);
        var alive = new Dictionary<string, string>(StringComparer.Ordinal);
        if (jobs.Count == 0)
        {
            return alive;
        }

        var (code, output, error) = Run("squeue", ["--noheader", "--array", "--states=all", "--format=%i|%T", $"--jobs={string.Join(',', jobs)}"]);
        if (code != 0)
        {
            // One job that the queue has forgotten, asked for alone, is an error of squeue.
            return error.Contains("Invalid job id", StringComparison.OrdinalIgnoreCase)
                ? alive
                : throw new SubmitException("GA5003", "squeue", $"the queue cannot be asked: {Line(error, output)}", "Look whether Slurm answers (squeue, scontrol ping), and run the command again: it finds the jobs that are in the queue.");
        }

        foreach (var line in output.Split('\n'))
        {
            if (line.Trim().Split('|') is [var id, var state] && !Ended.Contains(state, StringComparer.Ordinal))
            {
                alive[id] = state;
            }
        }

        return alive;
    }

    /// <inheritdoc/>
    public void Cancel(IReadOnlyList<string> jobs)
    {
        ArgumentNullException.ThrowIfNull(jobs);
        if (jobs.Count > 0)
        {
            Run("scancel", ["--quiet", .. jobs]);
        }
    }

    private static string Line(string error, string output) => (error.Trim().Length > 0 ? error : output).Trim().ReplaceLineEndings(" ") is { Length: > 0 } text ? text : "it says nothing";

    private static (int Code, string Output, string Error) Run(string program, IReadOnlyList<string> arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        try
        {
            using var process = Process.Start(start)!;
            var error = process.StandardError.ReadToEndAsync();
            var output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return (process.ExitCode, output, error.GetAwaiter().GetResult());
        }
        catch (Exception exception) when (exception is Win32Exception or FileNotFoundException)
        {
            throw new SubmitException(
                "GA5001",
                program,
                "is not on the PATH: this machine is no place to submit Slurm jobs from",
                "Run the command on a login node of the cluster, or install Slurm's client (Debian and Ubuntu: slurm-client, with munge). With --dry-run the scripts are only written.",
                exception);
        }
    }
}
