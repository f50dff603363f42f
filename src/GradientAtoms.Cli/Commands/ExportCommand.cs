using System.CommandLine;
using System.Text;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Steps;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms export</c>: steered adapters and tables for other tools.</summary>
internal static class ExportCommand
{
    public static GatomsCommand Create()
    {
        var kind = new Argument<string>("KIND") { Description = "adapter: the steered adapter. delta: only the step, to be scaled. gguf: the steered adapter for llama.cpp. merged: the model with it in its weights, a Hugging Face folder. csv, jsonl, parquet: a table." };
        kind.AcceptOnlyFromAmong("adapter", "delta", "gguf", "merged", "csv", "jsonl", "parquet");
        var run = new Argument<string>("RUN") { Description = "The run folder." };
        var pole = Opt.Text("--pole", "POLE", "For adapter, delta, gguf and merged: the pole, or several that are calibrated together: \"a1b2c3+ d4e5f6-=-.5\".");
        var step = new StepArguments();
        var table = Opt.Choice("--table", "For csv, jsonl and parquet. Default codes.", "codes", "documents", "atoms", "modules", "tokens", "places", "pairs", "weights");
        var output = Opt.Text("--out", "PATH", "The folder or file to write.", required: true);
        var command = new GatomsCommand(
            "export",
            "Writes a steered adapter that PEFT or llama.cpp loads, a steered model, or a table of the run.",
            "gatoms export adapter runs/mine --pole a1b2c3+ --kl .1 --out steered",
            "gatoms export gguf runs/mine --pole a1b2c3+ --kl .1 --out steered.gguf",
            "gatoms export merged runs/mine --pole a1b2c3+ --kl .1 --out steered-model",
            "gatoms export csv runs/mine --table codes --out codes.csv");
        command.Add(kind);
        command.Add(run);
        command.Add(pole);
        step.AddTo(command);
        command.Add(table);
        command.Add(output);
        command.Body = context =>
        {
            var parse = context.Parse;
            var (to, from, what) = (parse.GetRequiredValue(output)!, parse.GetRequiredValue(run), parse.GetRequiredValue(kind));
            if (File.Exists(to) || (Directory.Exists(to) && (what is "gguf" or "merged" || Directory.EnumerateFileSystemEntries(to).Any())))
            {
                throw UsageException.Exists(to);
            }

            if (what is "adapter" or "delta" or "gguf" or "merged")
            {
                var id = parse.GetValue(pole) ?? throw UsageException.Combination("gatoms export", $"{what} wants --pole", $"gatoms atoms {from} lists the poles");
                step.UseThreads(parse);
                using var session = new RunSession(from, step.ModelOf(parse));
                var parts = step.Parts(parse, session, id.Split([' ', ','], StringSplitOptions.RemoveEmptyEntries));
                if (what == "delta" && step.IsRemoval(parse))
                {
                    throw UsageException.Combination("gatoms export", "a delta is a step, and --remove takes none", "use gatoms export adapter");
                }

                PoleStep Choose() => context.Track(ladder => step.Choose(parse, session, parts, ladder, context.CancellationToken));
                switch (what)
                {
                    case "gguf":
                        ModelExports.WriteGguf(context, session, Choose, to);
                        break;
                    case "merged":
                        ModelExports.WriteMerged(context, session, Choose, to);
                        break;
                    default:
                        ModelExports.WriteAdapter(context, session, Choose, what == "delta", to);
                        break;
                }
            }
            else
            {
                using var folder = RunFolder.OpenRead(from);
                WriteTable(context, folder, what, Enum.Parse<ExportTable>(parse.GetValue(table) ?? "codes", ignoreCase: true), to);
            }
        };
        return command.Finished();
    }

    private static void WriteTable(CommandContext context, RunFolder folder, string kind, ExportTable table, string to)
    {
        var rows = 0;
        AtomicFile.Write(to, stream =>
        {
            if (kind == "parquet")
            {
                rows = TableExport.WriteParquet(stream, folder, table);
                return;
            }

            using var writer = new StreamWriter(stream, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), leaveOpen: true);
            rows = kind == "csv" ? TableExport.WriteCsv(writer, folder, table) : TableExport.WriteJsonLines(writer, folder, table);
        });

        context.Print(
            "gatoms/export",
            new { Kind = kind, Table = table, Out = to, Rows = rows, Bytes = new FileInfo(to).Length },
            writer => writer.WriteLine($"{to}: {Plain.Count(rows)} rows, {Plain.Bytes(new FileInfo(to).Length)}"));
    }
}
