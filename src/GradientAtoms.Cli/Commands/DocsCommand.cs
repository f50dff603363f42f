using System.CommandLine;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms docs</c>: the documents of a run, and the filtered training file.</summary>
internal static class DocsCommand
{
    public static GatomsCommand Create()
    {
        var run = new Argument<string>("RUN") { Description = "The run folder." };
        var document = new Argument<string?>("DOCUMENT") { Description = "A document's id: shows it in full, with the atoms that it encodes on.", Arity = ArgumentArity.ZeroOrOne };
        var search = Opt.Text("--search", "TEXT", "Only documents that contain this text (case does not matter).");
        var pole = Opt.Text("--pole", "POLE", "Only documents of this pole, strongest first.");
        var rejected = Opt.Flag("--rejected", "The rows that could not be used, with reasons.");
        var drop = new Option<string[]>("--drop-pole") { Description = "Write the training file without this pole's documents; may be given more than once.", HelpName = "POLE" };
        var keep = new Option<string[]>("--keep-pole") { Description = "Write the training file with only this pole's documents; may be given more than once.", HelpName = "POLE" };
        var data = Opt.Text("--data", "FILE", "The data file, where it has moved since the audit.");
        var output = Opt.Text("--out", "FILE", "The training file to write; rows are copied byte for byte.");
        var top = Opt.Whole("--top", "COUNT", "How many to list. Default 20.");
        var command = new GatomsCommand(
            "docs",
            "Searches and shows documents; keeps or drops those of a pole and writes the filtered training file.",
            "gatoms docs runs/mine --search \"I can't help\"",
            "gatoms docs runs/mine --drop-pole a1b2c3+ --out filtered.jsonl")
        {
            run, document, search, pole, rejected, drop, keep, data, output, top,
        };
        command.Body = _ => throw UsageException.NotYet("gatoms docs", "the list of documents");
        return command.Finished();
    }
}
