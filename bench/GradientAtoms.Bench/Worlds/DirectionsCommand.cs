using System.Globalization;
using System.Text.Json;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Demo;
using GradientAtoms.Demo.Play;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.FineTuning;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Steps;
using GradientAtoms.Steering;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Worlds;

/// <summary>
/// Steps towards more of each found behaviour of finished demos, at the same KL on neutral chats, along every direction that there
/// is: ours, the reference's, the mean gradient of the pole's documents, a plain fine-tune on them, the same number of other
/// documents, and random ones. Rates are of sampled answers to prompts that neither fine-tune nor audit has seen.
/// </summary>
internal static class DirectionsCommand
{
    private sealed record Cell(string Run, string Behaviour, string Direction, double Kl, double Measured, double OnBefore, double On, double OffBefore, double Off);

    public static int Run(Arguments arguments)
    {
        var kls = arguments.Numbers("kl", ".01,.05");
        var cells = new List<Cell>();
        foreach (var folder in arguments.Need("runs").Split(','))
        {
            using var session = new RunSession(folder, arguments.Text("model"));
            cells.AddRange(Measure(session, folder, kls, arguments.Integer("random", 20)));
        }

        File.WriteAllText(arguments.Need("out"), JsonSerializer.Serialize(cells));
        Print(cells, kls);
        return 0;
    }

    private static IEnumerable<Cell> Measure(RunSession session, string folder, double[] kls, int randomCount)
    {
        var options = new DemoOptions { Out = folder, Seed = session.Options.Seed };
        var world = options.World();
        var chats = world.Chats(options.Documents);
        var (directions, adapter) = (session.Directions(), session.Adapter);
        using var neutral = NeutralSet.Of(session);
        using var moments = session.SecondMoments();
        using var randoms = new Owned();
        var random = new List<(WeightStep Direction, double[] Steps)>();
        double[] Steps(WeightStep direction) => [.. Calibrated(adapter, direction, neutral, kls)];
        for (var index = 0; index < randomCount; index++)
        {
            var direction = randoms.Keep(directions.Random(options.Seed, index));
            random.Add((direction, Steps(direction)));
        }

        foreach (var found in ScoreStage.Read(session.Folder).Where(found => found.Found))
        {
            var behaviour = world.Behaviours.Single(behaviour => behaviour.Name == found.Name);
            var (atom, pole) = session.FindPole(found.Pole!);
            var prompts = world.OnTargetPrompts(behaviour, options.Prompts, chats);
            var count = prompts.Count;
            prompts = [.. prompts, .. world.OffTargetPrompts(behaviour, options.Prompts, chats)];
            (double On, double Off) Rates(LoraAdapter with)
            {
                var shown = SteerStage.Shown(session, with, behaviour, prompts, options.Seed, default);
                return (shown.Take(count).Average(shows => shows ? 1.0 : 0), shown.Skip(count).Average(shows => shows ? 1.0 : 0));
            }

            using var own = new Owned();
            var arms = new List<(string Name, WeightStep Direction, double[]? Steps)>
            {
                ("data", own.Keep(directions.Data(atom.Row, pole.Sign, pole.Id)), null),
                ("natural", own.Keep(directions.Natural(atom.Row, pole.Sign, pole.Id)), null),
                ("gradient (reference)", own.Keep(directions.Gradient(atom.Row, pole.Sign, pole.Id)), null),
                ("mean gradient", own.Keep(directions.Mean(atom.Row, pole.Sign, pole.Id)), null),
                ("shuffled atom", own.Keep(Shuffled(session, options.Seed, pole.Id).Data(atom.Row, pole.Sign, pole.Id)), null),
                ("plain fine-tune", own.Keep(FineTuned(session, atom.Row, pole.Sign)), null),
            };
            if (moments is not null)
            {
                arms.Add(("adam", own.Keep(directions.Adam(atom.Row, pole.Sign, pole.Id, moments)), null));
            }

            arms.AddRange(random.Select((arm, index) => (string.Create(CultureInfo.InvariantCulture, $"random {index}"), arm.Direction, (double[]?)arm.Steps)));
            var before = Rates(adapter);
            foreach (var (name, direction, known) in arms)
            {
                var steps = known ?? Steps(direction);
                for (var strength = 0; strength < kls.Length; strength++)
                {
                    using var steered = direction.ToAdapter(adapter, steps[strength]);
                    var (on, off) = Rates(steered);
                    yield return new(folder, found.Name, name, kls[strength], neutral.Meter.Measure([steered]).Mean, before.On, on, before.Off, off);
                }
            }

            Console.Error.WriteLine($"{folder} {found.Name}");
        }
    }

