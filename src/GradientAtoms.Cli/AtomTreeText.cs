using GradientAtoms.Runs.Formats;

namespace GradientAtoms.Cli;

/// <summary>How atoms belong together, for <c>gatoms atoms --tree</c>.</summary>
internal static class AtomTreeText
{
    private const int ListedPairs = 15;

    public static void Print(CommandContext context, RunView view, int? top)
    {
        var structure = StructureFile.Need(view.Folder);
        context.Print(
            "gatoms/tree",
            new { Run = view.Name, structure.Atoms, structure.Direction, structure.Documents, structure.Duplicates, Pairs = structure.Pairs.Take(top ?? int.MaxValue), PairsInAll = structure.Pairs.Count },
            writer =>
            {
                var words = view.Atoms.ToDictionary(atom => atom.Id, atom => string.Join(" | ", atom.Poles.Select(pole => $"{(pole.Sign > 0 ? "+" : "-")} {pole.Label ?? string.Join(", ", (pole.Keywords ?? []).Take(4))}")), StringComparer.Ordinal);
                Tree(context, writer, "by direction (mean |cosine| at which groups join)", structure, byDocuments: false, words);
                Tree(context, writer, "by documents (mean cosine of absolute codes)", structure, byDocuments: true, words);
                writer.WriteLine(structure.Duplicates.Count == 0
                    ? "no two atoms are the same direction (|cosine| .9)"
                    : $"the same direction (mean |cosine| .9 or more): {string.Join("; ", structure.Duplicates.Select(group => string.Join(" = ", group)))}");
                writer.WriteLine();
                writer.WriteLine($"poles that occur together more than chance: {Plain.Count(structure.Pairs.Count)} pairs (hypergeometric, Holm .05)");
                var table = new TextTable("pole", "pole", "together", "lift", "jaccard", "adjusted p").Right(2, 3, 4, 5);
                foreach (var pair in structure.Pairs.Take(top ?? ListedPairs))
                {
                    table.Add(pair.First, pair.Second, Plain.Count(pair.Together), Plain.Number(pair.Lift, 1), Plain.Number(pair.Jaccard, 2), Plain.Short(pair.Adjusted));
                }

                table.Write(writer, context.Host.Width);
            });
    }

    private static void Tree(CommandContext context, TextWriter writer, string title, AtomStructure structure, bool byDocuments, Dictionary<string, string> words)
    {
        writer.WriteLine(title);
        foreach (var line in structure.Tree(byDocuments).Lines())
        {
            var indent = new string(' ', 2 + (2 * line.Depth));
            var text = line.Atom is { } atom
                ? $"{indent}{structure.Atoms[atom]}  {Plain.Line(words.GetValueOrDefault(structure.Atoms[atom], string.Empty))}"
                : $"{indent}{Plain.Number(line.Similarity, 2)}  {Plain.Count(line.Size)} atoms";
            writer.WriteLine(context.Host.Width is { } width && width > 20 ? Plain.Short(text, width, trim: false) : text);
        }

        writer.WriteLine();
    }
}
