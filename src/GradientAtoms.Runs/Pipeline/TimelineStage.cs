using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Atoms;
using GradientAtoms.Evaluation;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Stages;
using GradientAtoms.Timelines;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>Checkpoints of the fine-tune in; how strongly each pole is present at each of them out.</summary>
internal static class TimelineStage
{
    public const string Name = "timeline";
    public const string File = "timeline.json";
    public const string Table = "timeline.csv";

    public static Stage Create(AuditOptions options, ModelFiles model, IReadOnlyList<(int? Step, string Name, string Folder)> checkpoints, int documents) => new()
    {
        Name = Name,
        Options = new JsonObject { ["documents"] = documents, ["steps"] = new JsonArray([.. checkpoints.Select(checkpoint => (JsonNode?)checkpoint.Step)]) },
        DependsOn = [DocumentsStage.Name, AdapterStage.Name, DictionaryStage.Name, AtomsStage.Name],
        Inputs =
        [
            .. model.WeightInputs,
            .. checkpoints.SelectMany((checkpoint, place) => ExternalInput.FilesOf(string.Create(CultureInfo.InvariantCulture, $"checkpoint/{place + 1:d4}"), checkpoint.Folder, "adapter_config.json", "adapter_model.safetensors")),
        ],
        Run = context => Run(context, options, model, checkpoints, documents),
    };

    /// <summary>Whether a run has a timeline of the atoms that it has now.</summary>
    public static bool IsThere(RunFolder run) => run.Manifest.Stage(Name) is { IsDone: true } record
        && run.Manifest.Stage(AtomsStage.Name) is { IsDone: true } atoms && record.Upstream.GetValueOrDefault(AtomsStage.Name) == atoms.OutputHash;

    private static void Run(StageContext context, AuditOptions options, ModelFiles model, IReadOnlyList<(int? Step, string Name, string Folder)> checkpoints, int documents)
    {
        var texts = RunReader.ReadTexts(context.Folder);
        var tokens = DocumentsStage.ReadTokens(context.Folder, texts);
        var atoms = AtomsFile.Read(context.Folder.Need(RunFiles.Atoms));
        var byAtom = CodesFile.Read(context.Folder.Need(RunFiles.Codes)).Codes.ByAtom();
        var rows = texts.Index().ToDictionary(text => text.Item.Id, text => text.Index, StringComparer.Ordinal);
        var counterparts = new Counterparts([.. texts.Select(text => text.Prompt)], [.. tokens.Select(document => document.TrainedCount)]);
        var poles = new List<(Pole Pole, int[] Group, int[][] Matched)>();
        foreach (var atom in atoms)
        {
            context.CancellationToken.ThrowIfCancellationRequested();
            int[] others = [.. Enumerable.Range(0, texts.Count).Except(byAtom.DocumentsOf(atom.Row).ToArray())];
            foreach (var pole in atom.Poles.Where(pole => pole.Supported))
            {
                int[] group = [.. pole.Top.Take(documents).Select(document => rows[document.Id])];
                poles.Add((pole, group, [.. group.Select(document => counterparts.Of(document, others))]));
            }
        }

        // Only what a pole needs is run: at each checkpoint, documents of poles and those that they are compared with.
        int[] measured = [.. poles.SelectMany(pole => pole.Group.Concat(pole.Matched.SelectMany(several => several))).Distinct().Order()];
        var places = measured.Index().ToDictionary(entry => entry.Item, entry => entry.Index);
        int[] Of(IEnumerable<int> several) => [.. several.Select(document => places[document])];
        var losses = Measure(context, options, model, checkpoints, [.. measured.Select(document => tokens[document])]);
        TimelineCheckpoint[] names = [new("start", 0), .. checkpoints.Select(checkpoint => new TimelineCheckpoint(checkpoint.Name, checkpoint.Step))];
        var curves = poles
            .Select(pole => (pole.Pole, pole.Group, Curve: PresenceCurves.Of(losses, Of(pole.Group), [.. pole.Matched.Select(Of)])))
            .Where(pole => pole.Curve is not null)
            .Select(pole => new PoleTimeline
            {
                Id = pole.Pole.Id,
                Documents = pole.Group.Length,
                Appears = NameOf(pole.Curve!.Appears),
                Grows = NameOf(pole.Curve.Grows),
                Fades = NameOf(pole.Curve.Fades),
                Points = pole.Curve.Points,
            }).ToList();
        string? NameOf(int? place) => place is { } at ? names[at].Name : null;
        context.WriteText(File, JsonSerializer.Serialize(new Timeline(names, curves), RunJson.Indented) + "\n");
        context.WriteText(Table, Csv(names, curves));
        context.Notes["checkpoints"] = checkpoints.Count;
        context.Notes["documents"] = measured.Length;
        context.Notes["poles"] = curves.Count;
        context.Notes["learnt"] = curves.Count(pole => pole.Appears is not null);
    }

    private static List<DocumentLosses> Measure(
        StageContext context, AuditOptions options, ModelFiles model, IReadOnlyList<(int? Step, string Name, string Folder)> checkpoints, IReadOnlyList<Text.Documents.TokenizedDocument> documents)
    {
        var losses = new List<DocumentLosses>();
        for (var place = 0; place <= checkpoints.Count; place++)
        {
            context.Progress?.Report(new(Name, place, checkpoints.Count + 1, "checkpoints"));
            using var adapter = place == 0 ? null : model.LoadAdapter(checkpoints[place - 1].Folder);
            losses.Add(DocumentLosses.Compute(model.Loaded.Model, adapter is null ? [] : [adapter], documents, new() { BatchTokens = options.BatchTokens }, cancellationToken: context.CancellationToken));
        }

        context.Progress?.Report(new(Name, checkpoints.Count + 1, checkpoints.Count + 1, "checkpoints"));
        return losses;
    }

    private static string Csv(TimelineCheckpoint[] checkpoints, List<PoleTimeline> poles)
    {
        var table = new StringBuilder("pole,checkpoint,step,own,others,presence,error\n");
        foreach (var pole in poles)
        {
            foreach (var (checkpoint, point) in checkpoints.Zip(pole.Points))
            {
                table.Append(CultureInfo.InvariantCulture, $"{pole.Id},{checkpoint.Name},{checkpoint.Step},{point.Own:R},{point.Others:R},{point.Presence:R},{point.Error:R}\n");
            }
        }

        return table.ToString();
    }
}
