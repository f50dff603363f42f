using System.Text.Json;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Certificates;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Evaluation;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Nulls;

/// <summary>
/// Whether certificates are worth their name: how many runs on rows without structure certify anything, how many planted groups
/// are certified by their rate, and whether certified poles return under a seed that had no part in certifying them. One line of
/// results a run in a file, so that it goes on where it stopped.
/// </summary>
internal static class NullsCommand
{
    private sealed record Settings(int Documents, int Size, int Atoms, double Nonzeros, int Starts);

    private sealed record Result(string Kind, int Members, double Strength, int Seed)
    {
        public int Groups { get; init; }

        public int Poles { get; init; }

        public int Certified { get; init; }

        public double BestFdr { get; init; } = 1;

        public double BestFamilyWise { get; init; } = 1;

        /// <summary>Planted groups that have a certified pole of their own.</summary>
        public int Found { get; init; }

        /// <summary>Planted groups that have a pole of their own, certified or not.</summary>
        public int There { get; init; }

        /// <summary>Certified poles of no group.</summary>
        public int Other { get; init; }

        /// <summary>Certified poles whose atom returns under another seed.</summary>
        public int Returned { get; init; }

        /// <summary>How often each reason spoke against a pole of a planted group.</summary>
        public IReadOnlyDictionary<string, int> Against { get; init; } = new Dictionary<string, int>(StringComparer.Ordinal);
    }

    public static int Run(Arguments arguments)
    {
        set_num_threads(1);
        var folder = arguments.Need("out");
        Directory.CreateDirectory(folder);
        var settings = new Settings(arguments.Integer("documents", 400), arguments.Integer("size", 60), arguments.Integer("atoms", 20), arguments.Number("nonzeros", 2), arguments.Integer("starts", 3));
        var kinds = (arguments.Text("kinds") ?? string.Join(',', RowsWithoutStructure.Kinds)).Split(',');
        var runs = arguments.Integer("runs", 200);
        var planted = arguments.Integer("planted", 4);
        var members = (arguments.Text("members") ?? "4,6,8,12,20").Split(',').Select(text => int.Parse(text, System.Globalization.CultureInfo.InvariantCulture)).ToList();
        var strengths = (arguments.Text("strengths") ?? "0.3,0.5,0.7").Split(',').Select(text => double.Parse(text, System.Globalization.CultureInfo.InvariantCulture)).ToList();
        var path = Path.Combine(folder, FormattableString.Invariant($"runs-{settings.Documents}x{settings.Size}-{settings.Atoms}-{settings.Starts}.jsonl"));
        var done = File.Exists(path) ? File.ReadLines(path).Select(line => JsonSerializer.Deserialize<Result>(line)!).ToList() : [];
        var asked = Enumerable.Range(0, runs).Select(run => new Result(kinds[run % kinds.Length], 0, 0, run))
            .Concat(from member in members from strength in strengths from run in Enumerable.Range(0, planted) select new Result(kinds[run % kinds.Length], member, strength, run))
            .ToList();
        foreach (var ask in asked)
        {
            if (done.Any(result => (result.Kind, result.Members, result.Strength, result.Seed) == (ask.Kind, ask.Members, ask.Strength, ask.Seed)))
                continue;
            var result = RunOnce(ask, settings, arguments.Integer("groups", 5), arguments.Integer("nulls", 20));
            File.AppendAllText(path, JsonSerializer.Serialize(result) + "\n");
            done.Add(result);
        }

        Print([.. asked.Select(ask => done.Single(result => (result.Kind, result.Members, result.Strength, result.Seed) == (ask.Kind, ask.Members, ask.Strength, ask.Seed)))], settings);
        return 0;
    }

    private static Result RunOnce(Result ask, Settings settings, int groups, int nulls)
    {
        using var scope = NewDisposeScope();
        var rows = RowsWithoutStructure.Draw(ask.Kind, settings.Documents, settings.Size, ask.Seed);
        var belongs = Enumerable.Repeat(-1, settings.Documents).ToArray();
        if (ask.Members > 0)
            (rows, belongs) = RowsWithoutStructure.Plant(rows, groups, ask.Members, ask.Strength, ask.Seed);
        var rules = new DictionaryOptions { AtomCount = settings.Atoms, TargetNonzeros = settings.Nonzeros, Starts = settings.Starts, Seed = ask.Seed };
        using var dictionary = DictionaryLearner.Learn(rows, rules);
        rules = rules with { Sparsity = dictionary.Sparsity };
        using var certifier = new Certifier(rows, dictionary.Atoms, rules, new() { Seed = ask.Seed, Nulls = nulls });
        var poles = certifier.Certify();
        using var fresh = DictionaryLearner.Learn(rows, rules with { Seed = RandomStream.Seed(ask.Seed, "bench/nulls/fresh") });
        var closest = SplitCheck.Counterparts(dictionary.Atoms, fresh.Atoms);
        var groupOf = poles.ToDictionary(pole => pole, pole => GroupOf(dictionary.Codes, pole, belongs, ask.Members));
        var certified = poles.Where(pole => pole.Certified).ToList();
        return ask with
        {
            Groups = ask.Members > 0 ? groups : 0,
            Poles = poles.Count,
            Certified = certified.Count,
            BestFdr = poles.Select(pole => pole.Fdr).DefaultIfEmpty(1).Min(),
            BestFamilyWise = poles.Select(pole => pole.FamilyWise).DefaultIfEmpty(1).Min(),
            Found = certified.Select(pole => groupOf[pole]).Where(group => group >= 0).Distinct().Count(),
            There = poles.Select(pole => groupOf[pole]).Where(group => group >= 0).Distinct().Count(),
            Other = certified.Count(pole => groupOf[pole] < 0),
            Returned = certified.Count(pole => Math.Abs(closest[pole.Atom].Cosine) >= pole.RecurrenceBar),
            Against = poles.Where(pole => groupOf[pole] >= 0).SelectMany(pole => pole.Reasons).GroupBy(reason => reason, StringComparer.Ordinal).ToDictionary(group => group.Key, group => group.Count(), StringComparer.Ordinal),
        };
    }

