using System.Globalization;
using System.Text.Json;
using GradientAtoms.Evaluation.Sweeps;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Sweeps;

namespace GradientAtoms.Bench.Audits;

/// <summary>
/// What sweeps did to behaviours, a line a pole: the strength of more and of less that one half of the questions chose, with what
/// it does on the other half, on and off target; the atom projected out; and how near the KL is to the one asked for, on documents that were not seen too.
/// </summary>
internal static class BehavioursTable
{
    // What counts as moved: so many points in one direction, with off-target movement under a third of them.
    private const double Moved = 0.2;
    private const double OffShare = 1.0 / 3;

    // What counts as removable: a baseline of so much, brought under half of it at so little more perplexity.
    private const double Present = 0.3;
    private const double PerplexityAllowed = 0.05;

    // How near to the asked KL a step must be where it is calibrated, and where it is not.
    private const double KlMet = 0.05;
    private const double KlUnseenAllowed = 0.2;

    public static int Print(string[] folders)
    {
        var poles = folders.SelectMany(folder => JsonSerializer.Deserialize<SweepReport>(File.ReadAllText(Path.Combine(folder, "sweep.json")), RunJson.Compact)!.Poles).ToList();
        Console.WriteLine("| pole | detector | unsteered | off target | most more: KL | on target | off target | most less: KL | on target | off target | atom projected out | perplexity |");
        Console.WriteLine("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
        foreach (var pole in poles)
        {
            var (unsteered, removed) = (Row(pole, SweepArmKind.Unsteered, SweepGroup.OnTarget), Row(pole, SweepArmKind.Removed, SweepGroup.OnTarget));
            Console.WriteLine($"| {pole.Pole} | {pole.Detector} | {Rate(unsteered)} | {Rate(Row(pole, SweepArmKind.Unsteered, SweepGroup.OffTarget))} | {Chosen(pole.More)} | {Chosen(pole.Less)} | {Rate(removed)} | {Perplexity(Removal(pole))} |");
        }

        var moved = poles.Count(pole => IsMoved(pole.More) || IsMoved(pole.Less));
        var present = poles.Where(pole => Row(pole, SweepArmKind.Unsteered, SweepGroup.OnTarget)?.Rate >= Present).ToList();
        var (byRemoval, byLess) = (present.Count(IsRemoved), present.Count(IsLessened));
        var steps = poles.SelectMany(pole => pole.Steps).Where(step => step is { Kind: SweepArmKind.Pole or SweepArmKind.Random, KlUnseen: not null }).ToList();
        var met = steps.Where(step => Math.Abs((step.KlNeutral!.Value / Math.Abs(step.Kl)) - 1) <= KlMet).ToList();
        double[] unseen = [.. met.Select(step => Math.Abs((step.KlUnseen!.Value / Math.Abs(step.Kl)) - 1)).Order()];
        Console.WriteLine();
        Console.WriteLine($"{moved} of {poles.Count} moved by {Percent(Moved)} or more in one direction with less than a third of that off target.");
        Console.WriteLine($"Of {present.Count} with a rate of {Percent(Present)} or more unsteered, {byRemoval} fall under half of it with the atom projected out and {byLess} by a step towards less, perplexity up by {Percent(PerplexityAllowed)} at most.");
        Console.WriteLine($"{met.Count} of {steps.Count} steps have the asked KL within {Percent(KlMet)}; the others end where their own documents have moved by as much, or where text breaks.");
        if (unseen.Length > 0)
        {
            Console.WriteLine($"Of those, the KL on neutral documents that they were not calibrated on is off the asked one by {Percent(unseen[unseen.Length / 2])} (median), {Percent(unseen[^1])} at most; {unseen.Count(off => off <= KlUnseenAllowed)} are within {Percent(KlUnseenAllowed)}.");
        }

        return 0;
    }

    private static bool IsMoved(SweepChosen? chosen) =>
        chosen is { OnTarget.Change: { } on } && Math.Abs(on) >= Moved && Math.Abs(chosen.OffTarget?.Change ?? 0) < OffShare * Math.Abs(on);

    private static bool IsRemoved(SweptPole pole) => IsHalved(pole, Row(pole, SweepArmKind.Removed, SweepGroup.OnTarget), Removal(pole));

    private static bool IsLessened(SweptPole pole) =>
        pole.Less is { } less && IsHalved(pole, less.OnTarget, pole.Steps.Single(step => step.Kind == SweepArmKind.Pole && step.Kl == less.Kl));

    private static bool IsHalved(SweptPole pole, SweepRow? row, SweepStep? step) =>
        row?.Rate < Row(pole, SweepArmKind.Unsteered, SweepGroup.OnTarget)!.Rate / 2 && step?.Perplexity <= PerplexityAllowed;

    private static SweepStep? Removal(SweptPole pole) => pole.Steps.FirstOrDefault(step => step.Kind == SweepArmKind.Removed);

    private static SweepRow? Row(SweptPole pole, SweepArmKind kind, SweepGroup group) =>
        pole.Rows.FirstOrDefault(row => row.Kind == kind && row.Group == group && row.Detector == pole.Detector);

    private static string Chosen(SweepChosen? chosen) => chosen is null
        ? "- | - | -"
        : string.Create(CultureInfo.InvariantCulture, $"{chosen.Kl} | {Change(chosen.OnTarget)} | {Change(chosen.OffTarget)}");

    private static string Rate(SweepRow? row) => row?.Rate is { } rate ? $"{Percent(rate)} [{Percent(row.Low!.Value)}, {Percent(row.High!.Value)}] of {row.Answers}" : "-";

    private static string Change(SweepRow? row) => row?.Change is { } change
        ? string.Create(CultureInfo.InvariantCulture, $"{row.Rate:p0}, {100 * change:+0;-0;0} [{100 * row.ChangeLow:+0;-0;0}, {100 * row.ChangeHigh:+0;-0;0}]")
        : "-";

    private static string Perplexity(SweepStep? step) => step?.Perplexity is { } change ? string.Create(CultureInfo.InvariantCulture, $"{100 * change:+0.0;-0.0;0} %") : "-";

    private static string Percent(double share) => string.Create(CultureInfo.InvariantCulture, $"{share:p0}");
}
