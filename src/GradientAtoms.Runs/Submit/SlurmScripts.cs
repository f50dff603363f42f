using System.Globalization;

namespace GradientAtoms.Runs.Submit;

/// <summary>
/// The batch scripts of a run, <c>RUN/slurm/STEP.sh</c>. A task writes how it ended to <c>RUN/slurm/status</c>: accounting
/// (<c>sacct</c>) is not there on every cluster, and the queue forgets jobs minutes after their end.
/// </summary>
public static class SlurmScripts
{
    /// <summary>The folder of scripts, logs and states, under the run folder.</summary>
    public const string Folder = "slurm";

    /// <summary>The batch script of a step.</summary>
    /// <param name="options">How the run is submitted.</param>
    /// <param name="step">The step.</param>
    public static string Script(SlurmOptions options, JobStep step)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(step);
        var submit = options.Submit;
        var task = step.Shards is null ? "0" : "$SLURM_ARRAY_TASK_ID";
        var shard = step.Shards is { } count ? $" \"$SLURM_ARRAY_TASK_ID/{count.ToString(CultureInfo.InvariantCulture)}\"" : string.Empty;
        List<string> lines =
        [
            "#!/bin/bash",
            $"#SBATCH --job-name=gatoms-{step.Name}",
            "#SBATCH --nodes=1 --ntasks=1",
            "#SBATCH --requeue", // after the failure of a node: a shard goes on where it was
            "#SBATCH --open-mode=append",
        ];
        void Option(string name, string? value)
        {
            if (value is not null)
            {
                lines.Add($"#SBATCH --{name}={value}");
            }
        }

        Option("partition", options.Partition);
        Option("account", options.Account);
        Option("time", options.JobTime is { } seconds ? ((long)Math.Ceiling(seconds / 60)).ToString(CultureInfo.InvariantCulture) : null); // in minutes
        Option("cpus-per-task", submit.Cpus?.ToString(CultureInfo.InvariantCulture));
        Option("mem", submit.Memory is { } bytes ? $"{((bytes + (1 << 20) - 1) >> 20).ToString(CultureInfo.InvariantCulture)}M" : null);
        lines.AddRange(options.Extra.Select(extra => $"#SBATCH {extra}"));
        lines.AddRange(
        [
            string.Empty,
            $"status={ShellText.Quote(StatusPath(submit.Out, step.Name, null))}-{task}",
            "rm -f \"$status\"",
            $"{ShellText.Join([.. submit.Program, "audit", .. submit.Arguments, .. step.Arguments])}{shard}",
            "code=$?",
            "echo $code > \"$status.part\" && mv \"$status.part\" \"$status\"",
            "exit $code",
        ]);
        return string.Join('\n', lines) + "\n";
    }

    /// <summary>The arguments of <c>sbatch</c> for a step.</summary>
    /// <param name="options">How the run is submitted.</param>
    /// <param name="step">The step.</param>
    /// <param name="tasks">Which of its tasks.</param>
    /// <param name="after">Jobs or tasks of jobs that must end well before it.</param>
    public static IReadOnlyList<string> Arguments(SlurmOptions options, JobStep step, IReadOnlyList<int> tasks, IReadOnlyList<string> after)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(step);
        List<string> arguments = ["--parsable", "--chdir", options.Submit.WorkingFolder, "--output", LogPath(options.Submit.Out, step, step.Shards is null ? "0" : "%a")];
        if (step.Shards is not null)
        {
            arguments.Add($"--array={Ranges(tasks)}");
        }

        if (after.Count > 0)
        {
            // What can never begin is not left in the queue for ever.
            arguments.AddRange([$"--dependency=afterok:{string.Join(':', after)}", "--kill-on-invalid-dep=yes"]);
        }

        arguments.Add(ScriptPath(options.Submit.Out, step));
        return arguments;
    }

    /// <summary>Where the script of a step lies.</summary>
    public static string ScriptPath(string run, JobStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        return Path.Combine(Path.GetFullPath(run), Folder, $"{step.Name}.sh");
    }

    /// <summary>Where the log of a task lies.</summary>
    public static string LogPath(string run, JobStep step, string task)
    {
        ArgumentNullException.ThrowIfNull(step);
        return Path.Combine(Path.GetFullPath(run), Folder, "logs", step.Shards is null ? $"{step.Name}.log" : $"{step.Name}-{task}.log");
    }

    internal static string StatusPath(string run, string step, int? task) =>
        Path.Combine(Path.GetFullPath(run), Folder, "status", task is { } number ? string.Create(CultureInfo.InvariantCulture, $"{step}-{number}") : step);

    // 1-3,5
    private static string Ranges(IReadOnlyList<int> tasks)
    {
        var parts = new List<(int First, int Last)>();
        foreach (var task in tasks.Order())
        {
            if (parts is [.., var last] && last.Last == task - 1)
            {
                parts[^1] = (last.First, task);
            }
            else
            {
                parts.Add((task, task));
            }
        }

        return string.Join(',', parts.Select(part => part.First == part.Last ? $"{part.First}" : $"{part.First}-{part.Last}"));
    }
}
