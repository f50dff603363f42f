using System.CommandLine;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms atoms</c>: the atoms of a run, or one in full.</summary>
internal static class AtomsCommand
{
    public static GatomsCommand Create()
    {
        var run = new Argument<string>("RUN") { Description = "The run folder." };
        var atom = new Argument<string?>("ATOM") { Description = "An atom, or a pole of one (its id with + or -).", Arity = ArgumentArity.ZeroOrOne };
        var top = Opt.Whole("--top", "COUNT", "How many atoms to list (default all), or documents a pole to show (default 10).");
        var sort = Opt.Choice("--sort", "Order of the list. Default share.", "share", "coherence", "documents");
        var command = new GatomsCommand(
            "atoms",
            "Lists the atoms of a run with both poles, or shows one in full: documents, keywords, modules.",
            "gatoms atoms runs/mine --sort coherence --top 20",
            "gatoms atoms runs/mine a1b2c3+")
        {
            run, atom, top, sort,
        };
        command.Body = _ => throw UsageException.NotYet("gatoms atoms", "the list of atoms");
        return command.Finished();
    }
}
