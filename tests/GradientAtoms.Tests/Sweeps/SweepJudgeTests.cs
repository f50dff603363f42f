using System.Text.Json.Nodes;
using GradientAtoms.Evaluation.Sweeps;
using GradientAtoms.Runs.Labels;
using GradientAtoms.Runs.Sweeps;
using GradientAtoms.Tests.Cli;
using GradientAtoms.Tests.Labels;

namespace GradientAtoms.Tests.Sweeps;

/// <summary>Answers of a tiny sweep judged by a chat model that follows a script.</summary>
public sealed class SweepJudgeTests(SweptRun swept) : IClassFixture<SweptRun>
{
    [Theory]
    [InlineData("yes", true)]
    [InlineData(" No.\n", false)]
    [InlineData("Yes, it does", null)]
    [InlineData("maybe", null)]
    [InlineData("", null)]
    public void A_reply_is_one_word_or_no_verdict(string reply, bool? expected) => Assert.Equal(expected, JudgePrompts.Read(reply));

    [Fact]
    public void Verdicts_give_the_rates_and_are_asked_for_once_and_blind()
    {
        using var model = new ScriptedModel(instead: _ => "Yes.");
        var report = Run("judged", model);
        var judge = report.Judge!;
        Assert.True(judge.Yes > 0);
        Assert.Equal((0, 0, 0, judge.Yes, 7L * judge.Yes), (judge.No, judge.Failed, judge.NotRun, judge.Requests, judge.OutputTokens));
        Assert.Equal(judge.Yes, model.Requests.Count);
        Assert.All(Rows(report).Where(row => row.Answers > 0), row => Assert.Equal(1, row.Rate));
        Assert.All(model.Requests, request => Assert.DoesNotContain(swept.Pole[..^1], request, StringComparison.Ordinal));
        Assert.All(model.Requests, request => Assert.DoesNotContain("@", request, StringComparison.Ordinal));
        var answers = Lines("judged", "answers.jsonl").Select(line => (string)line["key"]!).ToHashSet();
        Assert.All(Lines("judged", "verdicts.jsonl"), line => Assert.Contains((string)line["answer"]!, answers));

        using var again = new ScriptedModel(instead: _ => "No");
        Assert.Equal(judge.Yes, Run("judged", again).Judge!.Yes);
        Assert.Empty(again.Requests);
    }

    [Fact]
    public void Replies_that_are_no_verdict_and_requests_that_fail_are_failed_and_asked_for_again()
    {
        var count = 0;
        using var model = new ScriptedModel(instead: _ => (count++ % 3) switch { 0 => "No", 1 => "perhaps", _ => throw new LabelException("GA5050", "here", "did not reply", "wait") });
        var report = Run("failing", model);
        var judge = report.Judge!;
        Assert.True(judge is { No: > 0, Failed: > 0, Yes: 0, NotRun: 0 });
        Assert.Equal(count - ((count + 2) / 3), judge.Failed);
        Assert.All(Rows(report).Where(row => row.Answers > 0), row => Assert.Equal(0, row.Rate));
        Assert.Contains(Rows(report), row => row.Failed > 0);
        using var mended = new ScriptedModel(instead: _ => "yes");
        var after = Run("failing", mended).Judge!;
        Assert.Equal((judge.Failed, judge.No, 0), (mended.Requests.Count, after.No, after.Failed));
        Assert.Equal(count + judge.Failed, after.Requests);
    }

    [Fact]
    public void An_endpoint_that_is_gone_is_not_asked_for_every_answer()
    {
        using var model = new ScriptedModel(instead: _ => throw new LabelException("GA5050", "here", "cannot be reached", "wait"));
        var report = Run("gone", model);
        Assert.Equal((3, 3), (model.Requests.Count, report.Judge!.Failed));
        Assert.True(report.Judge.NotRun > 0);
        Assert.All(Rows(report), row => Assert.Null(row.Rate));
    }

    [Fact]
    public void Without_an_endpoint_nothing_is_sent_and_what_would_be_is_told()
    {
        var report = Run("preview", null);
        Assert.Equal(report.Judge!.NotRun, report.Judge.WouldSend!.Requests);
        Assert.Contains("Is it loud?", report.Judge.WouldSend.First[1].Content, StringComparison.Ordinal);
        Assert.All(Rows(report), row => Assert.Equal(SweepStatus.NotRun, row.Status == SweepStatus.Failed ? SweepStatus.NotRun : row.Status));
        Assert.Empty(Lines("preview", "verdicts.jsonl"));
    }

    [Theory]
    [InlineData("GA1002", "--endpoint", "http://localhost:1/v1")]
    [InlineData("GA1002", "--judge", "well?", "--endpoint", "http://localhost:1/v1")]
    [InlineData("GA1001", "--judge", "well?", "--endpoint", "localhost", "--judge-model", "m")]
    public void Arguments_that_cannot_be_are_refused_before_anything_is_sent(string code, params string[] arguments)
    {
        var told = CliRun.Of(["sweep", swept.Run, swept.Pole, .. arguments]);
        Assert.Equal(2, told.ExitCode);
        Assert.Contains(code, told.Error, StringComparison.Ordinal);
    }

    private static IEnumerable<SweepRow> Rows(SweepReport report) => report.Poles[0].Rows.Where(row => row.Detector == "judge:Is it loud?");

    private SweepReport Run(string name, ScriptedModel? model) => Sweep.Run(swept.Session, SweptRun.Options(swept.Pole) with { Name = name, Judge = new() { Question = "Is it loud?", Client = model, Model = "small" } });

    private List<JsonNode> Lines(string name, string file) => [.. File.ReadLines(Path.Combine(swept.Run, "sweep", name, file)).Select(line => JsonNode.Parse(line)!)];
}
