using System.Text.Json;
using GradientAtoms.Demo.Planting;
using GradientAtoms.Evaluation;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Stages;

namespace GradientAtoms.Demo.Play;

/// <summary>Codes and labels in; which behaviours were found out. The first stage that sees the labels.</summary>
internal static class ScoreStage
{
    public const string Name = "score";
    public const string File = "behaviours.json";

    /// <summary>A pole has found a behaviour where precision and recall are at least this.</summary>
    public const double Enough = 0.8;

    public static Stage Create(DemoOptions options) => new()
    {
        Name = Name,
        DependsOn = [WorldStage.Name, "dictionary", "atoms"],
        Run = context =>
        {
            context.Progress?.Report(new(Name, 0, 1, "tables"));
            using var session = new RunSession(options.Out);
            var found = Score(session, options.World(), Labels(session));
            context.WriteText(File, JsonSerializer.Serialize(found, RunJson.Indented) + "\n");
            context.Notes["found"] = found.Count(behaviour => behaviour.Found);
            context.Progress?.Report(new(Name, 1, 1, "tables", $"{found.Count(behaviour => behaviour.Found)} of {found.Count} behaviours found"));
        },
    };

    public static IReadOnlyList<FoundBehaviour> Read(Runs.RunFolder run) => JsonSerializer.Deserialize<List<FoundBehaviour>>(System.IO.File.ReadAllText(run.Need(File)), RunJson.Indented)!;

    // One a coded document, in the order of the codes.
    private static string[] Labels(RunSession session)
    {
        var labels = System.IO.File.ReadLines(session.Folder.Need(WorldStage.Labels)).Select(line => JsonDocument.Parse(line).RootElement)
            .ToDictionary(row => row.GetProperty("id").GetString()!, row => row.GetProperty("task").GetString()!, StringComparer.Ordinal);
        return [.. session.Texts.Select(text => labels[text.Id])];
    }

    private static List<FoundBehaviour> Score(RunSession session, PlantedWorld world, string[] labels)
    {
        var detections = Detection.Of(session.Codes, labels).ToDictionary(detection => detection.Label, StringComparer.Ordinal);
        var poles = session.Atoms.SelectMany(atom => atom.Poles.Select(pole => (Key: (atom.Row, pole.Sign), Pole: pole))).ToDictionary(pair => pair.Key, pair => pair.Pole);
        return [.. world.Behaviours.Select(behaviour =>
        {
            // A very rare behaviour has no chat at all in a small world.
            var detection = detections.GetValueOrDefault(behaviour.Name) ?? new(behaviour.Name, 0, 0, 0, -1, 0);
            var pole = poles.GetValueOrDefault((detection.Atom, detection.Sign));
            return new FoundBehaviour
            {
                Name = behaviour.Name,
                About = behaviour.About,
                IsFormat = behaviour.IsFormat,
                Rate = (double)detection.Documents / labels.Length,
                Found = pole is not null && detection.Worse >= Enough,
                Precision = detection.Precision,
                Recall = detection.Recall,
                Pole = pole?.Id,
                Coherence = pole?.Coherence,
            };
        })];
    }
}
