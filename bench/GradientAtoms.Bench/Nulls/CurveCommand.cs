using System.Globalization;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Certificates;
using GradientAtoms.DictionaryLearning;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Nulls;

/// <summary>How many poles survive nulls, other seeds and thirds at other sizes and penalties, on the coordinates of finished runs.</summary>
internal static class CurveCommand
{
    public static int Run(Arguments arguments)
    {
        set_num_threads(arguments.Integer("threads", 1));
        if (arguments.Text("auto") is { } question)
            return Auto(arguments, Enum.Parse<SizeQuestion>(question, ignoreCase: true));
        double[] Numbers(string name, string otherwise) => [.. (arguments.Text(name) ?? otherwise).Split(',').Select(text => double.Parse(text, CultureInfo.InvariantCulture))];
        Console.WriteLine("| run | atoms | penalty, of the run's | non-zeros | poles of 4 documents | return under 3 of 4 seeds | and thirds agree beyond chance | certified | share certified | mean recurrence | mean agreement |");
        Console.WriteLine("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
        foreach (var path in arguments.Need("runs").Split(','))
        {
            using var scope = NewDisposeScope();
            using var world = FinishedRun.Open(path);
            foreach (var (atoms, factor) in Numbers("atoms", "11,22,44,88").SelectMany(atoms => Numbers("sparsities", "0.7,1,1.4").Select(factor => ((int)atoms, factor))))
            {
                using var inner = NewDisposeScope();
                var rules = world.Rules with { AtomCount = atoms, Sparsity = world.Rules.Sparsity * factor, Starts = Math.Min(world.Rules.Starts, 4) };
                using var dictionary = DictionaryLearner.Learn(world.Rows, rules);
                var options = new CertificateOptions { Seed = rules.Seed, Nulls = arguments.Integer("nulls", 20), Resamples = 0 };
                using var certifier = new Certifier(world.Rows, dictionary.Atoms, rules, options);
                var poles = certifier.Certify();
                var returning = poles.Where(pole => !pole.Reasons.Contains("seeds", StringComparer.Ordinal)).ToList();
                Console.WriteLine(FormattableString.Invariant($"| {Path.GetFileName(path)} | {atoms} | {factor} | {dictionary.Codes.MeanNonzeros:f2} | {poles.Count} | {returning.Count} | {returning.Count(pole => !pole.Reasons.Contains("thirds", StringComparer.Ordinal))} | {poles.Count(pole => pole.Certified)} | {(double)poles.Count(pole => pole.Certified) / Math.Max(1, poles.Count):f2} | {poles.Average(pole => pole.Recurrence):f2} | {poles.Average(pole => pole.Agreement):f2} |"));
            }
        }

        return 0;
    }

    // What --atoms auto and --sparsity auto try and choose.
    private static int Auto(Arguments arguments, SizeQuestion question)
    {
        Console.WriteLine("| run | atoms | penalty | non-zeros | poles of 4 documents | beyond chance | return under a seed | thirds agree and gain | all of it | of them different | documents on them | seconds |");
        Console.WriteLine("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
        foreach (var path in arguments.Need("runs").Split(','))
        {
            using var world = FinishedRun.Open(path);
            using var search = new SizeSearch(world.Rows, new() { Question = question, UsualAtoms = arguments.Integer("atoms", world.Rules.AtomCount), Nonzeros = arguments.Number("nonzeros", 4.2), Codes = world.Rules.Codes, Seed = arguments.Integer("seed", 0) });
            var found = new List<SizePoint>();
            while (search.Next(found) is { } trial)
            {
                var clock = System.Diagnostics.Stopwatch.StartNew();
                var point = search.Measure(trial);
                found.Add(point);
                Console.WriteLine(FormattableString.Invariant($"| {Path.GetFileName(path)} | {point.Atoms} | {point.Sparsity:g3} | {point.Nonzeros:f2} | {point.Poles} | {point.BeyondChance} | {point.Returning} | {point.Agreeing} | {point.Staying} | {point.Distinct} | {point.DocumentShare:p0} | {clock.Elapsed.TotalSeconds:f1} |"));
            }

            Console.WriteLine(search.Choose(found));
        }

        return 0;
    }
}
