using System.CommandLine;
using System.Text;
using GradientAtoms.Models.Adapters;
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
        var pole = Opt.Text("--pole", "POLE", "For adapter, delta, gguf and merged: the pole.");
        var step = new StepArguments();
        var table = Opt.Choice("--table", "For csv, jsonl and parquet. Default codes.", "codes", "documents", "atoms", "modules");
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
                switch (what)
                {
                    case "gguf":
                        ModelExports.WriteGguf(context, session, id, step.Read(parse), to);
                        break;
                    case "merged":
                        ModelExports.WriteMerged(context, session, id, step.Read(parse), to);
                        break;
                    default:
                        WriteAdapter(context, session, id, step.Read(parse), what == "delta", to);
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

    private static void WriteAdapter(CommandContext context, RunSession session, string pole, PoleStepOptions options, bool isDelta, string to)
    {
        using var chosen = context.Track(ladder => PoleStep.Choose(session, pole, options, null, ladder, context.CancellationToken));
        using var adapter = isDelta ? chosen.ToDelta(session.Adapter) : chosen.ToAdapter(session.Adapter);
        var origin = session.Folder.PathOf(RunFiles.Adapter);
        SteeredAdapterFile.Write(to, adapter, PeftAdapter.Configuration(origin), isDelta ? null : origin);
        var error = isDelta ? chosen.Direction.DeltaError(session.Adapter, chosen.Size) : (double?)null;
        context.Print(
            "gatoms/export",
            new { Kind = isDelta ? "delta" : "adapter", Out = to, Rank = adapter.Modules.Max(module => module.Rank), Step = StepArguments.Describe(chosen), RelativeError = error },
            writer =>
            {
                StepArguments.Write(writer, chosen);
                writer.WriteLine(isDelta
                    ? $"{to}: the step alone, LoRA of rank {Plain.Count(adapter.Modules.Max(module => module.Rank))}, to be added to the adapter; at scale 1 it differs from the exact step by {Plain.Percent(error!.Value)}"
                    : $"{to}: the adapter with the step taken, LoRA of rank {Plain.Count(adapter.Modules.Max(module => module.Rank))}; it replaces the adapter");
            });
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