    // The group that has half of the pole's strongest documents, as many as a group has, and half of whose documents they are.
    private static int GroupOf(SparseCodes codes, PoleCertificate pole, int[] belongs, int members)
    {
        if (members == 0)
            return -1;
        var byAtom = codes.ByAtom();
        var values = byAtom.CodesOf(pole.Atom).ToArray();
        var strongest = byAtom.DocumentsOf(pole.Atom).ToArray().Zip(values).Where(pair => Math.Sign(pair.Second) == pole.Sign)
            .OrderByDescending(pair => Math.Abs(pair.Second)).Take(members).Select(pair => belongs[pair.First]).ToArray();
        var best = strongest.Where(group => group >= 0).GroupBy(group => group).MaxBy(group => group.Count());
        return best is not null && best.Count() * 2 >= strongest.Length && best.Count() * 2 >= members ? best.Key : -1;
    }

    private static void Print(List<Result> results, Settings settings)
    {
        Console.WriteLine(FormattableString.Invariant($"{settings.Documents} documents, {settings.Size} directions, K = {settings.Atoms}, {settings.Nonzeros} non-zeros, {settings.Starts} starts\n"));
        var empty = results.Where(result => result.Members == 0).ToList();
        if (empty.Count > 0)
        {
            Console.WriteLine("| rows without structure | runs | certify anything | best pole at a false discovery rate of .05 | at a family-wise rate of .05 | mean family-wise rate of the best (.52 expected) |");
            Console.WriteLine("| --- | --- | --- | --- | --- | --- |");
            foreach (var group in empty.GroupBy(result => result.Kind, StringComparer.Ordinal).Select(group => (group.Key, group.ToList())).Append(("all", empty)))
                Console.WriteLine(FormattableString.Invariant($"| {group.Item1} | {group.Item2.Count} | {group.Item2.Count(result => result.Certified > 0)} | {group.Item2.Count(result => result.BestFdr <= 0.05)} | {group.Item2.Count(result => result.BestFamilyWise <= 0.05)} | {group.Item2.Average(result => result.BestFamilyWise):f2} |"));
            Console.WriteLine();
        }

        var planted = results.Where(result => result.Members > 0).ToList();
        if (planted.Count == 0)
            return;
        Console.WriteLine("| planted: rate (documents of a group) | cosine within a group | groups | with a pole | certified | certified poles of no group | certified poles that return under a fresh seed | against a group's poles |");
        Console.WriteLine("| --- | --- | --- | --- | --- | --- | --- | --- |");
        foreach (var group in planted.GroupBy(result => (result.Members, result.Strength)))
        {
            var against = group.SelectMany(result => result.Against).GroupBy(pair => pair.Key, StringComparer.Ordinal).OrderByDescending(pairs => pairs.Sum(pair => pair.Value)).Select(pairs => $"{pairs.Key} {pairs.Sum(pair => pair.Value)}");
            Console.WriteLine(FormattableString.Invariant($"| {100.0 * group.Key.Members / settings.Documents:0.#} % ({group.Key.Members}) | {group.Key.Strength} | {group.Sum(result => result.Groups)} | {group.Sum(result => result.There)} | {group.Sum(result => result.Found)} | {group.Sum(result => result.Other)} | {group.Sum(result => result.Returned)} of {group.Sum(result => result.Certified)} | {string.Join(", ", against)} |"));
        }

        var returned = new Proportion(planted.Sum(result => result.Returned), planted.Sum(result => result.Certified));
        Console.WriteLine(FormattableString.Invariant($"\nreturned under a fresh seed: {returned.Count} of {returned.Total}, {100 * returned.Rate:f1} % ({100 * returned.Interval.Low:f1} to {100 * returned.Interval.High:f1})"));
        foreach (var kind in planted.GroupBy(result => result.Kind, StringComparer.Ordinal))
            Console.WriteLine(FormattableString.Invariant($"{kind.Key}: certified {kind.Sum(result => result.Found)} of {kind.Sum(result => result.There)} groups with a pole"));
    }
}
