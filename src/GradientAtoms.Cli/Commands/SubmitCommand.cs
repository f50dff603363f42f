using System.CommandLine;
using System.Globalization;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Runs.Submit;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms submit</c>: an audit on a cluster.</summary>
internal static class SubmitCommand
{
    private const string Slurm = "slurm";
    private const string Kubernetes = "kubernetes";

    public static GatomsCommand Create()
    {
        var engine = new Argument<string>("ENGINE") { Description = "slurm: writes and submits a job array with what comes before and after it, follows it, and submits lost shards again. kubernetes: writes indexed Jobs." };
        engine.AcceptOnlyFromAmong(Slurm, Kubernetes);
        var audit = new AuditArguments();
        var more = new Arguments();
        var command = new GatomsCommand(
            "submit",
            "Runs an audit on a cluster: the pass over the documents in shards, then the rest in one job. The run folder must be on a file system that all nodes see.",
            "gatoms submit slurm --shards 8 --cpus 16 --memory 32GiB --job-time 4h --model base --adapter my-lora --data chats.jsonl --out runs/mine",
            "gatoms submit slurm --shards 4 --dry-run --model base --data chats.jsonl --out runs/mine",
            "gatoms submit kubernetes --shards 8 --image registry.example/gatoms:0.1 --claim audits --coordinates exact --model /data/base --adapter /data/lora --data /data/chats.jsonl --out /data/runs/mine")
        {
            Continues = true,
        };
        command.Add(engine);
        audit.AddTo(command);
        more.AddTo(command);
        command.Body = context =>
        {
            var options = audit.Read(context.Parse);
            var isSlurm = context.Parse.GetRequiredValue(engine) == Slurm;
            RefuseWrong(context, more, isSlurm);
            var submit = new SubmitOptions
            {
                Out = options.Out,
                Arguments = Given(context.Parse, audit, more),
                Program = context.Parse.GetValue(more.Program) is { } program ? [program] : isSlurm ? ThisProgram() : ["gatoms"],
                WorkingFolder = isSlurm ? Directory.GetCurrentDirectory() : context.Parse.GetValue(more.Mount) ?? "/data",
                Shards = context.Parse.GetValue(more.Shards)!.Value,
                HasSecondPass = HasSecondPass(context, options, isSlurm),
                Cpus = context.Parse.GetValue(more.Cpus),
                Memory = options.Memory,
            };
            if (isSlurm)
            {
                SubmitSlurm(context, more, submit);
            }
            else
            {
                WriteKubernetes(context, more, submit);
            }
        };
        return command.Finished();
    }

    private static void RefuseWrong(CommandContext context, Arguments more, bool isSlurm)
    {
        var wrong = (isSlurm ? more.OfKubernetes : more.OfSlurm).FirstOrDefault(option => context.Parse.GetResult(option) is { Implicit: false });
        if (wrong is not null)
        {
            throw UsageException.Combination("gatoms submit", $"{wrong.Name} is not for {(isSlurm ? Slurm : Kubernetes)}", "leave it out");
        }

        if (!isSlurm && (context.Parse.GetValue(more.Image) is null || context.Parse.GetValue(more.Claim) is null))
        {
            throw UsageException.Combination("gatoms submit", "kubernetes needs --image and --claim", "name the container image with gatoms, and the volume claim that holds model, data and run");
        }
    }

    // How gradients are kept is decided now, so that mistakes in data or options show before anything waits in a queue.
    private static bool HasSecondPass(CommandContext context, AuditOptions options, bool isSlurm)
    {
        if (!isSlurm && !Path.Exists(options.Data))
        {
            return options.Coordinates != CoordinateKind.Auto
                ? options.Coordinates == CoordinateKind.Sketch
                : throw UsageException.Combination("gatoms submit", "the data are not on this machine, so --coordinates auto cannot be decided here", "say --coordinates exact, or sketch (gatoms plan on a machine with the data tells which)");
        }

        // A run that is prepared is only read: its jobs may be writing it.
        if (ShardPipeline.Decided(options, context.CancellationToken) is { } decided)
        {
            return decided == CoordinateKind.Sketch;
        }

        context.Track(ladder => AuditPipeline.Run(options with { Until = AuditStop.Plan }, ladder.Decided, ladder, context.CancellationToken));
        return ShardPipeline.Decided(options, context.CancellationToken) == CoordinateKind.Sketch;
    }

