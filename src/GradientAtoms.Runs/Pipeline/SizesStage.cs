using System.Text.Json;
using GradientAtoms.Certificates;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Stages;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>Coordinates in; how many atoms, and which penalty, leave the most poles that stay. Only of runs that ask for it.</summary>
internal static class SizesStage
{
    public const string Name = "sizes";

    /// <summary>Whether a run tries sizes at all.</summary>
    public static bool IsAsked(AuditOptions options) => options.Auto != SizeQuestion.None;

    public static Stage Create(AuditOptions options) => new()
    {
        Name = Name,
        Options = RunJson.Of(options, "auto", "atoms", "sparsity", "nonzeros", "codes", "seed"),
        DependsOn = [DocumentsStage.Name, CoordinatesStage.Name],
        Run = context => Run(context, options),
    };

    /// <summary>Atoms where nothing says how many.</summary>
    /// <param name="options">The audit's.</param>
    /// <param name="documents">Those that are learnt from.</param>
    public static int UsualAtoms(AuditOptions options, int documents) => options.Atoms ?? Math.Clamp(documents / 8, 1, 200);

    /// <summary>Atoms of each trial, should the search go through: the most that it can take.</summary>
    public static IReadOnlyList<int> Likely(AuditOptions options, int documents)
    {
        var size = new SizeOptions { Question = options.Auto, UsualAtoms = UsualAtoms(options, documents), Seed = options.Seed };
        var ladder = options.Auto is SizeQuestion.Atoms or SizeQuestion.Both ? SizeSearch.Ladder(documents, size.LargestAtoms) : [];
        var largest = ladder.Count > 0 ? ladder[^1] : size.UsualAtoms;
        return [.. ladder, .. ladder.TakeLast(2), .. options.Auto is SizeQuestion.Sparsity or SizeQuestion.Both ? Enumerable.Repeat(largest, SizeSearch.Penalties) : []];
    }

    /// <summary>What was chosen.</summary>
    public static SizeChoice Chosen(StageContext context)
    {
        var notes = context.NotesOf(Name);
        return new((int)notes["atoms"]!, (double?)notes["sparsity"], (string)notes["why"]!);
    }

    private static void Run(StageContext context, AuditOptions options)
    {
        using var scope = NewDisposeScope();
        var learning = DocumentsStage.ReadTexts(context.Folder).Select(text => !text.HeldOut).ToArray();
        using var coordinates = SafetensorsFile.Open(context.Folder.Need(CoordinatesStage.File));
        var rows = coordinates.ReadRaw("rows")[tensor(learning)]; // [documents learnt from, k]
        using var search = new SizeSearch(rows, new()
        {
            Question = options.Auto,
            UsualAtoms = UsualAtoms(options, (int)rows.shape[0]),
            Sparsity = options.Sparsity,
            Nonzeros = options.Nonzeros,
            Codes = options.Codes,
            Seed = options.Seed,
        });
        var points = context.State.Load() is { } saved ? JsonSerializer.Deserialize<List<SizePoint>>(File.ReadAllText(saved.Path), RunJson.Compact)! : [];
        while (search.Next(points) is { } trial)
        {
            context.Progress?.Report(new(Name, points.Count, search.MostTrials, "sizes", points.Count == 0 ? null : Told(points[^1])));
            points.Add(search.Measure(trial, context.CancellationToken));
            context.State.Save(points.Count, stream => JsonSerializer.Serialize(stream, points, RunJson.Compact));
        }

        var chosen = search.Choose(points);
        context.Write(SizesFile.Name, stream => SizesFile.Write(stream, new() { Points = points, Chosen = chosen }));
        context.Notes["tried"] = points.Count;
        context.Notes["atoms"] = chosen.Atoms;
        context.Notes["sparsity"] = chosen.Sparsity;
        context.Notes["why"] = chosen.Why;
        context.Progress?.Report(new(Name, points.Count, points.Count, "sizes", FormattableString.Invariant($"{chosen.Atoms} atoms")));
    }

    private static string Told(SizePoint point) => FormattableString.Invariant($"{point.Atoms} atoms, {point.Nonzeros:0.0} codes a document: {point.Distinct} different poles stay");
}
