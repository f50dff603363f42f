using GradientAtoms.Evaluation;

namespace GradientAtoms.Bench.Scoring;

/// <summary>Prints scores.</summary>
internal static class ScoreTable
{
    public const string Header = "| what | non-zeros | tasks F1 >= .5 | mean best F1 (chance) | AMI |\n| --- | --- | --- | --- | --- |";

    public static void Print(string name, LabelScores scores, bool withTasks)
    {
        Console.WriteLine(FormattableString.Invariant(
            $"| {name} | {scores.MeanNonzeros:f2} | {scores.TasksFound} of {scores.Tasks.Count} | {scores.MeanBestF1:f3} ({scores.MeanBestF1ByChance:f3}) | {scores.AdjustedMutualInformation:f3} |"));
        if (!withTasks)
            return;
        Console.WriteLine("\n| task | documents | best F1 | pole |\n| --- | --- | --- | --- |");
        foreach (var task in scores.Tasks.OrderByDescending(task => task.BestF1))
            Console.WriteLine(FormattableString.Invariant($"| {task.Task} | {task.Documents} | {task.BestF1:f3} | {task.Atom}{(task.Sign > 0 ? "+" : "-")} |"));
    }
}
