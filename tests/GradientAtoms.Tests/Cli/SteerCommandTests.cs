using System.Text.Json.Nodes;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Steps;
using GradientAtoms.Steering;

namespace GradientAtoms.Tests.Cli;

/// <summary>What <c>gatoms steer</c> prints is what the library generates.</summary>
public sealed class SteerCommandTests(FinishedRun finished) : IClassFixture<FinishedRun>
{
    [Fact]
    public void The_answers_are_those_of_the_library_to_the_prompts_in_the_chat_template()
    {
        var folder = finished.Audit.Folder["run"];
        using var session = new RunSession(folder);
        var pole = session.Atoms[0].Poles[0].Id;
        string[] asked = ["2 and 3", "a rhyme on the mill"];
        var run = CliRun.Of("steer", folder, pole, "--step", "3", "--max-new-tokens", "6", "--prompts", finished.Audit.Folder.Write("prompts.txt", string.Join('\n', asked) + "\n\n"), "--json");
        Assert.True(run.ExitCode == 0, run.Error);

        using var step = PoleStep.Choose(session, pole, new() { Step = 3 });
        var loaded = session.Model.Loaded;
        var prompts = asked.Select(text => loaded.Tokenizer.Encode($"<bos>user: {text}<eos><bos>assistant: ")).ToList();
        var expected = SideBySide.Generate(loaded.Model, session.Adapter, step.Direction, 3, prompts, new() { MaxNewTokens = 6, StopIds = loaded.StopIds });
        var answers = JsonNode.Parse(run.Out)!["answers"]!.AsArray();
        Assert.Equal(asked, answers.Select(answer => (string?)answer!["prompt"]));
        Assert.Equal(expected.Select(answer => loaded.Tokenizer.Decode(answer.Unsteered.Tokens, skipSpecialTokens: true).Trim()), answers.Select(answer => (string?)answer!["unsteered"]));
        Assert.Equal(expected.Select(answer => loaded.Tokenizer.Decode(answer.Steered.Tokens, skipSpecialTokens: true).Trim()), answers.Select(answer => (string?)answer!["steered"]));
        Assert.Contains(expected, answer => answer.CommonTokens < answer.Steered.Tokens.Count); // the step is seen
    }

    [Fact]
    public void A_prompt_beyond_the_context_is_refused_before_anything_is_measured()
    {
        using var session = new RunSession(finished.Audit.Folder["run"]);
        var run = CliRun.Of("steer", session.Folder.Path, session.Atoms[0].Poles[0].Id, "--prompt", string.Concat(Enumerable.Repeat("lemon ", session.Model.Loaded.Model.ContextLength)));
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("shorten the prompt", run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("calibration", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void The_strength_is_measured_on_the_neutral_texts_that_are_given()
    {
        var folder = finished.Audit.Folder["run"];
        using var session = new RunSession(folder);
        var pole = session.Atoms[0].Poles[0].Id;
        var own = finished.Audit.Folder.Write("neutral.jsonl", """{"id": "1", "messages": [{"role": "user", "content": "2 and 3"}, {"role": "assistant", "content": "5"}]}""" + "\n");
        double Measured(params string[] more)
        {
            var run = CliRun.Of(["steer", folder, pole, "--prompt", "2 and 3", "--max-new-tokens", "1", "--json", .. more]);
            Assert.True(run.ExitCode == 0, run.Error);
            return (double)JsonNode.Parse(run.Out)!["step"]!["kl_measured"]!;
        }

        using var expected = PoleStep.Choose(session, pole, new() { Neutral = own });
        var kl = expected.Calibration!.Chosen.Neutral.Mean;
        Assert.Equal(kl, Measured("--neutral", own), 1e-5 * kl);
        Assert.NotEqual(kl, Measured(), 0.01 * kl);
        Assert.Equal(3, CliRun.Of("steer", folder, pole, "--prompt", "x", "--neutral", finished.Audit.Folder["absent.jsonl"]).ExitCode);
        Assert.Equal(2, CliRun.Of("steer", folder, pole, "--prompt", "x", "--neutral", own, "--step", "1").ExitCode);
    }
}
