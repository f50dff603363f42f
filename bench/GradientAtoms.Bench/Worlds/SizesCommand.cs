using GradientAtoms.Bench.Scoring;
using GradientAtoms.Coordinates;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Evaluation;
using GradientAtoms.Runs.Pipeline;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Worlds;

/// <summary>How many labels are found by dictionaries of several sizes and sparsities, on the gradients of finished runs.</summary>
internal static class SizesCommand
{
    public static int Run(Arguments arguments)
    {
        var runs = arguments.Need("runs").Split(',');
        var signs = (arguments.Text("codes") ?? "signed").Split(',').Select(text => Enum.Parse<CodeSigns>(text, ignoreCase: true)).ToList();
        Console.WriteLine("| damping | codes | atoms | non-zeros | gate | labels found (precision and recall >= .8) | mean of the worse figure | missed |");
        Console.WriteLine("| --- | --- | --- | --- | --- | --- | --- | --- |");
        foreach (var damping in arguments.Numbers("damping", "0.001"))
        {
            var worlds = runs.Select(run => Open(run, damping)).ToList();
            foreach (var (sign, atoms, nonzeros, gate) in
                from sign in signs from atoms in arguments.Numbers("atoms", "16,20,24,32,40") from nonzeros in arguments.Numbers("nonzeros", "1,1.5,2,3") from gate in arguments.Numbers("gates", "0") select (sign, (int)atoms, nonzeros, gate))
            {
                using var scope = NewDisposeScope();
                var found = worlds.SelectMany(world =>
                {
                    using var dictionary = DictionaryLearner.Learn(world.Rows, new() { AtomCount = atoms, TargetNonzeros = nonzeros, Codes = sign, Gate = gate > 0 ? gate : null, Starts = arguments.Integer("starts", 8), Seed = 0 });
                    return Detection.Of(dictionary.Codes, world.Tasks).Where(detection => detection.Label != Demo.Planting.PlantedWorld.Ordinary && detection.Documents >= 0.02 * world.Tasks.Length);
                }).ToList();
                Console.WriteLine(FormattableString.Invariant($"| {damping} | {sign} | {atoms} | {nonzeros} | {(gate > 0 ? gate : "none")} | {found.Count(detection => detection.Worse >= 0.8)} of {found.Count} | {found.Average(detection => detection.Worse):f3} | {string.Join(", ", found.Where(detection => detection.Worse < 0.8).Select(detection => FormattableString.Invariant($"{detection.Label} {detection.Precision:f2}/{detection.Recall:f2}")))} |"));
            }
        }

        return 0;
    }

    private static (Tensor Rows, string[] Tasks) Open(string run, double damping)
    {
        using var session = new RunSession(run);
        var labels = ScoringFiles.Labels(Path.Combine(run, Demo.Play.WorldStage.Labels), int.MaxValue).ToDictionary(row => row.Id, row => row.Task, StringComparer.Ordinal);
        using var whitening = Whitening.Ekfac(session.Eigenvalues, damping);
        using var gram = GramPass.Compute(session.Rows, session.Layout, whitening);
        using var coordinates = GramCoordinates.Fit(gram, [.. session.Texts.Select(_ => true)], center: true);
        return (coordinates.Rows.clone().DetachFromDisposeScope(), [.. session.Texts.Select(text => labels[text.Id])]);
    }
}
