using System.Diagnostics;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Certificates;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Runs.Pipeline;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Nulls;

/// <summary>What is certified in a finished run, beside the labels of its documents, and whether it returns under a fresh seed.</summary>
internal static class CertificatesCommand
{
    public static int Run(Arguments arguments)
    {
        set_num_threads(arguments.Integer("threads", 1));
        foreach (var path in arguments.Need("runs").Split(','))
        {
            using var scope = NewDisposeScope();
            One(path, arguments);
        }

        return 0;
    }

    private static void One(string path, Arguments arguments)
    {
        using var run = FinishedRun.Open(path);
        var (rows, atoms, rules, texts) = (run.Rows, run.Atoms, run.Rules, run.Texts);
        var seed = rules.Seed;
        var options = new CertificateOptions { Seed = seed, Nulls = arguments.Integer("nulls", 20), Splits = arguments.Integer("splits", 2), NullSplits = arguments.Integer("null-splits", 4) };
        using var certifier = new Certifier(rows, atoms, rules, options);
        var units = new List<CertificateUnit>();
        var seconds = new Dictionary<string, double>(StringComparer.Ordinal);
        for (var unit = 0; unit < certifier.UnitCount; unit++)
        {
            var clock = Stopwatch.StartNew();
            units.Add(certifier.Run(unit));
            seconds[units[^1].Kind] = seconds.GetValueOrDefault(units[^1].Kind) + clock.Elapsed.TotalSeconds;
        }

        var poles = certifier.Judge(units);
        using var fresh = DictionaryLearner.Learn(rows, rules with { Seed = RandomStream.Seed(seed, "bench/nulls/fresh") });
        var closest = SplitCheck.Counterparts(atoms, fresh.Atoms);
        var labels = Labels(arguments.Text("labels") ?? Path.Combine(path, "labels.jsonl"), texts);
        var codes = run.Codes;
        Console.WriteLine(FormattableString.Invariant($"{path}: {poles.Count} poles, {poles.Count(pole => pole.Certified)} certified, {poles.Count(pole => pole.Fdr <= 0.05)} at a false discovery rate of .05; seconds {string.Join(", ", seconds.Select(pair => FormattableString.Invariant($"{pair.Key} {pair.Value:f1}")))}"));
        var certified = poles.Where(pole => pole.Certified).ToList();
        Console.WriteLine(FormattableString.Invariant($"return under a fresh seed: {certified.Count(pole => Math.Abs(closest[pole.Atom].Cosine) >= pole.RecurrenceBar)} of {certified.Count} certified, {poles.Count(pole => Math.Abs(closest[pole.Atom].Cosine) >= pole.RecurrenceBar)} of {poles.Count} poles; reasons {string.Join(", ", poles.SelectMany(pole => pole.Reasons).GroupBy(reason => reason, StringComparer.Ordinal).Select(group => $"{group.Key} {group.Count()}"))}"));
        foreach (var pole in poles.OrderBy(pole => pole.Reasons.Count).ThenByDescending(pole => pole.Separation - pole.SeparationNull).Take(arguments.Integer("top", 60)))
        {
            var members = codes.DocumentsOf(pole.Atom).ToArray().Zip(codes.CodesOf(pole.Atom).ToArray()).Where(pair => Math.Sign(pair.Second) == pole.Sign).Select(pair => labels[pair.First]).ToArray();
            var best = members.GroupBy(label => label, StringComparer.Ordinal).OrderByDescending(group => (double)group.Count() / Math.Max(members.Length, labels.Count(label => label == group.Key))).First();
            Console.WriteLine(FormattableString.Invariant($"{(pole.Certified ? "*" : " ")} {pole.Atom}{(pole.Sign > 0 ? '+' : '-')} n {pole.Documents} sep {pole.Separation:f2}/{pole.SeparationNull:f2} fdr {pole.Fdr:f3} fw {pole.FamilyWise:f2} rec {pole.Recurrence:f2}/{pole.RecurrenceBar:f2} res {pole.Resampled:f2} agr {pole.Agreement:f2}/{pole.AgreementNull:f2} gain {1000 * pole.CodingGain:f2}/{1000 * pole.CodingGainNull:f2} fresh {Math.Abs(closest[pole.Atom].Cosine):f2} [{string.Join(' ', pole.Reasons)}] {best.Key} {best.Count()}/{members.Length} of {labels.Count(label => label == best.Key)}"));
        }
    }

    private static string[] Labels(string path, IReadOnlyList<TextRow> texts)
    {
        if (!File.Exists(path))
            return [.. texts.Select(_ => "-")];
        var labels = ScoringFiles.Labels(path, int.MaxValue).ToDictionary(row => row.Id, row => row.Task, StringComparer.Ordinal);
        return [.. texts.Select(text => labels.GetValueOrDefault(text.Id, "-"))];
    }
}
