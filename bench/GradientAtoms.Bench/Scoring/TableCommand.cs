using System.Globalization;
using System.Text.Json;
using GradientAtoms.Coordinates;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Evaluation;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Pipeline;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Scoring;

/// <summary>
/// One table of ours, the reference and baselines against labels: the same documents, atoms, codes a document and learner, each with
/// its own best setting, over several seeds. Settings are chosen on two seeds that are not reported. Products of rows and finished
/// cells are kept in a folder: it goes on where it was stopped.
/// </summary>
internal static class TableCommand
{
    private const int SketchSize = 4096;
    private const int ChoiceStarts = 2;
    private const int Permutations = 10;
    private static readonly long[] ChoiceSeeds = [1000, 1001];

    private sealed record Row(string Name, string Space, string[] Settings);

    private sealed record Cell(double Nonzeros, double Found, double FoundByChance, double F1, double F1ByChance, double Ami, Dictionary<string, double> Tasks);

    private static readonly Row[] Rows =
    [
        new("ours: exact, EKFAC", "ekfac", [".001 centred", ".1 centred"]),
        new("ours, sketched (4,096 numbers)", "sketch", ["centred"]),
        new("reference: 50 largest Kronecker λ a map", "reference", ["as it is", "centred"]),
        new("raw gradients", "raw", ["as they are", "centred"]),
        new("random projections of raw gradients (4,096 numbers)", "random", ["as they are", "centred"]),
        new("mean hidden state, last layer", "hidden", ["as they are", "centred", "standardised"]),
        new("tf-idf of words and pairs of words", "tfidf", ["as they are", "centred"]),
    ];

    public static int Run(Arguments arguments)
    {
        set_num_threads(arguments.Integer("threads", 1));
        var folder = Directory.CreateDirectory(arguments.Need("out")).FullName;
        using var session = new RunSession(arguments.Need("run"));
        var labels = ScoringFiles.Labels(arguments.Need("labels"), int.MaxValue).ToDictionary(row => row.Id, row => row.Task, StringComparer.Ordinal);
        string[] tasks = [.. session.Texts.Select(text => labels[text.Id])];
        var seeds = (arguments.Text("seeds") ?? "0,1,2,3,4").Split(',').Select(seed => long.Parse(seed, CultureInfo.InvariantCulture)).ToArray();
        var wanted = arguments.Text("rows")?.Split(',');
        var table = new List<(Row Row, string Setting, Cell[] Cells)>();
        Console.WriteLine(FormattableString.Invariant($"{tasks.Length} documents, {arguments.Integer("atoms", 200)} atoms, best of {arguments.Integer("starts", 8)} starts; settings chosen on {ChoiceSeeds.Length} other seeds, best of {ChoiceStarts}\n"));
        foreach (var row in Rows.Where(row => wanted is null || wanted.Contains(row.Space, StringComparer.Ordinal)))
        {
            Cell Of(string setting, long seed, int starts) => CellOf(arguments, session, folder, tasks, row, setting, seed, starts);
            var setting = row.Settings.Length == 1 ? row.Settings[0] : row.Settings.MaxBy(setting => ChoiceSeeds.Average(seed => Of(setting, seed, ChoiceStarts).F1))!;
            table.Add((row, setting, [.. seeds.Select(seed => Of(setting, seed, arguments.Integer("starts", 8)))]));
            Console.Error.WriteLine($"{row.Name}: {setting}");
        }

        Print(table);
        return 0;
    }