    private static void SubmitSlurm(CommandContext context, Arguments more, SubmitOptions submit)
    {
        var parse = context.Parse;
        var options = new SlurmOptions
        {
            Submit = submit,
            Partition = parse.GetValue(more.Partition),
            Account = parse.GetValue(more.Account),
            JobTime = parse.GetValue(more.JobTime),
            Extra = parse.GetValue(more.Sbatch) ?? [],
            Attempts = parse.GetValue(more.Attempts) ?? 3,
            PollSeconds = parse.GetValue(more.Poll) ?? 10,
            LagSeconds = parse.GetValue(more.Lag) ?? 30,
        };
        var run = new SlurmRun(options, new SlurmCommands(), context.Host.Time);
        if (parse.GetValue(more.DryRun))
        {
            var scripts = run.Write();
            context.Print("gatoms/submit", new { Engine = Slurm, Run = submit.Out, submit.Shards, DryRun = true, Scripts = scripts.Select(script => new { Path = script.Script, script.Sbatch }) }, writer =>
            {
                foreach (var (script, sbatch) in scripts)
                {
                    writer.WriteLine($"{Name(script)}=$(sbatch {string.Join(' ', sbatch.Select(word => word.Any(char.IsWhiteSpace) ? $"\"{word}\"" : word))})");
                }
            });
            context.Hint($"nothing was submitted; the scripts are in {Path.Combine(submit.Out, SlurmScripts.Folder)}");
            return;
        }

        var isNew = run.Submit();
        context.Hint(isNew ? $"submitted: {Jobs(run)}" : $"found in the queue: {Jobs(run)}");
        var follows = !parse.GetValue(more.Detach);
        if (follows)
        {
            context.Hint("interrupting this command leaves the jobs in the queue; the same command follows them again");
            context.Track(ladder =>
            {
                run.Follow(ladder, context.CancellationToken);
                return 0;
            });
        }

        var report = Path.Combine(submit.Out, RunFiles.Report);
        context.Print(
            "gatoms/submit",
            new { Engine = Slurm, Run = submit.Out, submit.Shards, Submitted = isNew, Done = follows, Jobs = run.Jobs.Select(step => new { step.Step, step.Jobs }), Report = follows ? report : null },
            writer => writer.WriteLine(follows ? $"{submit.Out}: done; report: {report}" : $"{submit.Out}: in the queue as jobs {string.Join(", ", run.Jobs.SelectMany(step => step.Jobs))}"));
        context.Hint(follows ? $"next: gatoms atoms {submit.Out}" : "the same command without --detach follows them, and submits again what is lost");
    }

    private static void WriteKubernetes(CommandContext context, Arguments more, SubmitOptions submit)
    {
        var parse = context.Parse;
        var options = new KubernetesOptions
        {
            Submit = submit,
            Image = parse.GetValue(more.Image)!,
            Claim = parse.GetValue(more.Claim)!,
            MountPath = parse.GetValue(more.Mount) ?? "/data",
            Namespace = parse.GetValue(more.Namespace),
            Parallelism = parse.GetValue(more.Parallel),
            Attempts = parse.GetValue(more.Attempts) ?? 3,
        };
        var files = KubernetesManifests.Write(options, parse.GetValue(more.To) ?? "kubernetes");
        context.Print("gatoms/submit", new { Engine = Kubernetes, Run = submit.Out, submit.Shards, Files = files }, writer =>
        {
            foreach (var file in files)
            {
                writer.WriteLine(file);
            }
        });
        context.Hint($"nothing was submitted; sh {files[^1]} applies the Jobs one after another with kubectl");
    }

    // The arguments of the audit as they were given, and as many threads as a job has cores.
    private static List<string> Given(ParseResult parse, AuditArguments audit, Arguments more)
    {
        List<string> given = [];
        foreach (var option in audit.All)
        {
            if (parse.GetResult(option) is { Implicit: false } result)
            {
                given.AddRange([option.Name, .. result.Tokens.Select(token => token.Value)]);
            }
        }

        if (parse.GetValue(more.Cpus) is { } cpus && parse.GetValue(audit.Threads) is null)
        {
            given.AddRange([audit.Threads.Name, cpus.ToString(CultureInfo.InvariantCulture)]);
        }

        return given;
    }

    private static IReadOnlyList<string> ThisProgram() => Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) != "dotnet"
        ? [path]
        : [Environment.ProcessPath ?? "dotnet", typeof(SubmitCommand).Assembly.Location];

    private static string Name(string script) => Path.GetFileNameWithoutExtension(script);

    private static string Jobs(SlurmRun run) => string.Join(", ", run.Jobs.Select(step => $"{step.Step} {string.Join(' ', step.Jobs)}"));

    private sealed class Arguments
    {
        public Option<int?> Shards { get; } = Required(Opt.Whole("--shards", "COUNT", "Parts of the pass over the documents, each a job."));

        public Option<int?> Cpus { get; } = Opt.Whole("--cpus", "COUNT", "Processor cores of a job. --memory is asked for it too.");

        public Option<int?> Attempts { get; } = Opt.Whole("--attempts", "COUNT", "How often a job is begun before the run is given up. Default 3.");

        public Option<string?> Program { get; } = Opt.Text("--gatoms", "PATH", "How a node starts gatoms. Default: slurm as this program was started, kubernetes gatoms.");

        public Option<string?> Partition { get; } = Opt.Text("--partition", "NAME", "slurm: the partition. Default the cluster's.");

        public Option<string?> Account { get; } = Opt.Text("--account", "NAME", "slurm: the account that is charged.");

        public Option<double?> JobTime { get; } = Opt.Duration("--job-time", "slurm: time limit of a job: 90m, 4h. Default the partition's.");

        public Option<string[]?> Sbatch { get; } = new("--sbatch") { Description = "slurm: anything else for sbatch, such as --sbatch=--gres=gpu:1; may be given more than once.", HelpName = "OPTION" };

        public Option<bool> DryRun { get; } = Opt.Flag("--dry-run", "slurm: only write the scripts, and print how to submit them.");

        public Option<bool> Detach { get; } = Opt.Flag("--detach", "slurm: submit, and do not follow.");

        public Option<double?> Poll { get; } = Opt.Duration("--poll", "slurm: time between two looks at the queue. Default 10s.");

        public Option<double?> Lag { get; } = Opt.Duration("--lag", "slurm: time that the shared file system may take to show what a job has written. Default 30s.");

        public Option<string?> Image { get; } = Opt.Text("--image", "IMAGE", "kubernetes: the container image with gatoms.");

        public Option<string?> Claim { get; } = Opt.Text("--claim", "NAME", "kubernetes: the persistent volume claim with model, data and run; ReadWriteMany.");

        public Option<string?> Mount { get; } = Opt.Text("--mount", "PATH", "kubernetes: where the claim is mounted; the paths of the audit are those in there. Default /data.");

        public Option<string?> Namespace { get; } = Opt.Text("--namespace", "NAME", "kubernetes: the namespace.");

        public Option<int?> Parallel { get; } = Opt.Whole("--parallel", "COUNT", "kubernetes: shards that run at a time. Default all.");

        public Option<string?> To { get; } = Opt.Text("--to", "FOLDER", "kubernetes: where the manifests are written. Default ./kubernetes.");

        public IReadOnlyList<Option> OfSlurm => [Partition, Account, JobTime, Sbatch, DryRun, Detach, Poll, Lag];

        public IReadOnlyList<Option> OfKubernetes => [Image, Claim, Mount, Namespace, Parallel, To];

        public void AddTo(Command command)
        {
            foreach (var option in (IEnumerable<Option>)[Shards, Cpus, Attempts, Program, .. OfSlurm, .. OfKubernetes])
            {
                command.Add(option);
            }
        }

        private static Option<int?> Required(Option<int?> option)
        {
            option.Required = true;
            return option;
        }
    }
}
