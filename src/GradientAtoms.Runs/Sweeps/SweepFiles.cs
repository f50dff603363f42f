using System.Globalization;
using System.Text;
using System.Text.Json;
using GradientAtoms.Runs.Files;

namespace GradientAtoms.Runs.Sweeps;

/// <summary>Writes what a sweep found: <c>sweep.json</c>, <c>sweep.csv</c>, <c>questions.jsonl</c> and a figure a pole.</summary>
internal static class SweepFiles
{
    public const string Folder = "sweep";
    public const string Answers = "answers.jsonl";
    public const string Verdicts = "verdicts.jsonl";
    public const string Losses = "losses.jsonl";
    public const string Report = "sweep.json";
    public const string Table = "sweep.csv";
    public const string Questions = "questions.jsonl";

    private static readonly (string Name, Func<SweepRow, object?> Value)[] Columns =
    [
        ("pole", row => row.Pole), ("detector", row => row.Detector), ("arm", row => row.Arm), ("kind", row => row.Kind), ("kl", row => row.Kl), ("group", row => row.Group),
        ("status", row => row.Status), ("answers", row => row.Answers), ("failed", row => row.Failed), ("not_run", row => row.NotRun), ("shown", row => row.Shown),
        ("rate", row => row.Rate), ("low", row => row.Low), ("high", row => row.High), ("change", row => row.Change), ("change_low", row => row.ChangeLow),
        ("change_high", row => row.ChangeHigh), ("gained", row => row.Gained), ("lost", row => row.Lost), ("p", row => row.P), ("p_corrected", row => row.PCorrected),
    ];

    public static void Write(string folder, SweepReport report, IReadOnlyList<(string Pole, AskedQuestion Asked)> questions)
    {
        AtomicFile.WriteText(Path.Combine(folder, Questions), string.Concat(questions.Select(question => JsonSerializer.Serialize(
            new { question.Pole, question.Asked.Question.Id, question.Asked.Question.Group, question.Asked.Question.Half, question.Asked.Source, question.Asked.Prompt }, RunJson.Compact) + "\n")));
        AtomicFile.WriteText(Path.Combine(folder, Table), Csv(report));
        foreach (var pole in report.Poles)
        {
            AtomicFile.WriteText(Path.Combine(folder, $"{pole.Pole}.svg"), SweepFigure.Draw(pole));
        }

        AtomicFile.WriteText(Path.Combine(folder, Report), JsonSerializer.Serialize(report, RunJson.Indented) + "\n");
    }

    private static string Csv(SweepReport report)
    {
        var text = new StringBuilder().AppendJoin(',', Columns.Select(column => column.Name)).Append("\r\n");
        foreach (var row in report.Poles.SelectMany(pole => pole.Rows))
        {
            text.AppendJoin(',', Columns.Select(column => Cell(column.Value(row)))).Append("\r\n");
        }

        return text.ToString();
    }

    private static string Cell(object? value) => value switch
    {
        null => string.Empty,
        string text when text.AsSpan().IndexOfAny(",\"\r\n") >= 0 => $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"",
        Enum => JsonNamingPolicy.SnakeCaseLower.ConvertName(value.ToString()!),
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString()!,
    };
}
