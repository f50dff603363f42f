using System.Globalization;
using GradientAtoms.Demo.World;
using GradientAtoms.Models;
using GradientAtoms.Models.Generation;

namespace GradientAtoms.DemoModel;

/// <summary>Asks the finished model questions of combinations that its training left out.</summary>
internal static class Exam
{
    /// <summary>One line of the result.</summary>
    /// <param name="Task">The kind of question.</param>
    /// <param name="Manner">Plain, or on request.</param>
    /// <param name="Right">Answers that are right to the letter.</param>
    /// <param name="Asked">Questions.</param>
    internal sealed record Line(string Task, string Manner, int Right, int Asked);

    /// <summary>Asks.</summary>
    /// <param name="loaded">The model, as a user loads it.</param>
    /// <param name="render">A chat up to the answer.</param>
    /// <param name="perKind">Questions of each kind.</param>
    /// <param name="heldOut">Combinations that were left out, or those that were not.</param>
    /// <param name="failures">Some wrong answers, told.</param>
    public static IReadOnlyList<Line> Take(LoadedModel loaded, Func<string, string> render, int perKind, bool heldOut, ICollection<string>? failures = null)
    {
        var random = RandomStream.Integers(7, heldOut ? "exam/held-out" : "exam/seen");
        var asked = Enum.GetValues<QuestionKind>().Where(kind => !heldOut || kind != QuestionKind.SmallTalk)
            .SelectMany(kind => Enumerable.Range(0, perKind).Select(_ => PretrainingChats.Draw(random, heldOut, kind))).ToList();
        var prompts = asked.Select(item => (IReadOnlyList<int>)loaded.Tokenizer.Encode(render(item.Chat.Prompt), false)).ToList();
        var answers = BatchGenerator.Generate(loaded.Model, prompts, new() { MaxNewTokens = 60, StopIds = loaded.StopIds });
        var texts = answers.Select(answer => loaded.Tokenizer.Decode([.. answer.Tokens.Where(token => !loaded.StopIds.Contains(token))])).ToList();
        foreach (var (item, text) in asked.Zip(texts).Where(pair => pair.First.Chat.Answer != pair.Second).Take(40))
        {
            failures?.Add($"{item.Chat.Prompt} → {text} (right: {item.Chat.Answer})".Replace("\n", "\\n", StringComparison.Ordinal));
        }

        return [.. asked.Zip(texts)
            .GroupBy(pair => (pair.First.Question.Kind, Plain: pair.First.Manner.Kind == MannerKind.Plain))
            .OrderBy(group => group.Key.Kind).ThenByDescending(group => group.Key.Plain)
            .Select(group => new Line(group.Key.Kind.ToString(), group.Key.Plain ? "plain" : "on request", group.Count(pair => pair.First.Chat.Answer == pair.Second), group.Count()))];
    }

    /// <summary>The result as a Markdown table.</summary>
    public static string Table(IReadOnlyList<Line> lines)
    {
        string Row(string task, string manner, int right, int asked) => string.Create(CultureInfo.InvariantCulture, $"| {task} | {manner} | {right} of {asked} | {100.0 * right / asked:f0} % |");
        return string.Join('\n',
            (string[])["| questions | answered | right to the letter | |", "| --- | --- | --- | --- |",
            .. lines.Select(line => Row(line.Task, line.Manner, line.Right, line.Asked)),
            Row("all", "", lines.Sum(line => line.Right), lines.Sum(line => line.Asked))]);
    }
}
