using System.CommandLine;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms export</c>: steered adapters and tables for other tools.</summary>
internal static class ExportCommand
{
    public static GatomsCommand Create()
    {
        var kind = new Argument<string>("KIND") { Description = "adapter: the steered adapter. delta: only the step, to be scaled. csv, jsonl, parquet: a table." };
        kind.AcceptOnlyFromAmong("adapter", "delta", "csv", "jsonl", "parquet");
        var run = new Argument<string>("RUN") { Description = "The run folder." };
        var pole = Opt.Text("--pole", "POLE", "For adapter and delta: the pole.");
        var kl = Opt.Number("--kl", "NATS", "For adapter and delta: strength as divergence a token. Default .1.", above: 0);
        var step = Opt.Number("--step", "STEP", "For adapter and delta: the step itself.", above: 0);
        var less = Opt.Flag("--less", "Less of the pole instead of more.");
        var direction = Opt.Choice("--direction", "How the atom becomes a step (docs/method.md, 7). Default data.", "data", "natural", "gradient", "adam");
        var table = Opt.Choice("--table", "For csv, jsonl and parquet. Default codes.", "codes", "documents", "atoms", "modules", "tokens");
        var output = Opt.Text("--out", "PATH", "The folder or file to write.", required: true);
        var model = Opt.Text("--model", "MODEL", "The model, where it has moved since the audit.");
        var data = Opt.Text("--data", "FILE", "The data file, where it has moved since the audit.");
        var command = new GatomsCommand(
            "export",
            "Writes a steered adapter that PEFT loads, or a table of the run.",
            "gatoms export adapter runs/mine --pole a1b2c3+ --kl .1 --out steered",
            "gatoms export csv runs/mine --table codes --out codes.csv")
        {
            kind, run, pole, kl, step, less, direction, table, output, model, data,
        };
        command.Body = _ => throw UsageException.NotYet("gatoms export", "exporting");
        return command.Finished();
    }
}