    private static Cell CellOf(Arguments arguments, RunSession session, string folder, string[] tasks, Row row, string setting, long seed, int starts)
    {
        var (atoms, nonzeros) = (arguments.Integer("atoms", 200), arguments.Number("nonzeros", 5));
        var path = Path.Combine(folder, FormattableString.Invariant($"{row.Space}-{setting.Replace(' ', '-')}-{atoms}-{nonzeros}-{starts}-{seed}.json"));
        if (File.Exists(path))
            return JsonSerializer.Deserialize<Cell>(File.ReadAllText(path))!;
        using var scope = NewDisposeScope();
        var products = Products(session, folder, row.Space == "ekfac" ? $"ekfac {setting.Split(' ')[0]}" : setting == "standardised" ? "hidden standardised" : row.Space, seed);
        using var coordinates = GramCoordinates.Fit(products, [.. tasks.Select(_ => true)], center: setting.EndsWith("centred", StringComparison.Ordinal));
        using var dictionary = DictionaryLearner.Learn(coordinates.Rows, new() { AtomCount = atoms, TargetNonzeros = nonzeros, Starts = starts, Seed = seed });
        LabelScores Score(IReadOnlyList<string> of, int permutations) => LabelScores.Of(dictionary.Codes, of, new() { Background = "general", Seed = seed, Permutations = permutations });
        var scores = Score(tasks, Permutations);
        var byChance = Enumerable.Range(0, Permutations).Average(permutation =>
        {
            var permuted = tasks.ToArray();
            RandomStream.Integers(seed, FormattableString.Invariant($"table/{permutation}")).Shuffle(permuted);
            return (double)Score(permuted, 0).TasksFound;
        });
        var cell = new Cell(scores.MeanNonzeros, scores.TasksFound, byChance, scores.MeanBestF1, scores.MeanBestF1ByChance, scores.AdjustedMutualInformation, scores.Tasks.ToDictionary(task => task.Task, task => task.BestF1, StringComparer.Ordinal));
        File.WriteAllText(path + ".new", JsonSerializer.Serialize(cell));
        File.Move(path + ".new", path);
        Console.Error.WriteLine(FormattableString.Invariant($"{Path.GetFileName(path)}: {cell.Nonzeros:f2} non-zeros, {cell.Found} found, F1 {cell.F1:f3}, AMI {cell.Ami:f3}"));
        return cell;
    }

    /// <summary>Inner products of all documents in a space, <c>[N, N]</c>, float64. Sketches have a seed of their own each.</summary>
    private static Tensor Products(RunSession session, string folder, string space, long seed)
    {
        var path = Path.Combine(folder, FormattableString.Invariant($"products-{space.Replace(' ', '-')}{(space is "random" or "sketch" ? $"-{seed}" : string.Empty)}.safetensors"));
        if (!File.Exists(path))
        {
            using var scope = NewDisposeScope();
            var products = Compute(session, space, seed);
            SafetensorsWriter.Write(path + ".new", [("products", products)]);
            File.Move(path + ".new", path);
            Console.Error.WriteLine(Path.GetFileName(path));
        }

        using var file = SafetensorsFile.Open(path);
        return file.ReadRaw("products");
    }

    private static Tensor Compute(RunSession session, string space, long seed)
    {
        using var scope = NewDisposeScope();
        Tensor Gram(Whitening whitening)
        {
            using var own = whitening;
            return GramPass.Compute(session.Rows, session.Layout, whitening);
        }

        Tensor Unit(Tensor rows)
        {
            var unit = nn.functional.normalize(rows.to(ScalarType.Float64), dim: 1);
            return unit.matmul(unit.t());
        }

        var result = space switch
        {
            "reference" => Gram(Whitening.Reference(session.Layout, session.Bases.KroneckerEigenvalues())),
            "raw" => Gram(Whitening.Raw(session.Layout.Size)),
            "sketch" => Unit(Sketch(session, Whitening.Ekfac(session.Eigenvalues, 0.001), seed)),
            "random" => Unit(Sketch(session, Whitening.Raw(session.Layout.Size), seed)),
            "hidden" => Unit(MeanHiddenStates.Of(session)),
            "hidden standardised" => Unit(Standardised(MeanHiddenStates.Of(session))),
            "tfidf" => tensor(TfIdfBaseline.Gram([.. session.Texts.Select(text => $"{text.Prompt}\n{text.Answer}")]), [session.Texts.Count, session.Texts.Count]),
            _ => Gram(Whitening.Ekfac(session.Eigenvalues, double.Parse(space.Split(' ')[1], CultureInfo.InvariantCulture))),
        };
        return result.MoveToOuterDisposeScope();
    }

