using System.Text.Json;
using GradientAtoms.Atoms;
using GradientAtoms.Runs.Files;

namespace GradientAtoms.Runs.Formats;

/// <summary><c>atoms.json</c>: <c>{"schema":"gatoms/atoms","version":1,"atoms":[…]}</c>, names in snake_case, what is not computed absent.</summary>
public static class AtomsFile
{
    private const string SchemaName = "gatoms/atoms";
    private const int NewestVersion = 1;

    /// <summary>Writes the file: the same atoms give the same bytes.</summary>
    /// <param name="stream">Where to; left open.</param>
    /// <param name="atoms">In the order in which they are to be listed.</param>
    /// <exception cref="NumericalException">GA2501: an atom has a NaN or infinite figure.</exception>
    public static void Write(Stream stream, IReadOnlyList<Atom> atoms)
    {
        foreach (var atom in atoms)
        {
            CheckFinite(atom.Id, [atom.Share, atom.CoherenceReference, .. (atom.Modules ?? []).Select(module => (double?)module.Share)]);
            foreach (var pole in atom.Poles)
            {
                CheckFinite(pole.Id, [pole.Coherence, pole.CoherenceRaw, pole.CoherenceNull, pole.Separation, pole.SeparationNull, pole.Recurrence, pole.Resampled, pole.Agreement, pole.CodingGain, .. (pole.Confounders ?? []).Select(confounder => (double?)confounder.Explained), .. pole.Top.Select(document => (double?)document.Code)]);
            }
        }

        JsonSerializer.Serialize(stream, new AtomsJson { Schema = SchemaName, Version = NewestVersion, Atoms = atoms }, RunJson.Indented);
        stream.WriteByte((byte)'\n');
    }

    /// <summary>Reads the file.</summary>
    /// <param name="path">Of a run's <c>atoms.json</c>.</param>
    /// <exception cref="RunFolderException">GA2607 it is missing; GA2605 it is of a newer version; GA2609 it cannot be read.</exception>
    public static IReadOnlyList<Atom> Read(string path)
    {
        var file = FormatGuard.ReadJson<AtomsJson>(path, SchemaName, NewestVersion);
        return file.Atoms is { } atoms && atoms.All(IsWhole) ? atoms : throw FormatGuard.Damaged(path, "an atom or pole lacks its id or documents");
    }

    private static bool IsWhole(Atom? atom) => atom is { Id: not null, Poles: not null } && (atom.Modules is null || atom.Modules.All(module => module?.Name is not null))
        && atom.Poles.All(pole => pole is { Id: not null, Top: not null, Sign: 1 or -1 } && pole.Top.All(document => document?.Id is not null));

    private static void CheckFinite(string id, double?[] values)
    {
        if (values.Any(value => value is { } number && !double.IsFinite(number)))
        {
            throw new NumericalException($"atom {id}", "has a figure that is NaN or infinite", "Report it with the run's run.json: the stages before should have stopped.");
        }
    }

    private sealed record AtomsJson : IVersionedJson
    {
        public required string Schema { get; init; }

        public required int Version { get; init; }

        public required IReadOnlyList<Atom> Atoms { get; init; }
    }
}
