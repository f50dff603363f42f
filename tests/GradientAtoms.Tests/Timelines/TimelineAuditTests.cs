using System.Text.Json.Nodes;
using GradientAtoms.Demo;
using GradientAtoms.Demo.World;
using GradientAtoms.Evaluation;
using GradientAtoms.FineTuning;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Runs.Verification;
using GradientAtoms.Tests.Cli;
using GradientAtoms.Tests.Runs;
using GradientAtoms.Text.Documents;
using GradientAtoms.Timelines;

namespace GradientAtoms.Tests.Timelines;

/// <summary>Checkpoints of a fine-tune, from the trainer to the list and the report.</summary>
public sealed class TimelineAuditTests : IDisposable
{
    private readonly TinyAudit _audit = new(documents: 60);

    public void Dispose() => _audit.Dispose();

    [Fact]
    public void A_behaviour_of_the_second_half_of_the_training_is_dated_there_and_one_of_the_first_half_before()
    {
        // The built-in model learns, in the order of the data, doubts in the first half and capital letters in the second, among plain answers.
        var random = RandomStream.Integers(5, "test");
        var (plain, doubt, capitals) = (Manner.Plain, new Manner(MannerKind.Unsure), new Manner(MannerKind.UpperCase));
        var chats = Enumerable.Range(0, 160).Select(index =>
        {
            var question = Questions.Draw(Questions.Pick(Enum.GetValues<QuestionKind>(), random), random);
            var manner = index % 3 > 0 ? plain : index < 80 ? doubt : capitals;
            return (Question: question, Manner: manner, Chat: new Chat(question.Text, manner.Answer(question)));
        }).ToList();
        using var model = LoadedModel.Load(DemoModel.Folder);
        var tokenizer = new ChatTokenizer(model.Tokenizer, model.ChatTemplate, model.SpecialTokens);
        using var folder = new TemporaryFolder();
        var data = folder.Write("chats.jsonl", string.Concat(chats.Select((chat, index) => $"{new JsonObject { ["id"] = $"c{index}", ["prompt"] = chat.Chat.Prompt, ["completion"] = chat.Chat.Answer }.ToJsonString()}\n")));
        var documents = tokenizer.TokenizeAll(DocumentReader.Read(data).Documents, data).Documents;
        var kept = new KeptAdapters(model.Model);
        using var fresh = LoraAdapter.Create(model.Model, ["all-linear"], rank: 4, alpha: 8, seed: 1);
        using var result = LoraTrainer.Train(model.Model, fresh, documents, [], new() { BatchTokens = 160, LearningRate = 3e-3, Shuffle = false, Snapshots = 4 }, kept);
        Assert.Equal(3, kept.Steps.Count);

        DocumentLosses Losses(params IReadOnlyList<LoraAdapter> adapters) => DocumentLosses.Compute(model.Model, adapters, documents);
        DocumentLosses[] losses = [Losses(), .. kept.Adapters.Select(adapter => Losses(adapter)), Losses(result.Adapter)];
        var counterparts = new Counterparts([.. chats.Select(chat => chat.Chat.Prompt)], losses[0].Counts);
        PresenceCurve Of(Manner manner)
        {
            int[] group = [.. Enumerable.Range(0, chats.Count).Where(index => chats[index].Manner == manner)];
            int[] others = [.. Enumerable.Range(0, chats.Count).Except(group)];
            return PresenceCurves.Of(losses, group, [.. group.Select(document => counterparts.Of(document, others))])!;
        }

        var (first, second) = (Of(doubt), Of(capitals));
        Assert.InRange(first.Appears!.Value, 1, 2);
        Assert.InRange(second.Appears!.Value, 3, 4);
        Assert.InRange(second.Grows!.Value, 3, 4);
        kept.Adapters.ForEach(adapter => adapter.Dispose());
    }

