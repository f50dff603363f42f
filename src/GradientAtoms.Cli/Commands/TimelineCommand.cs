using System.CommandLine;
using GradientAtoms.Models.Native;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms timeline</c>: when each pole was learnt.</summary>
internal static class TimelineCommand
{
    public static GatomsCommand Create()
    {
        var run = new Argument<string>("RUN") { Description = "The run folder." };
        var checkpoints = new Option<string[]>("--checkpoint")
        {
            Description = "A checkpoint of the fine-tune (PEFT), once for each, in the order of the training. Default: those of --checkpoints, or the checkpoint-* folders of the adapter that was audited.",
            HelpName = "FOLDER",
            AllowMultipleArgumentsPerToken = true,
        };
        var documents = Opt.Whole("--documents", "COUNT", "Documents a pole that are measured, its strongest. Default 20.", least: 2);
        var model = Opt.Text("--model", "MODEL", "The model, where it has moved since the audit.");
        var threads = Opt.Whole("--threads", "COUNT", "Processor threads. Default: OMP_NUM_THREADS, else all cores.");
        var command = new GatomsCommand(
            "timeline",
            "Tells when each pole was learnt: how strongly it is present at checkpoints of the fine-tune. Writes timeline.json and timeline.csv, and shows them in the report.",
            "gatoms timeline runs/mine",
            "gatoms timeline runs/mine --checkpoint out/checkpoint-100 --checkpoint out/checkpoint-200")
        {
            run, checkpoints, documents, model, threads,
        };
        command.Body = context =>
        {
            var path = context.Parse.GetRequiredValue(run);
            TorchThreads.Use(context.Parse.GetValue(threads));
            var defaults = new TimelineOptions();
            var options = defaults with
            {
                Checkpoints = context.Parse.GetValue(checkpoints) ?? [],
                Documents = context.Parse.GetValue(documents) ?? defaults.Documents,
                Model = context.Parse.GetValue(model),
            };
            var (result, timeline) = context.Track(ladder => TimelinePipeline.Run(path, options, ladder.Decided, ladder, context.CancellationToken));
            using var view = RunView.Open(path);
            context.Print(
                "gatoms/timeline",
                new { Run = path, result.NothingToDo, timeline.Checkpoints, timeline.Poles },
                writer => Write(writer, context, view, timeline));
            context.Hint($"all of it: {Path.Combine(path, "timeline.csv")}; drawn in {Path.Combine(path, RunFiles.Report)}");
        };
        return command.Finished();
    }

    private static void Write(TextWriter writer, CommandContext context, RunView view, Timeline timeline)
    {
        var poles = view.Atoms.SelectMany(atom => atom.Poles).ToDictionary(pole => pole.Id, StringComparer.Ordinal);
        var places = timeline.Checkpoints.Select((checkpoint, place) => (checkpoint.Name, place)).ToDictionary(StringComparer.Ordinal);
        var table = new TextTable("pole", "appears", "grows most", "fades", "end", "error", "name").Right(4, 5);
        foreach (var curve in timeline.Poles.Where(curve => curve.Appears is not null).OrderBy(curve => places[curve.Appears!]).ThenByDescending(curve => curve.Points[^1].Presence))
        {
            var pole = poles.GetValueOrDefault(curve.Id);
            table.Add(curve.Id, curve.Appears!, curve.Grows!, curve.Fades ?? "-", Plain.Number(curve.Points[^1].Presence), Plain.Number(curve.Points[^1].Error), pole?.Label ?? string.Join(", ", pole?.Keywords ?? []));
        }

        writer.WriteLine($"{Plain.Count(timeline.Poles.Count(curve => curve.Appears is not null))} of {Plain.Count(timeline.Poles.Count)} poles were learnt beyond documents that were asked alike, at {Plain.Count(timeline.Checkpoints.Count - 1)} checkpoints; end: nats a token at the end");
        table.Write(writer, context.Host.Width);
    }
}
