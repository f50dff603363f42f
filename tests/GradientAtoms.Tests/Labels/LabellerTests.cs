using GradientAtoms.Runs;
using GradientAtoms.Runs.Labels;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Tests.Cli;

namespace GradientAtoms.Tests.Labels;

public sealed class LabellerTests : IDisposable
{
    private readonly LabelledRun _run = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => _run.Dispose();

    [Fact]
    public async Task Labels_are_made_from_one_half_of_a_poles_documents_and_scored_on_the_other_among_decoys()
    {
        using var model = new ScriptedModel();
        var result = await Labeller.RunAsync(_run.Path, model, cancellationToken: Cancellation);
        Assert.Equal((4, 0), (result.Made, result.Kept));
        Assert.Equal(8, model.Requests.Count);
        using var folder = _run.Open();
        var texts = RunReader.ReadTexts(folder).ToDictionary(text => text.Id, text => text.Prompt, StringComparer.Ordinal);
        foreach (var (pole, kind) in LabelledRun.Poles.Zip(LabelledRun.Kinds))
        {
            var label = LabelsFile.Read(folder)[pole];
            Assert.Equal((kind.Label, "script-1", LabelPrompts.Version, false), (label.Text, label.Model, label.Prompt, label.ByPerson));
            Assert.Equal((14, 14), (label.Score!.Right, label.Score.Total)); // 7 of the pole, 7 decoys
            Assert.True(label.Score.Low > label.Score.Chance);
            Assert.Equal((2, 14L), (label.Requests, label.OutputTokens));

            // Of each pole one request made the label and one scored it, on other documents.
            var place = Array.IndexOf(LabelledRun.Poles, pole);
            var judged = model.Requests[(place * 2) + 1];
            Assert.Equal(8, label.MadeFrom!.Count);
            Assert.All(label.MadeFrom, id => Assert.Contains($"asked: {texts[id]}\n", model.Requests[place * 2], StringComparison.Ordinal));
            Assert.All(label.MadeFrom, id => Assert.DoesNotContain($"asked: {texts[id]}\n", judged, StringComparison.Ordinal));
        }

        Assert.Equal("rhymes", RunReader.ReadAtoms(folder)[0].Poles[0].Label);
    }

    [Fact]
    public async Task Wrong_labels_score_no_better_than_guessing_and_empty_ones_as_guessing()
    {
        string[] next = ["sums", "refusals", "shouts", "rhymes"];
        using var wrong = new ScriptedModel(label => next[Array.IndexOf([.. LabelledRun.Kinds.Select(kind => kind.Label)], label)]);
        var scores = (await Labeller.RunAsync(_run.Path, wrong, cancellationToken: Cancellation)).Labels.Values.Select(label => label.Score!).ToList();
        Assert.All(scores, score => Assert.True(score.Low <= score.Chance, $"{score}"));
        Assert.True(scores.Average(score => score.Accuracy) <= 0.5);
        using var empty = new ScriptedModel(_ => "a chat");
        Assert.All((await Labeller.RunAsync(_run.Path, empty, new() { Again = true }, cancellationToken: Cancellation)).Labels.Values, label => Assert.Equal(0.5, label.Score!.Accuracy));
    }

    [Fact]
    public async Task What_is_labelled_is_not_asked_again_and_a_persons_label_stays_whatever_is_asked()
    {
        Labeller.Set(_run.Path, LabelledRun.Poles[2], "  says \n no ");
        using var first = new ScriptedModel();
        var result = await Labeller.RunAsync(_run.Path, first, new() { Poles = [LabelledRun.Poles[0], LabelledRun.Poles[2]] }, cancellationToken: Cancellation);
        Assert.Equal((1, 1, 2), (result.Made, result.Kept, first.Requests.Count));
        using var second = new ScriptedModel();
        Assert.Equal((2, 2), ((result = await Labeller.RunAsync(_run.Path, second, cancellationToken: Cancellation)).Made, result.Kept));
        using var third = new ScriptedModel(_ => "another");
        result = await Labeller.RunAsync(_run.Path, third, new() { Again = true }, cancellationToken: Cancellation);
        Assert.Equal((3, 1), (result.Made, result.Kept));
        Assert.Equal(("says no", true), (result.Labels[LabelledRun.Poles[2]].Text, result.Labels[LabelledRun.Poles[2]].ByPerson));
        Assert.Equal("another", result.Labels[LabelledRun.Poles[0]].Text);
        Labeller.Set(_run.Path, LabelledRun.Poles[2], "");
        using var folder = _run.Open();
        Assert.False(LabelsFile.Read(folder).ContainsKey(LabelledRun.Poles[2]));
    }

