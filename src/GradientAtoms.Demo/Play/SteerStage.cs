using System.Text.Json;
using GradientAtoms.Demo.Planting;
using GradientAtoms.Evaluation;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Generation;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Stages;
using GradientAtoms.Runs.Steps;
using GradientAtoms.Steering;

namespace GradientAtoms.Demo.Play;

/// <summary>Found poles in; how often held-out prompts are answered in their way with more, with less and with a random step out.</summary>
internal static class SteerStage
{
    public const string Name = "steer";
    public const string File = "steered.json";

    private const int LongestAnswer = 40;

    public static Stage Create(DemoOptions options) => new()
    {
        Name = Name,
        Options = RunJson.Of(options, "kl", "prompts"),
        DependsOn = [WorldStage.Name, "documents", "adapter", "gradients", "coordinates", "dictionary", "atoms", ScoreStage.Name],
        Run = context =>
        {
            var found = ScoreStage.Read(context.Folder).Where(behaviour => behaviour.Found).ToList();
            using var session = new RunSession(options.Out);
            var steered = Steer(context, options, session, found);
            context.WriteText(File, JsonSerializer.Serialize(steered, RunJson.Indented) + "\n");
        },
    };

    public static IReadOnlyList<SteeredBehaviour> Read(Runs.RunFolder run) => JsonSerializer.Deserialize<List<SteeredBehaviour>>(System.IO.File.ReadAllText(run.Need(File)), RunJson.Indented)!;

    private static List<SteeredBehaviour> Steer(StageContext context, DemoOptions options, RunSession session, IReadOnlyList<FoundBehaviour> found)
    {
        var world = options.World();
        var chats = world.Chats(options.Documents);
        var steered = new List<SteeredBehaviour>();
        context.Progress?.Report(new(Name, 0, found.Count, "behaviours"));
        using var neutral = NeutralSet.Of(session, cancellationToken: context.CancellationToken);
        using var random = session.Directions().Random(options.Seed, index: 0);
        var calibrated = KlCalibration.Calibrate(session.Adapter, random, neutral.Meter, null, new() { Kl = options.Kl }, null, context.CancellationToken);
        using var randomAdapter = random.ToAdapter(session.Adapter, calibrated.Step);
        foreach (var target in found)
        {
            var behaviour = world.Behaviours.Single(behaviour => behaviour.Name == target.Name);
            var (onTarget, offTarget) = (world.OnTargetPrompts(behaviour, options.Prompts, chats), world.OffTargetPrompts(behaviour, options.Prompts, chats));
            (Proportion On, Proportion Off) Rates(LoraAdapter adapter)
            {
                // Together, since a batch of twice the prompts takes little longer.
                var shown = Shown(session, adapter, behaviour, [.. onTarget, .. offTarget], options.Seed, context.CancellationToken);
                return (Proportion.Of(shown[..onTarget.Count], shows => shows), Proportion.Of(shown[onTarget.Count..], shows => shows));
            }


            using var more = PoleStep.Choose(session, target.Pole!, new() { Kl = options.Kl, UsesCache = false }, neutral, null, context.CancellationToken);
            using var less = PoleStep.Choose(session, target.Pole!, new() { Kl = options.Kl, Less = true, InitialStep = 0.3 * more.Size, UsesCache = false }, neutral, null, context.CancellationToken);
            using var moreAdapter = more.ToAdapter(session.Adapter);
            using var lessAdapter = less.ToAdapter(session.Adapter);
            var (unsteered, up, down, control) = (Rates(session.Adapter), Rates(moreAdapter), Rates(lessAdapter), Rates(randomAdapter));
            steered.Add(new(
                target.Name, target.Pole!, new(unsteered.On, up.On, down.On, control.On), new(unsteered.Off, up.Off, down.Off, control.Off),
                more.Calibration!.Chosen.Neutral.Mean, less.Calibration!.Chosen.Neutral.Mean,
                [.. more.Calibration.Warnings.Select(warning => $"more: {warning}"), .. less.Calibration.Warnings.Select(warning => $"less: {warning}")]));
            context.Progress?.Report(new(Name, steered.Count, found.Count, "behaviours", target.Name));
        }

        return steered;
    }

    /// <summary>Whether the answer to each prompt shows a behaviour. Sampled as the model would be used, with the same seed for every step: a rate is a probability, which greedy answers would round to 0 or 1.</summary>
    internal static bool[] Shown(RunSession session, LoraAdapter adapter, Behaviour behaviour, IReadOnlyList<string> prompts, long seed, CancellationToken cancellationToken)
    {
        var loaded = session.Model.Loaded;
        var generated = BatchGenerator.Generate(
            loaded.Model,
            [.. prompts.Select(IReadOnlyList<int> (prompt) => session.Model.EncodePrompt(prompt, session.Options))],
            new() { MaxNewTokens = LongestAnswer, Temperature = 1, Seed = (ulong)RandomStream.Seed(seed, "demo/answers"), StopIds = loaded.StopIds },
            [adapter],
            cancellationToken: cancellationToken);
        return [.. generated.Select(answer => behaviour.IsShownBy(loaded.Tokenizer.Decode([.. answer.Tokens.Where(token => !loaded.StopIds.Contains(token))]).Trim()))];
    }
}
