using System.Security.Cryptography;
using GradientAtoms.Atoms;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Labels;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Cli;

/// <summary>A finished run as the commands read it: atoms, documents, codes, and the data file that it was made from.</summary>
internal sealed class RunView : IDisposable
{
    private readonly Lazy<IReadOnlyList<Atom>> _atoms;
    private readonly Lazy<IReadOnlyList<DocumentRow>> _rows;
    private readonly Lazy<StoredCodes> _codes;

    private RunView(string name, RunFolder folder)
    {
        (Name, Folder) = (name, folder);
        _atoms = new(() => RunReader.ReadAtoms(folder));
        _rows = new(() => DocumentsFile.Read(folder.Need(RunFiles.Documents)));
        _codes = new(() => CodesFile.Read(folder.Need(RunFiles.Codes)));
    }

    /// <summary>The run as the user named it.</summary>
    public string Name { get; }

    public RunFolder Folder { get; }

    public IReadOnlyList<Atom> Atoms => _atoms.Value;

    /// <summary>Where labels come from, by pole.</summary>
    public IReadOnlyDictionary<string, PoleLabel> Labels => LabelsFile.Read(Folder);

    /// <summary>Every document of the data, used or not.</summary>
    public IReadOnlyList<DocumentRow> Rows => _rows.Value;

    public StoredCodes Codes => _codes.Value;

    public static RunView Open(string path) => new(path, RunFolder.OpenRead(path));

    /// <summary>An atom by its id, a pole's id, or the beginning of an id that only one atom has.</summary>
    public Atom FindAtom(string id)
    {
        var plain = id.TrimEnd('+', '-');
        var found = Atoms.Where(atom => atom.Id == plain).ToArray();
        found = found.Length == 0 && plain.Length >= 3 ? [.. Atoms.Where(atom => atom.Id.StartsWith(plain, StringComparison.Ordinal))] : found;
        return found.Length switch
        {
            1 => found[0],
            0 => throw UsageException.Unknown("atom", id, Name, $"gatoms atoms {Name} lists them"),
            _ => throw UsageException.Unknown("single atom", id, Name, $"it is the beginning of {string.Join(", ", found.Take(4).Select(atom => atom.Id))}: give the whole id"),
        };
    }

    /// <summary>A pole by its id, or by the atom's id where the atom has only one.</summary>
    public (Atom Atom, Pole Pole) FindPole(string id)
    {
        var atom = FindAtom(id);
        var sign = id[^1] switch { '+' => 1, '-' => -1, _ => 0 };
        var poles = atom.Poles.Where(pole => sign == 0 || pole.Sign == sign).ToArray();
        return poles.Length == 1 ? (atom, poles[0]) : throw UsageException.Unknown(
            "single pole", id, Name, atom.Poles.Count == 0 ? "the atom has no documents" : $"the atom's poles are {string.Join(" and ", atom.Poles.Select(pole => pole.Id))}");
    }

    /// <summary>All documents of a pole with their codes, strongest first.</summary>
    public IReadOnlyList<(DocumentRow Row, double Code)> DocumentsOf(Atom atom, Pole pole)
    {
        var found = new List<(DocumentRow Row, double Code)>();
        for (var document = 0; document < Codes.Codes.DocumentCount; document++)
        {
            var place = Codes.Codes.AtomsOf(document).IndexOf(atom.Row);
            if (place >= 0 && Math.Sign(Codes.Codes.CodesOf(document)[place]) == pole.Sign)
            {
                found.Add((RowOf(document), Codes.Codes.CodesOf(document)[place]));
            }
        }

        return [.. found.OrderByDescending(entry => Math.Abs(entry.Code)).ThenBy(entry => entry.Row.SourceRow)];
    }

    /// <summary>The atoms that a document encodes on, strongest first; empty for one that was not encoded.</summary>
    public IReadOnlyList<(string Pole, double Code)> AtomsOf(DocumentRow row)
    {
        var document = Array.FindIndex(Codes.DocumentRows, place => place < Rows.Count && Rows[place].Id == row.Id);
        if (document < 0)
        {
            return [];
        }

        var ids = Atoms.ToDictionary(atom => atom.Row, atom => atom.Id);
        var (atoms, codes) = (Codes.Codes.AtomsOf(document).ToArray(), Codes.Codes.CodesOf(document).ToArray());
        return [.. atoms.Zip(codes)
            .OrderByDescending(entry => Math.Abs(entry.Second))
            .Select(entry => (ids.GetValueOrDefault(entry.First, $"row-{entry.First}") + (entry.Second > 0 ? "+" : "-"), (double)entry.Second))];
    }

    /// <summary>Of a data folder: the split that the run was made from; null for <c>train</c>.</summary>
    public string? Split => (string?)Folder.Manifest.Options?["split"];

    /// <summary>The data file or folder that the run was made from, its files checked by their hashes.</summary>
    /// <param name="given"><c>--data</c>, or null.</param>
    /// <returns>Its path; null where it is not there and none was given.</returns>
    /// <exception cref="UsageException">GA1007: it has other contents now, or is not there though it was named.</exception>
    public string? DataFile(string? given)
    {
        var recorded = Folder.Manifest.Stages
            .Select(stage => stage.Inputs.Where(input => input.Key == "data" || input.Key.StartsWith("data/", StringComparison.Ordinal)).Select(input => input.Value).ToHashSet(StringComparer.Ordinal))
            .FirstOrDefault(hashes => hashes.Count > 0) ?? [];
        var known = recorded.Count == 1 ? Folder.Manifest.InputFiles.FirstOrDefault(file => recorded.Contains(file.Sha256))?.Path : null;
        var path = given ?? known ?? (string?)Folder.Manifest.Options?["data"];
        if (path is null || !Path.Exists(path))
        {
            return given is null ? null : throw UsageException.OtherData(given, "is not there");
        }

        var found = new HashSet<string>(StringComparer.Ordinal);
        foreach (var file in DocumentReader.FilesOf(path, Split))
        {
            using var stream = File.OpenRead(file);
            found.Add(Convert.ToHexStringLower(SHA256.HashData(stream)));
        }

        return recorded.Count == 0 || found.SetEquals(recorded) ? path : throw UsageException.OtherData(path, "has other contents than when the run was made");
    }

    /// <summary>The documents' texts by id, as the run keeps them.</summary>
    public IReadOnlyDictionary<string, TextRow> Texts() => RunReader.ReadTexts(Folder).ToDictionary(text => text.Id, StringComparer.Ordinal);

    public void Dispose() => Folder.Dispose();

    private DocumentRow RowOf(int document) => Rows[Codes.DocumentRows[document]];
}
