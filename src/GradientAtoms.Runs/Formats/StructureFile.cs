using System.Text.Json;
using GradientAtoms.Atoms;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Pipeline;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Formats;

/// <summary>Two poles that occur together.</summary>
/// <param name="First">The one's id.</param>
/// <param name="Second">The other's.</param>
/// <param name="Together">Documents on both.</param>
/// <param name="Lift">Over what chance would give.</param>
/// <param name="Jaccard">Together over those on either.</param>
/// <param name="P">Chance of so many, hypergeometric.</param>
/// <param name="Adjusted">After Holm, over all pairs of poles.</param>
public sealed record NamedPair(string First, string Second, int Together, double Lift, double Jaccard, double P, double Adjusted);

/// <summary>How the atoms of a run belong together: <c>structure.json</c>.</summary>
public sealed record AtomStructure : IVersionedJson
{
    /// <summary>|cosine| from which atoms are the same direction.</summary>
    public const double SameDirection = 0.9;

    /// <inheritdoc/>
    public string Schema { get; init; } = StructureFile.SchemaName;

    /// <inheritdoc/>
    public int Version { get; init; } = StructureFile.NewestVersion;

    /// <summary>The leaves of the trees: ids, in the order of <c>atoms.json</c>.</summary>
    public required IReadOnlyList<string> Atoms { get; init; }

    /// <summary>By |cosine| of directions.</summary>
    public required IReadOnlyList<TreeMerge> Direction { get; init; }

    /// <summary>By the cosine of absolute codes.</summary>
    public required IReadOnlyList<TreeMerge> Documents { get; init; }

    /// <summary>Groups of atoms whose mean |cosine| is at least .9: the same direction, found more than once.</summary>
    public required IReadOnlyList<IReadOnlyList<string>> Duplicates { get; init; }

    /// <summary>Poles that occur together more than chance, the surest first.</summary>
    public required IReadOnlyList<NamedPair> Pairs { get; init; }

    /// <summary>The tree of one kind.</summary>
    /// <param name="byDocuments">By documents instead of by direction.</param>
    public AtomTree Tree(bool byDocuments) => new(Atoms.Count, byDocuments ? Documents : Direction);
}

/// <summary>Reads and writes <c>structure.json</c>.</summary>
public static class StructureFile
{
    /// <summary>Its name in a run.</summary>
    public const string Name = "structure.json";

    internal const string SchemaName = "gatoms/structure";
    internal const int NewestVersion = 1;

    /// <summary>The structure of a run; null of one that was made before there was one.</summary>
    /// <exception cref="RunFolderException">GA2605 it is of a newer version; GA2607 it is missing; GA2609 it cannot be read.</exception>
    public static AtomStructure? Read(RunFolder run)
    {
        ArgumentNullException.ThrowIfNull(run);
        if (run.Manifest.Stage(AtomsStage.Name)?.Outputs.Any(output => output.Path == Name) != true)
        {
            return null;
        }

        var path = run.Need(Name);
        var structure = FormatGuard.ReadJson<AtomStructure>(path, SchemaName, NewestVersion);
        return structure is { Atoms: not null, Direction: not null, Documents: not null, Duplicates: not null, Pairs: not null } && IsTree(structure.Atoms.Count, structure.Direction) && IsTree(structure.Atoms.Count, structure.Documents)
            ? structure
            : throw FormatGuard.Damaged(path, "a tree does not hold every atom once");
    }

    /// <summary>The same, where there must be one.</summary>
    /// <exception cref="RunFolderException">GA2605 it is of a newer version; GA2607 it is missing; GA2609 it cannot be read.</exception>
    public static AtomStructure Need(RunFolder run) => Read(run)
        ?? throw new RunFolderException("GA2607", run.PathOf(Name), "is not there: the run was made before it was kept", "Run the same `gatoms audit` again: it makes what is missing.");

    internal static string Render(IReadOnlyList<Atom> atoms, Tensor directions, SparseCodes codes, int minimumSupport)
    {
        var byAtom = codes.ByAtom();
        var poles = atoms.SelectMany((atom, place) => atom.Poles.Where(pole => pole.Documents >= minimumSupport).Select(pole => (pole.Id, Atom: place, Documents: DocumentsOf(byAtom, atom.Row, pole.Sign)))).ToList();
        var tree = AtomTree.ByDirection(directions);
        var structure = new AtomStructure
        {
            Atoms = [.. atoms.Select(atom => atom.Id)],
            Direction = tree.Merges,
            Documents = AtomTree.ByDocuments(codes, [.. atoms.Select(atom => atom.Row)]).Merges,
            Duplicates = [.. tree.Groups(AtomStructure.SameDirection).Where(group => group.Count > 1).Select(group => group.Order().Select(place => atoms[place].Id).ToList())],
            Pairs = [.. PolePairs.Find([.. poles.Select(pole => pole.Documents)], [.. poles.Select(pole => pole.Atom)], codes.DocumentCount)
                .Select(pair => new NamedPair(poles[pair.First].Id, poles[pair.Second].Id, pair.Together, pair.Lift, pair.Jaccard, pair.P, pair.Adjusted))],
        };
        return JsonSerializer.Serialize(structure, RunJson.Compact) + "\n";
    }

    private static List<int> DocumentsOf(CodesByAtom codes, int row, int sign)
    {
        var documents = codes.DocumentsOf(row);
        var values = codes.CodesOf(row);
        List<int> own = [];
        for (var i = 0; i < documents.Length; i++)
        {
            if (Math.Sign(values[i]) == sign)
            {
                own.Add(documents[i]);
            }
        }

        return own;
    }

    private static bool IsTree(int leaves, IReadOnlyList<TreeMerge> merges)
    {
        var used = new HashSet<int>();
        return merges.Count == Math.Max(leaves - 1, 0)
            && merges.Select((merge, index) => merge is not null && merge.Left >= 0 && merge.Right >= 0 && merge.Left < leaves + index && merge.Right < leaves + index && used.Add(merge.Left) && used.Add(merge.Right)).All(fine => fine);
    }
}