    private static IEnumerable<double> Calibrated(LoraAdapter adapter, WeightStep direction, NeutralSet neutral, double[] kls)
    {
        var known = new List<KlPoint>();
        foreach (var kl in kls)
        {
            var found = KlCalibration.Calibrate(adapter, direction, neutral.Meter, null, new() { Kl = kl, Percentile95Cap = double.MaxValue, Known = known });
            known.AddRange(found.Curve);
            yield return found.Step;
        }
    }

    // As many documents with the same weights, drawn from all.
    private static PoleDirections Shuffled(RunSession session, long seed, string pole)
    {
        var order = Enumerable.Range(0, session.Codes.DocumentCount).Select(index => (long)index).ToArray();
        RandomStream.Integers(seed, $"bench/shuffled/{pole}").Shuffle(order);
        using var scope = NewDisposeScope();
        return new(session.Rows, session.Bases, session.Eigenvalues, session.Whitening, session.Coordinates, session.AtomRows, SparseCodes.FromDense(session.Codes.ToDense().index_select(0, tensor(order))));
    }

    // The difference that some epochs on the pole's documents make: where it points is what is compared, at a KL of its own.
    private static WeightStep FineTuned(RunSession session, int atom, int sign)
    {
        var byAtom = session.Codes.ByAtom();
        var values = byAtom.CodesOf(atom).ToArray();
        var documents = session.Documents;
        int[] own = [.. byAtom.DocumentsOf(atom).ToArray().Where((_, place) => Math.Sign(values[place]) == sign)];
        using var result = LoraTrainer.Train(
            session.Model.Loaded.Model, session.Adapter, [.. own.Select(index => documents[index])], [], new() { Epochs = 5, LearningRate = 1e-3, Seed = session.Options.Seed, BatchTokens = 512 });
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var (before, after) = (session.Adapter.Modules.ToDictionary(module => module.ModuleName, StringComparer.Ordinal), result.Adapter.Modules.ToDictionary(module => module.ModuleName, StringComparer.Ordinal));
        using var difference = new WeightStep(
            cat([.. session.Layout.Maps.OrderBy(map => map.Offset).Select(map =>
                (map.Name.EndsWith("lora_A", StringComparison.Ordinal) ? after[map.ModuleName].A - before[map.ModuleName].A : after[map.ModuleName].B - before[map.ModuleName].B).flatten())]),
            session.Layout,
            new(StepMode.Composed, "fine-tune"));
        return difference.Normalised();
    }

    private static void Print(List<Cell> cells, double[] kls)
    {
        foreach (var kl in kls)
        {
            var at = cells.Where(cell => cell.Kl == kl).ToList();
            var behaviours = at.Select(cell => (cell.Run, cell.Behaviour)).Distinct().Count();
            Console.WriteLine(FormattableString.Invariant($"\nKL {kl}, {behaviours} behaviours, unsteered {100 * at.Where(cell => cell.Direction == "data").Average(cell => cell.OnBefore):f0} % on target and {100 * at.Where(cell => cell.Direction == "data").Average(cell => cell.OffBefore):f1} % off\n"));
            Console.WriteLine("| direction | on target | change, mean | behaviours up by 20 points or more | off target, change |");
            Console.WriteLine("| --- | --- | --- | --- | --- |");
            foreach (var group in at.GroupBy(cell => cell.Direction.StartsWith("random", StringComparison.Ordinal) ? "random (mean of all)" : cell.Direction, StringComparer.Ordinal))
            {
                var count = group.Select(cell => cell.Direction).Distinct(StringComparer.Ordinal).Count();
                Console.WriteLine(FormattableString.Invariant(
                    $"| {group.Key} | {100 * group.Average(cell => cell.On):f0} % | {100 * group.Average(cell => cell.On - cell.OnBefore):+0;-0;0} | {group.Count(cell => cell.On - cell.OnBefore >= 0.2) / (double)count:0.#} | {100 * group.Average(cell => cell.Off - cell.OffBefore):+0.0;-0.0;0} |"));
            }

            var best = at.Where(cell => cell.Direction.StartsWith("random", StringComparison.Ordinal)).GroupBy(cell => (cell.Run, cell.Behaviour)).Select(group => group.MaxBy(cell => cell.On)!).ToList();
            if (best.Count > 0)
            {
                Console.WriteLine(FormattableString.Invariant(
                    $"| random (best of each behaviour) | {100 * best.Average(cell => cell.On):f0} % | {100 * best.Average(cell => cell.On - cell.OnBefore):+0;-0;0} | {best.Count(cell => cell.On - cell.OnBefore >= 0.2)} | {100 * best.Average(cell => cell.Off - cell.OffBefore):+0.0;-0.0;0} |"));
            }
        }
    }

    private sealed class Owned : IDisposable
    {
        private readonly List<IDisposable> _all = [];

        public T Keep<T>(T value)
            where T : IDisposable
        {
            _all.Add(value);
            return value;
        }

        public void Dispose() => _all.ForEach(item => item.Dispose());
    }
}
