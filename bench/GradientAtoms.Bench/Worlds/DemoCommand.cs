using System.Globalization;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Demo;

namespace GradientAtoms.Bench.Worlds;

/// <summary>The demo over several seeds: what it finds and what its steps do.</summary>
internal static class DemoCommand
{
    public static int Run(Arguments arguments)
    {
        var seeds = (arguments.Text("seeds") ?? "201,202,203,204,205").Split(',').Select(seed => long.Parse(seed, CultureInfo.InvariantCulture)).ToList();
        var results = new List<(long Seed, DemoResult Result)>();
        Console.WriteLine("| seed | found, of those of 2 % or more | rare | missed | format behaviours that a step moves by 40 points, off-target under a third | seconds |");
        Console.WriteLine("| --- | --- | --- | --- | --- | --- |");
        foreach (var seed in seeds)
        {
            var options = new DemoOptions { Out = Path.Combine(arguments.Need("out"), FormattableString.Invariant($"seed-{seed}")), Seed = seed, Kl = arguments.Number("kl", 0.2) };
            var result = DemoPipeline.Run(options);
            results.Add((seed, result));
            var common = Common(result);
            var formats = Formats(result);
            Console.WriteLine(FormattableString.Invariant($"| {seed} | {common.Count(behaviour => behaviour.Found)} of {common.Count} | {(result.Behaviours.Any(behaviour => behaviour.Rate < 0.02 && behaviour.Found) ? "found" : "missed")} | {string.Join(", ", common.Where(behaviour => !behaviour.Found).Select(behaviour => FormattableString.Invariant($"{behaviour.Name} ({behaviour.Precision:f2}, {behaviour.Recall:f2})")))} | {formats.Count(Moves)} of {formats.Count} | {result.Audit.Stages.Sum(stage => stage.Record.Seconds):f0} |"));
        }

        Console.WriteLine(FormattableString.Invariant($"\nfound on average {100 * results.Average(pair => (double)Common(pair.Result).Count(behaviour => behaviour.Found) / Common(pair.Result).Count):f1} %; format behaviours moved {results.Sum(pair => Formats(pair.Result).Count(Moves))} of {results.Sum(pair => Formats(pair.Result).Count)}\n"));
        Console.WriteLine("| seed | behaviour | unsteered | more | less | random | off-target: unsteered | more | less | random |");
        Console.WriteLine("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
        foreach (var (seed, result) in results)
        {
            foreach (var steered in result.Steered)
            {
                string Rates(SteeredRates rates) => FormattableString.Invariant($"{100 * rates.Unsteered.Rate:f0} % | {100 * rates.More.Rate:f0} % | {100 * rates.Less.Rate:f0} % | {100 * rates.Random.Rate:f0} %");
                Console.WriteLine($"| {seed.ToString(CultureInfo.InvariantCulture)} | {steered.Name} | {Rates(steered.OnTarget)} | {Rates(steered.OffTarget)} |");
            }
        }

        return 0;
    }

    private static List<FoundBehaviour> Common(DemoResult result) => [.. result.Behaviours.Where(behaviour => behaviour.Rate >= 0.02)];

    private static List<SteeredBehaviour> Formats(DemoResult result)
    {
        var formats = result.Behaviours.Where(behaviour => behaviour.IsFormat).Select(behaviour => behaviour.Name).ToHashSet(StringComparer.Ordinal);
        return [.. result.Steered.Where(steered => formats.Contains(steered.Name))];
    }

    private static bool Moves(SteeredBehaviour steered) =>
        Math.Abs(steered.OnTarget.BestChange) >= 0.4 && Math.Abs(steered.OffTargetChange) < Math.Abs(steered.OnTarget.BestChange) / 3;
}
