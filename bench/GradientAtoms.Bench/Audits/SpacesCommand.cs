using System.Globalization;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Coordinates;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Evaluation;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Planning;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Audits;

/// <summary>
/// Learns dictionaries on one run's gradients in several coordinate spaces and seeds, and scores each against labels: the
/// same documents, the same number of atoms, the same non-zeros.
/// </summary>
internal static class SpacesCommand
{
    public static int Run(Arguments arguments)
    {
        using var session = new RunSession(arguments.Need("run"));
        var labels = ScoringFiles.Labels(arguments.Need("labels"), int.MaxValue).ToDictionary(row => row.Id, row => row.Task, StringComparer.Ordinal);
        var tasks = session.Texts.Select(text => labels[text.Id]).ToList();
        var seeds = (arguments.Text("seeds") ?? "0").Split(',').Select(seed => long.Parse(seed, CultureInfo.InvariantCulture)).ToList();
        var atoms = arguments.Integer("atoms", 200);
        var starts = arguments.Integer("starts", 8);
        var nonzeros = arguments.Number("nonzeros", 4.3);
        Console.WriteLine(ScoreTable.Header);
        foreach (var space in (arguments.Text("spaces") ?? "exact,reference,raw").Split(','))
        {
            // NAME[:DELTA][:center|nocenter][:all|split], for example exact:0.001:center
            var parts = space.Split(':');
            var kind = Enum.Parse<CoordinateKind>(parts[0], ignoreCase: true);
            var damping = parts.Length > 1 && parts[1].Length > 0 ? double.Parse(parts[1], CultureInfo.InvariantCulture) : 0.001;
            var center = parts.Length > 2 ? parts[2] == "center" : kind == CoordinateKind.Exact;
            var learnAll = parts.Length <= 3 || parts[3] == "all";
            using var scope = NewDisposeScope();
            using var whitening = kind switch
            {
                CoordinateKind.Raw => Whitening.Raw(session.Layout.Size),
                CoordinateKind.Reference => Whitening.Reference(session.Layout, session.Bases.KroneckerEigenvalues()),
                _ => Whitening.Ekfac(session.Eigenvalues, damping),
            };
            using var gram = GramPass.Compute(session.Rows, session.Layout, whitening);
            var learning = session.Texts.Select(text => learnAll || !text.HeldOut).ToArray();
            using var coordinates = GramCoordinates.Fit(gram, learning, center);
            foreach (var seed in seeds)
            {
                using var inner = NewDisposeScope();
                using var dictionary = DictionaryLearner.Learn(coordinates.Rows[tensor(learning)], new() { AtomCount = atoms, TargetNonzeros = nonzeros, Starts = starts, Seed = seed });
                var codes = SparseCoder.Encode(coordinates.Rows, dictionary.Atoms, new() { Sparsity = dictionary.Sparsity }).Codes;
                var scores = LabelScores.Of(codes, tasks, new() { Seed = seed, Background = arguments.Text("background") ?? "general" });
                ScoreTable.Print($"{space} seed {seed} alpha {dictionary.Sparsity:0.000}", scores, withTasks: false);
            }
        }

        return 0;
    }
}
