using System.Text.Json;
using GradientAtoms.Demo;
using GradientAtoms.Demo.World;
using GradientAtoms.Models;
using GradientAtoms.Models.Generation;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Verification;
using GradientAtoms.Tests.Runs;

namespace GradientAtoms.Tests.Demo;

/// <summary>The whole job on the built-in model, small.</summary>
public sealed class DemoPipelineTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_demo_that_is_stopped_and_goes_on_gives_the_bytes_of_one_that_was_not()
    {
        var whole = Play("whole");
        using var source = new CancellationTokenSource();
        Assert.ThrowsAny<OperationCanceledException>(() => DemoPipeline.Run(Options("stopped"), null, new StopAt("gradients", source), source.Token));
        var continued = Play("stopped");
        Assert.Equal(Outputs("whole"), Outputs("stopped"));
        Assert.Equal(whole.Behaviours, continued.Behaviours);

        var again = Play("whole");
        Assert.True(again.Audit.NothingToDo);
        using var run = RunFolder.OpenRead(_folder["whole"]);
        Assert.True(RunVerifier.Verify(run).Passed);

        // Certified poles are split by loss token too, and both ways have one sum.
        var tokens = TokensFile.Read(run).ToList();
        Assert.Contains(tokens, line => line.Loss is not null);
        Assert.All(tokens.Select(line => (Line: line, Parts: line.Loss ?? line.Position)), split => Assert.Equal(split.Line.Projection, split.Parts.Sum(part => (double)part), 1.1e-3 * split.Parts.Sum(part => Math.Abs((double)part)))); // a thousandth is what the stage allows, and parts are kept with four digits
        Assert.Equal(2, run.Manifest.Stage("tokens")!.Checks.Count(check => check.Passed));

        // The labels name every chat, and no stage of the audit reads them.
        var labels = File.ReadLines(_folder["whole/labels.jsonl"]).Select(line => JsonDocument.Parse(line).RootElement).ToList();
        Assert.Equal(Options("whole").Documents, labels.Count);
        Assert.All(labels, row => Assert.True(row.GetProperty("id").GetString()!.Length > 0 && row.GetProperty("task").GetString()!.Length > 0));
        Assert.Equal(["score", "steer", "world"], run.Manifest.Stages.Where(stage => stage.Name == "world" || stage.Upstream.ContainsKey("world")).Select(stage => stage.Name).Order(StringComparer.Ordinal));
        Assert.Equal(15, whole.Behaviours.Count);
        Assert.All(whole.Behaviours, behaviour => Assert.Equal(behaviour.Found, behaviour is { Precision: >= 0.8, Recall: >= 0.8, Pole: not null }));
        Assert.Equal(whole.Behaviours.Count(behaviour => behaviour.Found), whole.Steered.Count);
    }

    [Fact]
    public void The_built_in_model_answers_what_its_training_left_out()
    {
        using var loaded = LoadedModel.Load(DemoModel.Folder);
        Assert.InRange(new FileInfo(Path.Combine(DemoModel.Folder, "model.safetensors")).Length, 1, 8_000_000);
        var random = RandomStream.Integers(11, "test/exam");
        var asked = Enumerable.Range(0, 200).Select(_ => PretrainingChats.Draw(random, heldOut: true).Chat).ToList();
        var prompts = asked.Select(IReadOnlyList<int> (chat) => loaded.Tokenizer.Encode(loaded.ChatTemplate!.Render([new("user", chat.Prompt)], new() { AddGenerationPrompt = true }))).ToList();
        var answers = BatchGenerator.Generate(loaded.Model, prompts, new() { MaxNewTokens = 60, StopIds = loaded.StopIds });
        var right = asked.Zip(answers).Count(pair => loaded.Tokenizer.Decode([.. pair.Second.Tokens.Where(token => !loaded.StopIds.Contains(token))]) == pair.First.Answer);
        Assert.True(right >= 160, $"{right} of 200");
    }

    private DemoOptions Options(string run) => new() { Out = _folder[run], Seed = 4, Documents = 240, Prompts = 2 };

    private DemoResult Play(string run) => DemoPipeline.Run(Options(run));

    private List<string> Outputs(string run) =>
        [.. RunFolder.OpenRead(_folder[run]).Manifest.Stages.SelectMany(stage => stage.Outputs).Select(output => $"{output.Path} {output.Sha256}").Order(StringComparer.Ordinal)];

    private sealed class StopAt(string stage, CancellationTokenSource source) : IProgress<StageProgress>
    {
        public void Report(StageProgress value)
        {
            if (value.Stage == stage && value.Done > 0)
            {
                source.Cancel();
            }
        }
    }
}
