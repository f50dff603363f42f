using System.Text.Json;
using System.Text.Json.Serialization;
using GradientAtoms.Atoms;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Formats;

namespace GradientAtoms.Runs.Labels;

/// <summary>How well a label tells a pole's documents from those of other poles: documents that it was not made from, shuffled among as many others.</summary>
/// <param name="Right">Documents that were told right.</param>
/// <param name="Total">Documents that were judged.</param>
/// <param name="Low">Wilson's interval of 95 % of the accuracy.</param>
/// <param name="High">Its upper end.</param>
/// <param name="Chance">The accuracy of guessing.</param>
public sealed record LabelScore(int Right, int Total, double Low, double High, double Chance)
{
    /// <summary>The share that was told right.</summary>
    [JsonIgnore]
    public double Accuracy => (double)Right / Total;
}

/// <summary>A pole's label and where it comes from.</summary>
public sealed record PoleLabel
{
    /// <summary>The pole's id.</summary>
    public required string Pole { get; init; }

    /// <summary>The label.</summary>
    public required string Text { get; init; }

    /// <summary>Whether a person wrote it: then no endpoint is asked for it.</summary>
    public bool ByPerson { get; init; }

    /// <summary>The model that the endpoint was asked for; null of a person's.</summary>
    public string? Model { get; init; }

    /// <summary>The endpoint's address; null of a person's.</summary>
    public string? Endpoint { get; init; }

    /// <summary>The version of the words that it was asked with (<see cref="LabelPrompts.Version"/>), and the documents that it was shown.</summary>
    public string? Prompt { get; init; }

    /// <summary>The documents of the pole that it was made from.</summary>
    public IReadOnlyList<string>? MadeFrom { get; init; }

    /// <summary>How well it tells the pole's other documents; null of a person's.</summary>
    public LabelScore? Score { get; init; }

    /// <summary>Tokens that were sent, as the endpoint counts; null where it does not say.</summary>
    public long? InputTokens { get; init; }

    /// <summary>Tokens that came back.</summary>
    public long? OutputTokens { get; init; }

    /// <summary>Requests that it took, those with unusable replies among them.</summary>
    public int? Requests { get; init; }
}

/// <summary><c>labels.json</c>: the labels of a run's poles. It is no output of a stage: people edit it through <c>gatoms label</c>.</summary>
public static class LabelsFile
{
    /// <summary>Where it lies in a run.</summary>
    public const string Name = "labels.json";

    private const string SchemaName = "gatoms/labels";

    /// <summary>The labels of a run by pole; none where there is no file.</summary>
    /// <exception cref="RunFolderException">GA2605 the file is of a newer version; GA2609 it cannot be read.</exception>
    public static IReadOnlyDictionary<string, PoleLabel> Read(RunFolder run)
    {
        var path = run.PathOf(Name);
        if (!File.Exists(path))
        {
            return new Dictionary<string, PoleLabel>(StringComparer.Ordinal);
        }

        var file = FormatGuard.ReadJson<LabelsJson>(path, SchemaName, 1);
        return file.Labels is { } labels && labels.All(label => label is { Pole: not null, Text: not null })
            ? labels.DistinctBy(label => label.Pole, StringComparer.Ordinal).ToDictionary(label => label.Pole, StringComparer.Ordinal)
            : throw FormatGuard.Damaged(path, "a label lacks its pole or text");
    }

    /// <summary>Atoms with the labels of a run on their poles.</summary>
    /// <param name="run">The run.</param>
    /// <param name="atoms">Its atoms.</param>
    public static IReadOnlyList<Atom> Apply(RunFolder run, IReadOnlyList<Atom> atoms)
    {
        var labels = Read(run);
        return labels.Count == 0 ? atoms : [.. atoms.Select(atom => atom with { Poles = [.. atom.Poles.Select(pole => labels.TryGetValue(pole.Id, out var label) ? pole with { Label = label.Text } : pole)] })];
    }

    /// <summary>Replaces the file.</summary>
    internal static void Write(RunFolder run, IEnumerable<PoleLabel> labels) => AtomicFile.WriteText(
        run.PathOf(Name),
        JsonSerializer.Serialize(new LabelsJson { Labels = [.. labels.OrderBy(label => label.Pole, StringComparer.Ordinal)] }, RunJson.Indented) + "\n");

    private sealed record LabelsJson : IVersionedJson
    {
        public string Schema { get; init; } = SchemaName;

        public int Version { get; init; } = 1;

        public required IReadOnlyList<PoleLabel> Labels { get; init; }
    }
}