    private static Tensor Standardised(Tensor rows) => (rows - rows.mean([0L], keepdim: true)) / rows.std(0, keepdim: true);

    private static Tensor Sketch(RunSession session, Whitening whitening, long seed)
    {
        const int block = 50;
        using var scope = NewDisposeScope();
        using var own = whitening;
        var (projector, scale) = (new SketchProjector(SketchSize, seed), whitening.Scale.to(ScalarType.Float32));
        return cat([.. Enumerable.Range(0, session.Rows.RowCount).Chunk(block).Select(documents =>
        {
            using var inner = NewDisposeScope();
            return projector.Apply(session.Rows.ReadRows(documents) * scale).MoveToOuterDisposeScope();
        })]).MoveToOuterDisposeScope();
    }

    private static void Print(List<(Row Row, string Setting, Cell[] Cells)> table)
    {
        Console.WriteLine("| what | its best setting | non-zeros | tasks of F1 ≥ .5 (chance) | mean best F1 | chance | F1 beyond chance | AMI |");
        Console.WriteLine("| --- | --- | --- | --- | --- | --- | --- | --- |");
        foreach (var (row, setting, cells) in table)
        {
            Console.WriteLine(FormattableString.Invariant($"| {row.Name} | {setting} | {cells.Average(cell => cell.Nonzeros):f2} | {Interval(cells, cell => cell.Found, "f1")} ({cells.Average(cell => cell.FoundByChance):f1}) | {Interval(cells, cell => cell.F1, "f3")} | {cells.Average(cell => cell.F1ByChance):f3} | {Interval(cells, cell => cell.F1 - cell.F1ByChance, "f3")} | {Interval(cells, cell => cell.Ami, "f3")} |"));
        }

        if (table.Count < 2)
            return;
        Console.WriteLine($"\nIntervals are of 95 % over seeds (Student's t). {table[0].Row.Name} against each, over tasks (bootstrap of the tasks, means over seeds):\n");
        Console.WriteLine("| less | mean best F1 | tasks of F1 ≥ .5 |");
        Console.WriteLine("| --- | --- | --- |");
        foreach (var (row, _, cells) in table.Skip(1))
        {
            string[] names = [.. cells[0].Tasks.Keys];
            double[] Differences(Func<double, double> what) => [.. names.Select(name => table[0].Cells.Average(cell => what(cell.Tasks[name])) - cells.Average(cell => what(cell.Tasks[name])))];
            Console.WriteLine($"| {row.Name} | {Bootstrap(Differences(f1 => f1), 1, "+0.000;-0.000")} | {Bootstrap(Differences(f1 => f1 >= 0.5 ? 1 : 0), names.Length, "+0.0;-0.0")} |");
        }
    }

    private static string Interval(Cell[] cells, Func<Cell, double> what, string format)
    {
        // Student's t at .975 for 1 to 9 degrees of freedom.
        double[] quantiles = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];
        double[] values = [.. cells.Select(what)];
        var mean = values.Average();
        if (values.Length < 2)
            return mean.ToString(format, CultureInfo.InvariantCulture);
        var error = Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / (values.Length - 1) / values.Length);
        return $"{mean.ToString(format, CultureInfo.InvariantCulture)} ± {(quantiles[Math.Min(values.Length, 10) - 2] * error).ToString(format, CultureInfo.InvariantCulture)}";
    }

    private static string Bootstrap(double[] differences, double times, string format)
    {
        const int draws = 10_000;
        var random = RandomStream.Integers(0, "table/bootstrap");
        double[] means = [.. Enumerable.Range(0, draws).Select(_ => Enumerable.Range(0, differences.Length).Average(_ => differences[random.Next(differences.Length)])).Order()];
        string Text(double value) => (times * value).ToString(format, CultureInfo.InvariantCulture);
        return $"{Text(differences.Average())} [{Text(means[draws / 40])}, {Text(means[draws - 1 - (draws / 40)])}]";
    }
}
