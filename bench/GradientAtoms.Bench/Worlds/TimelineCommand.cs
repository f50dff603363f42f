using System.Text.Json;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Demo;
using GradientAtoms.Demo.Planting;
using GradientAtoms.Evaluation;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Text.Documents;
using GradientAtoms.Timelines;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Worlds;

/// <summary>Worlds whose behaviours are planted in one half of the data or in both, tuned in the order of the data: to which checkpoint several quantities date them.</summary>
internal static class TimelineCommand
{
    private static readonly string[] Halves = ["first", "second", "both"];

    public static int Run(Arguments arguments)
    {
        set_num_threads(arguments.Integer("threads", 1));
        var checkpoints = arguments.Integer("checkpoints", 8);
        Console.WriteLine("| seed | behaviour | planted in | chats | quantity | appears | grows most | fades | curve |");
        Console.WriteLine("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
        var tally = new SortedDictionary<string, (int Right, int All)>(StringComparer.Ordinal);
        foreach (var seed in arguments.Numbers("seeds", "0").Select(seed => (long)seed))
        {
            using var scope = NewDisposeScope();
            var world = new PlantedWorld(seed);
            var (chats, half) = Order(world, arguments.Integer("documents", 800));
            var folder = Directory.CreateDirectory(Path.Combine(arguments.Need("out"), $"world-{seed}")).FullName;
            var data = Path.Combine(folder, "data.jsonl");
            File.WriteAllLines(data, chats.Select(chat => JsonSerializer.Serialize(new { id = chat.Id, messages = new[] { new { role = "user", content = chat.Chat.Prompt }, new { role = "assistant", content = chat.Chat.Answer } } })));
            var options = DemoPipeline.Audit(new() { Seed = seed }) with { Data = data, Out = Path.Combine(folder, "run"), Neutral = null, Epochs = 1, Shuffle = false, Checkpoints = checkpoints, HeldOut = 0 };
            AuditPipeline.Tune(options);
            using var model = new ModelFiles(options.Model);
            using var run = GradientAtoms.Runs.RunFolder.OpenRead(options.Out);
            var texts = RunReader.ReadTexts(run);
            var documents = DocumentsStage.ReadTokens(run, texts);
            var tasks = chats.ToDictionary(chat => chat.Id, chat => chat.Task, StringComparer.Ordinal);
            var names = world.Behaviours.Select(behaviour => behaviour.Name).ToList();
            var groups = names.Select(name => texts.Index().Where(text => tasks[text.Item.Id] == name).Select(text => text.Index).ToArray()).ToList();
            var adapters = AdapterStage.CheckpointsIn(Path.Combine(options.Out, "adapter")).Select(checkpoint => model.LoadAdapter(checkpoint.Folder)).Append(model.LoadAdapter(Path.Combine(options.Out, "adapter"))).ToList();
            DocumentLosses Losses(params IReadOnlyList<LoraAdapter> at) => DocumentLosses.Compute(model.Loaded.Model, at, documents);
            var losses = adapters.Select(adapter => Losses(adapter)).Prepend(Losses()).ToList();
            File.WriteAllText(Path.Combine(folder, "losses.json"), JsonSerializer.Serialize(texts.Index().Select(text => new
            {
                id = text.Item.Id, prompt = text.Item.Prompt, answer = text.Item.Answer, task = tasks[text.Item.Id], tokens = losses[0].Counts[text.Index],
                curve = losses.Select(at => Math.Round(at.MeanLogLikelihood(text.Index), 5)),
            })));
            var counterparts = new Counterparts([.. texts.Select(text => text.Prompt)], losses[0].Counts);
            PresenceCurve Compared(int[] group)
            {
                var others = Enumerable.Range(0, texts.Count).Except(group).ToArray();
                return PresenceCurves.Of(losses, group, [.. group.Select(document => counterparts.Of(document, others))])!;
            }

            using var fresh = LoraAdapter.Create(model.Loaded.Model, AdapterStage.FreshConfiguration(options, model.Description), (ulong)RandomStream.Seed(seed, "adapter"));
            var along = Along(model, fresh, adapters, documents, groups);
            for (var place = 0; place < names.Count; place++)
            {
                if (groups[place].Length < 4)
                {
                    continue;
                }

                var own = new PresenceCurve([.. losses.Select(at => groups[place].Average(document => at.MeanLogLikelihood(document)) - groups[place].Average(document => losses[0].MeanLogLikelihood(document))).Select(gain => new PresencePoint(gain, 0, gain, 0))]);
                foreach (var (quantity, measured) in ((string, PresenceCurve)[])[("likelihood beyond counterparts", Compared(groups[place])), ("likelihood alone", own), ("weight change along", along[place])])
                {
                    var planted = half[names[place]];
                    var right = planted == "second" ? measured.Appears > checkpoints / 2 : measured.Appears <= checkpoints / 2;
                    var key = $"{quantity}, planted in {planted}";
                    var (rights, all) = tally.GetValueOrDefault(key);
                    tally[key] = (rights + (right ? 1 : 0), all + 1);
                    Console.WriteLine(FormattableString.Invariant($"| {seed} | {names[place]} | {planted} | {groups[place].Length} | {quantity} | {measured.Appears} | {measured.Grows} | {measured.Fades} | {string.Join(' ', measured.Points.Select(point => FormattableString.Invariant($"{point.Presence:0.00}")))} |"));
                }
            }

            adapters.ForEach(adapter => adapter.Dispose());
        }

        Console.WriteLine();
        foreach (var (key, (right, all)) in tally)
        {
            Console.WriteLine($"{key}: {right} of {all} appear in the right half");
        }

        return 0;
    }

    // A behaviour of one half has its chats there, in place of ordinary ones of the other half.
    private static (List<PlantedChat> Chats, Dictionary<string, string> Half) Order(PlantedWorld world, int count)
    {
        var half = world.Behaviours.Index().ToDictionary(behaviour => behaviour.Item.Name, behaviour => Halves[behaviour.Index % 3], StringComparer.Ordinal);
        var chats = world.Chats(count);
        var second = chats.Where(chat => half.GetValueOrDefault(chat.Task) == "second").ToList();
        var first = chats.Where(chat => half.GetValueOrDefault(chat.Task) == "first").ToList();
        var rest = chats.Except(first).Except(second).ToList();
        var cut = (chats.Count / 2) - first.Count;
        var random = new Random(1);
        PlantedChat[] one = [.. first, .. rest.Take(cut)];
        PlantedChat[] two = [.. second, .. rest.Skip(cut)];
        random.Shuffle(one);
        random.Shuffle(two);
        return ([.. one, .. two], half);
    }

    // −(θ_t − θ_0)·(mean unit gradient of the group at the end, less that of all documents).
    private static List<PresenceCurve> Along(ModelFiles model, LoraAdapter fresh, List<LoraAdapter> adapters, IReadOnlyList<TokenizedDocument> documents, List<int[]> groups)
    {
        using var scope = NewDisposeScope();
        var source = new AdapterGradientSource(model.Loaded.Model, adapters[^1]);
        var rows = new Rows(zeros([documents.Count, source.Layout.Size]));
        foreach (var batch in BatchPlan.Make([.. documents.Select(document => document.Tokens.Length)], 1024, int.MaxValue).Blocks.SelectMany(block => block))
        {
            source.Run(documents, batch, rows);
        }

        var unit = rows.All / rows.All.norm(1, keepdim: true);
        var mean = unit.mean([0L]);
        Tensor Flat(LoraAdapter adapter) => cat([.. adapter.Modules.SelectMany(module => (Tensor[])[module.A.flatten(), module.B.flatten()])]);
        var start = Flat(fresh);
        return [.. groups.Select(group =>
        {
            if (group.Length == 0)
            {
                return new PresenceCurve([]);
            }

            var direction = unit.index_select(0, tensor(group.Select(document => (long)document).ToArray())).mean([0L]) - mean;
            return new PresenceCurve([new(0, 0, 0, 0), .. adapters.Select(adapter => -(Flat(adapter) - start).dot(direction).item<float>()).Select(value => new PresencePoint(value, 0, value, 0))]);
        })];
    }

    private sealed class Rows(Tensor all) : IGradientSink
    {
        public Tensor All => all;

        public void Accept(GradientBatch batch)
        {
            using var scope = NewDisposeScope();
            all.index_copy_(0, tensor(batch.Documents.Select(index => (long)index).ToArray()), batch.Rows());
        }
    }
}