    [Theory]
    [InlineData("")]
    [InlineData("I cannot say.")]
    [InlineData("{\"label\": 7}")]
    [InlineData("{\"label\": \" \"}")]
    [InlineData("{ {\"label\"")]
    [InlineData("[\"label\"]")]
    public async Task A_reply_that_cannot_be_used_is_asked_for_again_and_gives_no_label_in_the_end(string reply)
    {
        using var model = new ScriptedModel(instead: _ => reply);
        var result = await Labeller.RunAsync(_run.Path, model, cancellationToken: Cancellation);
        Assert.Equal((0, 3, 9), (result.Made, result.Failed.Count, model.Requests.Count)); // three poles of three attempts, then no more
        Assert.Empty(result.Labels);
        var mended = 0;
        using var better = new ScriptedModel(instead: _ => mended++ == 0 ? reply : null);
        Assert.Equal(4, (await Labeller.RunAsync(_run.Path, better, cancellationToken: Cancellation)).Made);
    }

    [Theory]
    [InlineData("{\"fits\": [1, 99]}")]
    [InlineData("{\"fits\": [0]}")]
    [InlineData("{\"fits\": [1.5]}")]
    [InlineData("{\"fits\": \"all\"}")]
    [InlineData("{}")]
    public void Numbers_that_are_none_of_the_chats_are_no_judgement(string reply) => Assert.Null(LabelPrompts.ReadFits(reply, 14));

    [Fact]
    public void Without_an_endpoint_the_command_shows_what_it_would_send_and_keeps_nothing()
    {
        var told = CliRun.Of("label", _run.Path);
        Assert.True(told.ExitCode == 0, told.Error);
        Assert.Contains("Nothing was sent", told.Out, StringComparison.Ordinal);
        Assert.Contains("4 poles", told.Out, StringComparison.Ordinal);
        Assert.Contains("asked: a rhyme on the", told.Out, StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(_run.Path, LabelsFile.Name)));
    }

    [Fact]
    public void A_label_by_hand_is_listed_and_shown_as_such()
    {
        var told = CliRun.Of("label", _run.Path, LabelledRun.Poles[3], "answers <in capitals>");
        Assert.True(told.ExitCode == 0, told.Error);
        Assert.Contains("answers <in capitals>", CliRun.Of("atoms", _run.Path).Out, StringComparison.Ordinal);
        Assert.Contains("label: answers <in capitals> (by hand)", CliRun.Of("atoms", _run.Path, LabelledRun.Poles[3]).Out, StringComparison.Ordinal);
        Assert.Equal(2, CliRun.Of("label", _run.Path, "zzz+", "text").ExitCode);
    }

    [Theory]
    [InlineData("GA1002", "--endpoint", "http://localhost:1/v1")]
    [InlineData("GA1001", "--endpoint", "localhost", "--model", "m")]
    [InlineData("GA1001", "--endpoint", "http://localhost:1/v1", "--model", "m", "--key-env", "NOT_SET")]
    public void Arguments_that_cannot_be_are_refused_before_anything_is_sent(string code, params string[] arguments)
    {
        var told = CliRun.Of(["label", _run.Path, .. arguments]);
        Assert.Equal(2, told.ExitCode);
        Assert.Contains(code, told.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_of_labels_that_is_damaged_is_named()
    {
        File.WriteAllText(Path.Combine(_run.Path, LabelsFile.Name), "{\"schema\": \"gatoms/labels\", \"version\": 1, \"labels\": [{\"pole\": \"x\"}]}");
        using var folder = _run.Open();
        Assert.Equal("GA2609", Assert.Throws<RunFolderException>(() => LabelsFile.Read(folder)).Code);
    }
}
