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
        command.Body = context =>
        {
            var options = arguments.Read(context.Parse);
            Threads.Use(context.Parse.GetValue(arguments.Threads));
            var result = context.Track(ladder => AuditPipeline.Run(options, ladder.Decided, ladder, context.CancellationToken));
            using var view = RunView.Open(options.Out);
            var report = File.Exists(view.Folder.PathOf(RunFiles.Report)) ? view.Folder.PathOf(RunFiles.Report) : null;
            context.Print(
                "gatoms/audit",
                new { Run = options.Out, result.NothingToDo, Atoms = view.Atoms.Count, Documents = view.Rows.Count(row => row.Status == "used"), Rejected = view.Rows.Count(row => row.Status == "rejected"), Report = report, Stages = StageResults.Of(result) },
                writer => Write(writer, context, result, view, report));
        };
        return command.Finished();
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
