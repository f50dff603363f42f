using System.Globalization;
using System.Text.Json.Nodes;
using GradientAtoms.Runs.Files;

namespace GradientAtoms.Runs.Submit;

/// <summary>
/// A run on Slurm: submits its steps with their dependencies, follows them, and submits again what was lost. What a task has
/// done is read from the file that it writes at its end, so neither accounting nor a long memory of the queue is needed.
/// </summary>
/// <param name="options">How.</param>
/// <param name="queue">The cluster.</param>
/// <param name="time">The clock.</param>
public sealed class SlurmRun(SlurmOptions options, ISlurmQueue queue, TimeProvider? time = null)
{
    private const string StateName = "jobs.json";

    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly IReadOnlyList<JobStep> _steps = JobPlan.Steps(options.Submit);
    private readonly Dictionary<(string Step, int Task), string> _jobs = [];
    private readonly Dictionary<(string Step, int Task), int> _attempts = [];
    private readonly Dictionary<(string Step, int Task), DateTimeOffset> _goneSince = [];

    /// <summary>Of the jobs of every step, in order, as they were submitted last.</summary>
    public IReadOnlyList<(string Step, IReadOnlyList<string> Jobs)> Jobs =>
        [.. _steps.Select(step => (step.Name, (IReadOnlyList<string>)[.. step.Tasks.Select(task => _jobs.GetValueOrDefault((step.Name, task))).OfType<string>().Distinct(StringComparer.Ordinal)]))];

    private string Folder => Path.Combine(Path.GetFullPath(options.Submit.Out), SlurmScripts.Folder);

    /// <summary>Writes the scripts.</summary>
    /// <returns>For each step its script and the arguments of <c>sbatch</c>; a job's id is not known yet, so its step stands for it: <c>$covariances</c>.</returns>
    public IReadOnlyList<(string Script, IReadOnlyList<string> Sbatch)> Write()
    {
        Directory.CreateDirectory(Path.Combine(Folder, "logs"));
        Directory.CreateDirectory(Path.Combine(Folder, "status"));
        foreach (var step in _steps)
        {
            AtomicFile.WriteText(SlurmScripts.ScriptPath(options.Submit.Out, step), SlurmScripts.Script(options, step));
        }

        return [.. _steps.Select((step, index) => (SlurmScripts.ScriptPath(options.Submit.Out, step), SlurmScripts.Arguments(options, step, step.Tasks, index == 0 ? [] : [$"${_steps[index - 1].Name}"])))];
    }

    /// <summary>Submits every step, or finds the jobs of an earlier submission in the queue.</summary>
    /// <returns>Whether jobs were submitted.</returns>
    /// <exception cref="SubmitException">GA5001, GA5002, GA5003; GA5004 more shards than an array may have; GA5005 jobs of another submission of this run are in the queue.</exception>
    public bool Submit()
    {
        var largest = queue.MaxArraySize();
        if (options.Submit.Shards >= largest)
        {
            throw new SubmitException("GA5004", "--shards", $"{options.Submit.Shards} shards, and an array of this cluster has tasks up to {largest - 1} (MaxArraySize)", $"Use {largest - 1} shards at most.");
        }

        if (FindEarlier())
        {
            return false;
        }

        Write();
        foreach (var status in Directory.GetFiles(Path.Combine(Folder, "status")))
        {
            File.Delete(status);
        }

        SubmitFrom(0, _steps[0].Tasks);
        return true;
    }

    /// <summary>Waits until the run is done; submits lost tasks again, up to <see cref="SlurmOptions.Attempts"/> times each.</summary>
    /// <param name="progress">Told how many tasks of a step are done.</param>
    /// <param name="cancellationToken">Ends the waiting; the jobs stay in the queue.</param>
    /// <exception cref="SubmitException">GA5003 the queue cannot be asked; GA5006 a task was lost too often, with its log: the other jobs are cancelled.</exception>
    public void Follow(IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        for (var index = 0; index < _steps.Count;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var step = _steps[index];
            var alive = Alive();
            var open = step.Tasks.Where(task => !IsDone(step, task)).ToList();
            var lost = open.Where(task => IsLost(step, task, alive)).ToList();
            if (lost.Count > 0)
            {
                SubmitAgain(index, lost, open, alive);
            }

            var running = open.Count(task => StateOf(step, task, alive) == "RUNNING");
            progress?.Report(new(step.Name, step.Tasks.Count - open.Count, step.Tasks.Count, step.Shards is null ? "jobs" : "shards", Note(step, open, running)));
            if (open.Count == 0)
            {
                index++;
                continue;
            }

            cancellationToken.WaitHandle.WaitOne(TimeSpan.FromSeconds(options.PollSeconds));
        }

        File.Delete(Path.Combine(Folder, StateName));
    }

