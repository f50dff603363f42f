using System.Text.Json;
using GradientAtoms.Atoms;
using GradientAtoms.Localisation;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Runs.Formats;

/// <summary>A head, or a part of a fused projection, of a module.</summary>
/// <param name="Module">As the checkpoint spells it.</param>
/// <param name="Side"><c>writes</c>: rows of lora_B. <c>reads</c>: columns of lora_A.</param>
/// <param name="Part"><c>q</c>, <c>k</c>, <c>v</c>, <c>o</c>, <c>gate</c> or <c>up</c>.</param>
/// <param name="Head">Counted from 0; null where the part has no heads.</param>
public sealed record NamedSegment(string Module, string Side, string Part, int? Head);

/// <summary>Where an atom lies below its modules, as shares of its squared norm in the weights.</summary>
/// <param name="Atom">Its id.</param>
/// <param name="Written">Share in rows of lora_B, of all modules; the rest is in lora_A.</param>
/// <param name="Segments">By head and part, in the order of <see cref="AtomPlaces.Segments"/>.</param>
/// <param name="Neurons">The rows of lora_B that it writes to most.</param>
public sealed record AtomPlace(string Atom, double Written, IReadOnlyList<double> Segments, IReadOnlyList<NeuronValue> Neurons);

/// <summary>Where the atoms of a run lie: <c>places.json</c>.</summary>
public sealed record AtomPlaces : IVersionedJson
{
    /// <inheritdoc/>
    public string Schema { get; init; } = PlacesFile.SchemaName;

    /// <inheritdoc/>
    public int Version { get; init; } = PlacesFile.NewestVersion;

    /// <summary>Heads and parts.</summary>
    public required IReadOnlyList<NamedSegment> Segments { get; init; }

    /// <summary>In the order of <c>atoms.json</c>.</summary>
    public required IReadOnlyList<AtomPlace> Atoms { get; init; }
}

/// <summary>Reads and writes <c>places.json</c>.</summary>
public static class PlacesFile
{
    /// <summary>Its name in a run.</summary>
    public const string Name = "places.json";

    internal const string SchemaName = "gatoms/places";
    internal const int NewestVersion = 1;

    /// <summary>The places of a run's atoms; null where they are not known: its atoms are of sketches, or it was made before there were places.</summary>
    /// <exception cref="RunFolderException">GA2605 it is of a newer version; GA2607 it is missing; GA2609 it cannot be read.</exception>
    public static AtomPlaces? Read(RunFolder run)
    {
        ArgumentNullException.ThrowIfNull(run);
        if (run.Manifest.Stage(AtomsStage.Name)?.Outputs.Any(output => output.Path == Name) != true)
        {
            return null;
        }

        var path = run.Need(Name);
        var places = FormatGuard.ReadJson<AtomPlaces>(path, SchemaName, NewestVersion);
        return places is { Segments: not null, Atoms: not null } && places.Atoms.All(atom => atom is { Atom: not null, Neurons: not null } && atom.Segments?.Count == places.Segments.Count)
            ? places
            : throw FormatGuard.Damaged(path, "an atom lacks segments");
    }

    internal static NamedSegment NameOf(PlaceSegment segment) => new(segment.Module, segment.Side.ToString().ToLowerInvariant(), segment.Segment.Part, segment.Segment.Head);

    internal static string Render(NetworkPlaces places, IReadOnlyList<PlaceSplit> splits, IReadOnlyList<Atom> atoms) => JsonSerializer.Serialize(
        new AtomPlaces
        {
            Segments = [.. places.Segments.Select(NameOf)],
            Atoms = [.. atoms.Select(atom => new AtomPlace(
                atom.Id,
                places.Layout.Maps.Zip(splits[atom.Row].Maps).Where(pair => places.SideOf(pair.First) == PlaceSide.Writes).Sum(pair => pair.Second),
                splits[atom.Row].Segments,
                splits[atom.Row].Neurons))],
        },
        RunJson.Compact) + "\n";
}
