using System.Globalization;
using GradientAtoms.Runs.Submit;

namespace GradientAtoms.Tests.Submit;

/// <summary>A queue in memory. Each look at it is a tick: jobs whose dependencies hold end, well or as the test says.</summary>
/// <param name="run">The run folder.</param>
/// <param name="ends">What a task does the n-th time: an exit code, or null where it is killed and writes nothing.</param>
internal sealed class FakeSlurm(string run, Func<string, int, int, int?> ends) : ISlurmQueue
{
    private readonly Dictionary<string, Job> _jobs = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Step, int Task), int> _begun = [];
    private int _last = 10;

    public int Largest { get; set; } = 1001;

    public List<string> Cancelled { get; } = [];

    public List<(string Id, IReadOnlyList<string> Arguments)> Submitted { get; } = [];

    /// <summary>Tasks in the order in which they ran.</summary>
    public List<string> Ran { get; } = [];

    /// <summary>Whether time stands still.</summary>
    public bool IsPaused { get; set; }

    public int MaxArraySize() => Largest;

    public string Submit(IReadOnlyList<string> arguments)
    {
        var id = (++_last).ToString(CultureInfo.InvariantCulture);
        Submitted.Add((id, arguments));
        var array = arguments.FirstOrDefault(argument => argument.StartsWith("--array=", StringComparison.Ordinal))?["--array=".Length..];
        var after = arguments.FirstOrDefault(argument => argument.StartsWith("--dependency=afterok:", StringComparison.Ordinal))?["--dependency=afterok:".Length..].Split(':') ?? [];
        _jobs[id] = new(Path.GetFileNameWithoutExtension(arguments[^1]), array is null ? [0] : Tasks(array), after);
        return id;
    }

    public IReadOnlyDictionary<string, string> Alive(IReadOnlyList<string> jobs)
    {
        if (!IsPaused)
        {
            Tick();
        }

        return jobs.SelectMany(job => _jobs[job].Open.Select(task => (Id: task == 0 ? job : $"{job}_{task}", job)))
            .ToDictionary(task => task.Id, task => CanBegin(_jobs[task.job]) ? "RUNNING" : "PENDING", StringComparer.Ordinal);
    }

    public void Cancel(IReadOnlyList<string> jobs)
    {
        Cancelled.AddRange(jobs);
        foreach (var job in jobs)
        {
            _jobs[job].Open.Clear();
        }
    }

    private static SortedSet<int> Tasks(string array) => [.. array.Split(',').SelectMany(part => part.Split('-') is [var first, var last]
        ? Enumerable.Range(int.Parse(first, CultureInfo.InvariantCulture), int.Parse(last, CultureInfo.InvariantCulture) - int.Parse(first, CultureInfo.InvariantCulture) + 1)
        : [int.Parse(part, CultureInfo.InvariantCulture)])];

    private bool CanBegin(Job job) => job.After.All(after => after.Split('_') is [var id, var task] ? _jobs[id].Good.Contains(int.Parse(task, CultureInfo.InvariantCulture)) : _jobs[after].IsGood);

    // A dependency that can no longer hold takes the job out, as with --kill-on-invalid-dep.
    private bool IsHopeless(Job job) => job.After.Any(after => after.Split('_') is [var id, var task]
        ? _jobs[id].Bad.Contains(int.Parse(task, CultureInfo.InvariantCulture))
        : _jobs[after].Bad.Count > 0 || (_jobs[after].Open.Count == 0 && !_jobs[after].IsGood));

    private void Tick()
    {
        foreach (var job in _jobs.Values.Where(job => job.Open.Count > 0).ToList())
        {
            if (IsHopeless(job))
            {
                job.Open.Clear();
            }
            else if (CanBegin(job))
            {
                var task = job.Open.Max; // backwards: order must not matter
                job.Open.Remove(task);
                var time = _begun[(job.Step, task)] = _begun.GetValueOrDefault((job.Step, task)) + 1;
                Ran.Add($"{job.Step}-{task}");
                var code = ends(job.Step, task, time);
                (code == 0 ? job.Good : job.Bad).Add(task);
                if (code is { } written)
                {
                    File.WriteAllText(Path.Combine(run, "slurm", "status", $"{job.Step}-{task}"), $"{written}\n");
                }
            }
        }
    }

    private sealed record Job(string Step, SortedSet<int> Open, IReadOnlyList<string> After)
    {
        public HashSet<int> Good { get; } = [];

        public HashSet<int> Bad { get; } = [];

        public bool IsGood => Open.Count == 0 && Bad.Count == 0 && Good.Count > 0;
    }
}
