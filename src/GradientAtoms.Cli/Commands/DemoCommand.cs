using System.Globalization;
using GradientAtoms.Demo;
using GradientAtoms.Evaluation;
using GradientAtoms.Models.Native;
using GradientAtoms.Runs;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms demo</c>: the whole job on the built-in model, on data in which known behaviours were planted.</summary>
internal static class DemoCommand
{
    public static GatomsCommand Create()
    {
        var defaults = new DemoOptions();
        var folder = Opt.Text("--out", "RUN", $"The run folder. Default {defaults.Out}.");
        var seed = Opt.Long("--seed", "SEED", "Another seed is another world: other behaviours, questions, names and rates. Default 0.");
        var kl = Opt.Number("--kl", "NATS", "Strength of the steps: the divergence from the unsteered model, a token of neutral chats. Default .1.", above: 0);
        var documents = Opt.Whole("--documents", "COUNT", $"Chats to be tuned on. Default {defaults.Documents.ToString(CultureInfo.InvariantCulture)}.", least: 200);
        var prompts = Opt.Whole("--prompts", "COUNT", $"Held-out prompts of each behaviour that steps are judged on. Default {defaults.Prompts.ToString(CultureInfo.InvariantCulture)}.");
        var threads = Opt.Whole("--threads", "COUNT", "Processor threads. Default: OMP_NUM_THREADS, else all cores.");
        var command = new GatomsCommand(
            "demo",
            "The whole job on the built-in model, offline: plants known behaviours in chats, tunes on them, audits, tells which were found, and turns them up and down.",
            "gatoms demo",
            "gatoms demo --seed 7 --out runs/seven --json")
        {
            Continues = true,
        };
        foreach (var option in (System.CommandLine.Option[])[folder, seed, kl, documents, prompts, threads])
        {
            command.Add(option);
        }

        command.Body = context =>
        {
            var parse = context.Parse;
            TorchThreads.Use(parse.GetValue(threads));
            var options = new DemoOptions
            {
                Out = parse.GetValue(folder) ?? defaults.Out,
                Seed = parse.GetValue(seed) ?? defaults.Seed,
                Kl = parse.GetValue(kl) ?? defaults.Kl,
                Documents = parse.GetValue(documents) ?? defaults.Documents,
                Prompts = parse.GetValue(prompts) ?? defaults.Prompts,
            };
            var result = context.Track(ladder => DemoPipeline.Run(options, ladder.Decided, ladder, context.CancellationToken));
            context.Print(
                "gatoms/demo",
                new { result.Behaviours, result.Steered, Run = options.Out, options.Seed, options.Kl, result.Audit.NothingToDo, Stages = StageResults.Of(result.Audit) },
                writer => Write(writer, context, options, result));
        };
        return command.Finished();
    }

    private static void Write(TextWriter writer, CommandContext context, DemoOptions options, DemoResult result)
    {
        StageResults.Write(writer, result.Audit, options.Out);
        writer.WriteLine();
        writer.WriteLine($"{Plain.Count(result.Behaviours.Count)} behaviours were planted in {Plain.Count(options.Documents)} chats; the audit did not see which, nor where.");
        var table = new TextTable("behaviour", "rate", "found", "precision", "recall", "pole", "coherence", "what was planted").Right(1, 3, 4, 6);
        foreach (var behaviour in result.Behaviours)
        {
            table.Add(
                behaviour.Name, Percent(behaviour.Rate), behaviour.Found ? "found" : "missed", Number(behaviour.Precision), Number(behaviour.Recall),
                behaviour.Pole ?? "-", behaviour.Coherence is { } coherence ? Number(coherence) : "-", behaviour.About);
        }

        table.Write(writer, context.Host.Width);
        writer.WriteLine("found: a pole of an atom has precision and recall of .8 or more.");
        if (result.Steered.Count > 0)
        {
            writer.WriteLine();
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"How often answers to {options.Prompts} held-out prompts show it, after a step of KL {options.Kl:0.###}; in brackets, on prompts of other sorts:"));
            var rates = new TextTable("behaviour", "unsteered", "more", "less", "random step").Right(1, 2, 3, 4);
            foreach (var steered in result.Steered)
            {
                rates.Add(
                    steered.Name,
                    Both(steered.OnTarget.Unsteered, steered.OffTarget.Unsteered), Both(steered.OnTarget.More, steered.OffTarget.More),
                    Both(steered.OnTarget.Less, steered.OffTarget.Less), Both(steered.OnTarget.Random, steered.OffTarget.Random));
            }

            rates.Write(writer, context.Host.Width);
            var widest = result.Steered.Max(steered => steered.OnTarget.More.Interval is var interval ? interval.High - interval.Low : 0);
            writer.WriteLine($"Rates are of sampled answers; the widest 95 % interval is {Percent(widest)} wide.");
            var bounded = result.Steered.Sum(steered => ((double[])[steered.KlMore, steered.KlLess]).Count(measured => measured < 0.9 * options.Kl));
            writer.WriteLine($"{Plain.Count(bounded)} of {Plain.Count(2 * result.Steered.Count)} steps move neutral chats by less: a step ends where the pole's own documents have moved by that much ({Path.Combine(options.Out, "steered.json")}).");
        }

        writer.WriteLine();
        writer.WriteLine($"report: {Path.Combine(options.Out, RunFiles.Report)}");
        context.Hint($"It is an ordinary run. Next: gatoms atoms {options.Out}");
        if (result.Steered is [var first, ..])
        {
            context.Hint($"and: gatoms steer {options.Out} {first.Pole} --kl .1 --prompt \"Name three birds.\"");
        }
    }

    private static string Both(Proportion on, Proportion off) => $"{Percent(on.Rate)} ({Percent(off.Rate)})";

    private static string Percent(double share) => string.Create(CultureInfo.InvariantCulture, $"{100 * share:0.#} %");

    // Down, so that what is missed by a hair does not look found.
    private static string Number(double value) => (Math.Floor(value * 100) / 100).ToString("0.00", CultureInfo.InvariantCulture);
}
