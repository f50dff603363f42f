using GradientAtoms.Evaluation;

namespace GradientAtoms.Bench.Scoring;

/// <summary><c>score</c>: a run's codes against labels.</summary>
internal static class ScoreCommand
{
    public static int Run(Arguments arguments)
    {
        var labels = ScoringFiles.Labels(arguments.Need("labels"), arguments.Integer("limit", int.MaxValue));
        var path = arguments.Need("codes");
        if (!arguments.Has("limit"))
        {
            var audited = (arguments.Text("documents") is { } documents
                ? ScoringFiles.Table(documents, "id").Select(fields => fields[0])
                : ScoringFiles.Table(path, "document").Select(fields => fields[0])).ToHashSet(StringComparer.Ordinal);
            labels = [.. labels.Where(label => audited.Contains(label.Id))];
        }

        var codes = ScoringFiles.Codes(path, [.. labels.Select(label => label.Id)]);
        if (codes.Values.Length == 0)
            throw new FormatException($"no document of {path} has a label");
        var scores = LabelScores.Of(codes, [.. labels.Select(label => label.Task)], new()
        {
            MinimumTask = arguments.Integer("minimum-task", 8),
            Background = arguments.Text("background") ?? "general",
            Seed = arguments.Integer("seed", 0),
        });
        Console.WriteLine($"{codes.DocumentCount} documents\n\n{ScoreTable.Header}");
        ScoreTable.Print(Path.GetFileName(path), scores, withTasks: true);
        return 0;
    }
}