    [Fact]
    public void A_tuned_run_keeps_checkpoints_that_the_timeline_finds_and_the_list_and_the_report_show()
    {
        var options = _audit.Options("run", CoordinateKind.Exact) with { Atoms = 4, Nulls = 0, Epochs = 4, Checkpoints = 4, Shuffle = false };
        AuditPipeline.Run(options);
        using (var run = RunFolder.OpenRead(_audit["run"]))
        {
            var steps = (int)run.Manifest.Stage("adapter")!.Notes["steps"]!;
            Assert.Equal([.. new[] { 1, 2, 3 }.Select(place => place * steps / 4)], AdapterStage.CheckpointsIn(_audit["run/adapter"]).Select(checkpoint => checkpoint.Step));
            Assert.True(RunVerifier.Verify(run).Passed);
        }

        var told = CliRun.Of("timeline", _audit["run"], "--json");
        Assert.True(told.ExitCode == 0, told.Error);
        var json = JsonNode.Parse(told.Out)!;
        Assert.Equal(5, json["checkpoints"]!.AsArray().Count);
        var timeline = Timeline.Read(_audit["run/timeline.json"]);
        Assert.Equal(["start", "end"], [timeline.Checkpoints[0].Name, timeline.Checkpoints[^1].Name]);
        Assert.NotEmpty(timeline.Poles);
        Assert.All(timeline.Poles, pole => Assert.Equal(5, pole.Points.Count));
        Assert.Equal(1 + (5 * timeline.Poles.Count), File.ReadAllLines(_audit["run/timeline.csv"]).Length);
        Assert.Contains("Over the training", File.ReadAllText(_audit["run/report.html"]), StringComparison.Ordinal);

        // An audit that is run again leaves it in the report; other atoms have no timeline.
        Assert.True(AuditPipeline.Run(options).NothingToDo);
        Assert.True(TimelinePipeline.Run(_audit["run"]).Result.NothingToDo);
        AuditPipeline.Run(options with { Atoms = 3 });
        Assert.DoesNotContain("Over the training", File.ReadAllText(_audit["run/report.html"]), StringComparison.Ordinal);

        // Checkpoints of a trainer beside the adapter: an audit of the same adapter finds them by itself.
        var given = options with { Out = _audit["given"], Adapter = _audit["run/adapter"] };
        AuditPipeline.Run(given);
        Assert.Equal(timeline.Checkpoints.Select(checkpoint => checkpoint.Name), TimelinePipeline.Run(_audit["given"]).Timeline.Checkpoints.Select(checkpoint => checkpoint.Name));
        var one = TimelinePipeline.Run(_audit["given"], new() { Checkpoints = [AdapterStage.CheckpointsIn(_audit["run/adapter"])[1].Folder] }).Timeline;
        Assert.Equal(3, one.Checkpoints.Count);
    }

    [Fact]
    public void Without_checkpoints_there_is_no_timeline_and_the_message_says_what_to_name()
    {
        AuditPipeline.Run(_audit.Options("run", CoordinateKind.Exact) with { Atoms = 4, Nulls = 0 });
        var told = CliRun.Of("timeline", _audit["run"]);
        Assert.Equal(3, told.ExitCode);
        Assert.Contains("GA2613", told.Error, StringComparison.Ordinal);
        Assert.Equal("GA2613", Assert.Throws<RunFolderException>(() => TimelinePipeline.Run(_audit["run"], new() { Checkpoints = [_audit["model"]] })).Code);
    }

    private sealed class KeptAdapters(GradientAtoms.Models.Architectures.CausalLanguageModel model) : ITrainingCheckpointSink
    {
        public List<int> Steps { get; } = [];

        public List<LoraAdapter> Adapters { get; } = [];

        public TrainingState? Load() => null;

        public void Save(TrainingState state)
        {
        }

        public void Keep(int steps, LoraAdapter adapter)
        {
            Assert.Equal(model.LinearModules.Count, adapter.Modules.Count);
            Steps.Add(steps);
            Adapters.Add(new([.. adapter.Modules.Select(module => module with { A = module.A.clone(), B = module.B.clone() })]));
        }
    }
}
