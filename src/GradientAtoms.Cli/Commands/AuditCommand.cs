using GradientAtoms.Models.Native;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms audit</c>: documents and a model in, atoms out.</summary>
internal static class AuditCommand
{
    private const int PolesShown = 10;

    public static GatomsCommand Create()
    {
        var arguments = new AuditArguments();
        var command = new GatomsCommand(
            "audit",
            "Finds what the data teaches: gradients of every document, curvature, coordinates, dictionary, atoms, report. Run again, it continues.",
            "gatoms audit --model SmolLM2-135M-Instruct --data chats.jsonl --out runs/chats",
            "gatoms audit --model base.gguf --adapter my-lora --data chats.jsonl --limit 1500 --atoms 200 --out runs/mine")
        {
            Continues = true,
        };
        arguments.AddTo(command);
        var shard = Opt.Shard("--shard", "Only this part of the pass over the documents, beside other processes that do the others in the same run folder. Then the command without it puts them together.");
        var until = Opt.Choice("--until", "Stop behind this stage; the command without it goes on.", [.. Enum.GetNames<AuditStop>().Select(name => name.ToLowerInvariant())]);
        command.Add(shard);
        command.Add(until);
        command.Body = context =>
        {
            var options = arguments.Read(context.Parse) with { Until = context.Parse.GetValue(until) is { } stop ? Enum.Parse<AuditStop>(stop, ignoreCase: true) : null };
            TorchThreads.Use(context.Parse.GetValue(arguments.Threads));
            if (context.Parse.GetValue(shard) is { } part)
            {
                DoShard(context, options, part);
                return;
            }

            var result = context.Track(ladder => AuditPipeline.Run(options, ladder.Decided, ladder, context.CancellationToken));
            if (options.Until is not null)
            {
                context.Print("gatoms/audit", new { Run = options.Out, result.NothingToDo, Until = options.Until, Stages = StageResults.Of(result) }, writer =>
                {
                    StageResults.Write(writer, result, options.Out);
                    writer.WriteLine($"stopped behind {options.Until.ToString()!.ToLowerInvariant()}, as asked; the command without --until goes on");
                });
                return;
            }

            using var view = RunView.Open(options.Out);
            var report = File.Exists(view.Folder.PathOf(RunFiles.Report)) ? view.Folder.PathOf(RunFiles.Report) : null;
            context.Print(
                "gatoms/audit",
                new { Run = options.Out, result.NothingToDo, Atoms = view.Atoms.Count, Documents = view.Rows.Count(row => row.Status == "used"), Rejected = view.Rows.Count(row => row.Status == "rejected"), Report = report, Stages = StageResults.Of(result) },
                writer => Write(writer, context, result, view, report));
        };
        return command.Finished();
    }

    private static void DoShard(CommandContext context, AuditOptions options, ShardId shard)
    {
        if (options.Until is not null)
        {
            throw UsageException.Combination("gatoms audit", "--shard and --until cannot be given together", "prepare the run with --until adapter, then run each --shard without it");
        }

        var result = context.Track(ladder => ShardPipeline.Run(options, shard, ladder.Decided, ladder, context.CancellationToken));
        context.Print(
            "gatoms/shard",
            new
            {
                Run = options.Out,
                Shard = shard.ToString(),
                result.Pass,
                result.Range,
                Reused = result.Outcome?.Decision.Reuse ?? true,
                result.Outcome?.Record.Seconds,
                Missing = result.Missing.Select(missing => missing.ToString()),
                result.HasSecondPass,
            },
            writer =>
            {
                writer.WriteLine(result.Pass is null ? $"{options.Out}: the gradients are there already; nothing was computed"
                    : result.Outcome!.Decision.Reuse ? $"shard {shard} of the {result.Pass} was there already ({result.Range})"
                    : $"shard {shard} of the {result.Pass} is done ({result.Range})");
                if (result.Missing.Count > 0)
                {
                    writer.WriteLine($"not finished yet: {string.Join(", ", result.Missing)}");
                }
            });
        context.Hint(result switch
        {
            { Missing.Count: > 0 } => $"next: the same command with {string.Join(", ", result.Missing.Select(missing => $"--shard {missing}"))}, where it is not running already",
            { HasSecondPass: true } => $"next: every shard once more, for the second pass (the first one to begin puts the {result.Pass} together); or the command without --shard, which does the second pass here",
            _ => "next: the same command without --shard, which puts the shards together and goes on",
        });
    }

    private static void Write(TextWriter writer, CommandContext context, AuditResult result, RunView view, string? report)
    {
        StageResults.Write(writer, result, view.Name);
        writer.WriteLine($"{Plain.Count(view.Rows.Count(row => row.Status == "used"))} documents used, {Plain.Count(view.Rows.Count(row => row.Status == "rejected"))} rejected, {Plain.Count(view.Rows.Count(row => row.Status == "duplicate"))} duplicates");
        writer.WriteLine($"{Plain.Count(view.Atoms.Count)} atoms with {Plain.Count(view.Atoms.Sum(atom => atom.Poles.Count))} poles; those of the largest shares:");
        var table = new TextTable("pole", "documents", "coherence", "keywords").Right(1, 2);
        foreach (var pole in view.Atoms.SelectMany(atom => atom.Poles).Where(pole => pole.Coherence is not null).Take(PolesShown))
        {
            table.Add(pole.Id, Plain.Count(pole.Documents), Plain.Number(pole.Coherence!.Value), string.Join(", ", pole.Keywords ?? []));
        }

        table.Write(writer, context.Host.Width);
        if (report is not null)
        {
            writer.WriteLine($"report: {report}");
        }

        context.Hint($"next: gatoms atoms {view.Name}");
    }
}
