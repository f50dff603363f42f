using GradientAtoms.Bench.Scoring;
using GradientAtoms.Demo;
using GradientAtoms.Demo.Play;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Steps;

namespace GradientAtoms.Bench.Worlds;

/// <summary>What a step does where the KL on the pole's own documents bounds it at several multiples of the KL that is asked for: found formats of finished demos.</summary>
internal static class CapsCommand
{
    public static int Run(Arguments arguments)
    {
        Console.WriteLine("| seed | behaviour | cap | on-target | off-target | KL, neutral | KL, own documents | log-likelihood, own documents |");
        Console.WriteLine("| --- | --- | --- | --- | --- | --- | --- | --- |");
        foreach (var folder in arguments.Need("runs").Split(','))
        {
            using var session = new RunSession(folder, arguments.Text("model"));
            var options = new DemoOptions { Out = folder, Seed = session.Options.Seed };
            var world = options.World();
            var chats = world.Chats(options.Documents);
            foreach (var found in ScoreStage.Read(session.Folder).Where(found => found.Found && found.IsFormat))
            {
                var behaviour = world.Behaviours.Single(behaviour => behaviour.Name == found.Name);
                var (onTarget, offTarget) = (world.OnTargetPrompts(behaviour, options.Prompts, chats), world.OffTargetPrompts(behaviour, options.Prompts, chats));
                double Share(LoraAdapter adapter, IReadOnlyList<string> prompts) => 100 * SteerStage.Shown(session, adapter, behaviour, prompts, options.Seed, default).Average(shown => shown ? 1 : 0);
                string Rates(LoraAdapter adapter) => FormattableString.Invariant(
                    $"{Share(adapter, onTarget):f0} % | {Share(adapter, offTarget):f0} %");
                Console.WriteLine(FormattableString.Invariant($"| {options.Seed} | {found.Name} | unsteered | {Rates(session.Adapter)} | 0 | 0 | 0 |"));
                foreach (var cap in arguments.Numbers("caps", "3,1.5,1,.75"))
                {
                    using var step = PoleStep.Choose(session, found.Pole!, new() { Kl = arguments.Number("kl", 0.2), TargetCap = cap });
                    using var adapter = step.ToAdapter(session.Adapter);
                    var measured = step.Calibration!.Chosen;
                    Console.WriteLine(FormattableString.Invariant($"| {options.Seed} | {found.Name} | {cap} | {Rates(adapter)} | {measured.Neutral.Mean:f3} | {measured.Target!.Mean:f3} | {measured.Target.LogLikelihoodChange:f3} |"));
                }
            }
        }

        return 0;
    }
}