    private string? Note(JobStep step, List<int> open, int running)
    {
        var parts = new List<string>();
        if (open.Count > 0)
        {
            var jobs = string.Join(", ", open.Select(task => _jobs.GetValueOrDefault((step.Name, task))).OfType<string>().Distinct(StringComparer.Ordinal));
            parts.Add($"{running} running, {open.Count - running} waiting (job {jobs})");
        }

        // Kept to the end of the step: what was lost on the way is not to be found out from the queue alone.
        var again = step.Tasks.Where(task => _attempts.GetValueOrDefault((step.Name, task)) > 1).ToList();
        if (again.Count > 0 && step.Shards is not null)
        {
            parts.Add($"again: {string.Join(", ", again)}");
        }

        return parts.Count > 0 ? string.Join("; ", parts) : null;
    }

    private bool IsDone(JobStep step, int task) => ReadStatus(step, task) == 0;

    // What the task wrote at its end; null where it has not come to it.
    private int? ReadStatus(JobStep step, int task)
    {
        try
        {
            return int.TryParse(File.ReadAllText(SlurmScripts.StatusPath(options.Submit.Out, step.Name, task)), NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out var code) ? code : null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private bool IsLost(JobStep step, int task, IReadOnlyDictionary<string, string> alive)
    {
        var key = (step.Name, task);
        if (StateOf(step, task, alive) is not null)
        {
            _goneSince.Remove(key);
            return false;
        }

        if (ReadStatus(step, task) is > 0)
        {
            return true;
        }

        // Not in the queue, and nothing written: either it was killed, or the file system is not showing it yet.
        var now = _time.GetUtcNow();
        return now - (_goneSince.TryGetValue(key, out var since) ? since : _goneSince[key] = now) >= TimeSpan.FromSeconds(options.LagSeconds);
    }

    private string? StateOf(JobStep step, int task, IReadOnlyDictionary<string, string> alive) => _jobs.TryGetValue((step.Name, task), out var job) ? alive.GetValueOrDefault(TaskId(step, job, task)) : null;

    private static string TaskId(JobStep step, string job, int task) => step.Shards is null ? job : string.Create(CultureInfo.InvariantCulture, $"{job}_{task}");

    private void SubmitAgain(int index, List<int> lost, List<int> open, IReadOnlyDictionary<string, string> alive)
    {
        var step = _steps[index];
        foreach (var task in lost.Where(task => _attempts.GetValueOrDefault((step.Name, task)) >= options.Attempts))
        {
            queue.Cancel([.. _jobs.Values.Distinct(StringComparer.Ordinal)]);
            File.Delete(Path.Combine(Folder, StateName));
            var log = SlurmScripts.LogPath(options.Submit.Out, step, task.ToString(CultureInfo.InvariantCulture));
            var what = step.Shards is null ? $"the job of step {step.Name}" : $"shard {task}/{step.Shards} of the {step.Name}";
            throw new SubmitException(
                "GA5006",
                log,
                $"{what} has failed {options.Attempts} times ({(ReadStatus(step, task) is { } code ? $"exit code {code}" : "killed, or out of its time or memory")}); its log ends with: {LastLine(log)}",
                "Put right what the log says (where it was killed: more with --memory or --job-time, or more --shards), and run the command again: what is done stays done.");
        }

        // The steps behind wait for jobs that have failed: they are submitted anew, behind the new ones.
        queue.Cancel([.. _steps.Skip(index + 1).SelectMany(later => later.Tasks.Select(task => _jobs.GetValueOrDefault((later.Name, task)))).OfType<string>().Distinct(StringComparer.Ordinal)]);
        SubmitFrom(index, lost, [.. open.Except(lost).Select(task => TaskId(step, _jobs[(step.Name, task)], task)).Where(alive.ContainsKey)]);
    }

    // The tasks of a step, and all steps behind it.
    private void SubmitFrom(int index, IReadOnlyList<int> tasks, IReadOnlyList<string>? beside = null)
    {
        IReadOnlyList<string> after = [];
        for (var at = index; at < _steps.Count; at++)
        {
            var step = _steps[at];
            var own = at == index ? tasks : step.Tasks;
            foreach (var task in own)
            {
                File.Delete(SlurmScripts.StatusPath(options.Submit.Out, step.Name, task));
            }

            var job = queue.Submit(SlurmScripts.Arguments(options, step, own, after));
            foreach (var task in own)
            {
                _jobs[(step.Name, task)] = job;
                _goneSince.Remove((step.Name, task));
                if (at == index)
                {
                    _attempts[(step.Name, task)] = _attempts.GetValueOrDefault((step.Name, task)) + 1;
                }
                else
                {
                    _attempts.TryAdd((step.Name, task), 1);
                }
            }

            after = at == index ? [job, .. beside ?? []] : [job];
            WriteState();
        }
    }

    private IReadOnlyDictionary<string, string> Alive()
    {
        try
        {
            return queue.Alive([.. _jobs.Values.Distinct(StringComparer.Ordinal)]);
        }
        catch (SubmitException exception) when (exception.Code == "GA5003")
        {
            // A controller that restarts is away for a while: once more, then it is an error.
            Thread.Sleep(TimeSpan.FromSeconds(options.PollSeconds));
            return queue.Alive([.. _jobs.Values.Distinct(StringComparer.Ordinal)]);
        }
    }

    private void WriteState() => AtomicFile.WriteText(Path.Combine(Folder, StateName), new JsonObject
    {
        ["arguments"] = Fingerprint(),
        ["tasks"] = new JsonArray([.. _jobs.OrderBy(job => job.Key).Select(job => (JsonNode)new JsonObject
        {
            ["step"] = job.Key.Step,
            ["task"] = job.Key.Task,
            ["job"] = job.Value,
            ["attempts"] = _attempts.GetValueOrDefault(job.Key),
        })]),
    }.ToJsonString(RunJson.Indented) + "\n");

    private string Fingerprint() => ShellText.Join([.. options.Submit.Arguments, "--shards", options.Submit.Shards.ToString(CultureInfo.InvariantCulture)]);

    // Jobs of an earlier command that still wait or run are followed, not submitted a second time.
    private bool FindEarlier()
    {
        var path = Path.Combine(Folder, StateName);
        JsonNode? state;
        try
        {
            state = File.Exists(path) ? JsonNode.Parse(File.ReadAllText(path)) : null;
        }
        catch (System.Text.Json.JsonException)
        {
            state = null;
        }

        if (state?["tasks"] is not JsonArray tasks)
        {
            return false;
        }

        var found = tasks.Select(task => (Key: ((string)task!["step"]!, (int)task["task"]!), Job: (string)task["job"]!, Attempts: (int)task["attempts"]!)).ToList();
        var jobs = found.Select(task => task.Job).Distinct(StringComparer.Ordinal).OrderBy(job => job.Length).ThenBy(job => job, StringComparer.Ordinal).ToList();
        if (queue.Alive(jobs).Count == 0)
        {
            return false;
        }

        if ((string?)state["arguments"] != Fingerprint())
        {
            throw new SubmitException("GA5005", path, $"jobs of this run with other arguments are in the queue ({string.Join(", ", jobs)})", $"Wait for them, or drop them with `scancel {string.Join(' ', jobs)}`, and run the command again.");
        }

        foreach (var (key, job, attempts) in found)
        {
            _jobs[key] = job;
            _attempts[key] = attempts;
        }

        return true;
    }

    private static string LastLine(string log)
    {
        try
        {
            return File.ReadLines(log).LastOrDefault(line => line.Trim().Length > 0)?.Trim() ?? "nothing";
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return "no log was written";
        }
    }
}
