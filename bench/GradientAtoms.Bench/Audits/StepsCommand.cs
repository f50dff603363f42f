using System.Globalization;
using System.Text.Json;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Coordinates;
using GradientAtoms.Evaluation;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Steering;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Bench.Audits;

/// <summary>
/// What steps along the best poles of labelled tasks do to documents that neither adapter nor audit has seen, beside random
/// directions of the whitened metric and the reference's direction, all calibrated to the same KL on neutral prompts.
/// </summary>
internal static class StepsCommand
{
    private static readonly double[] Shares = [0.12, 0.25, 0.5, 1];

    private static readonly JsonSerializerOptions Lines = new() { NumberHandling = System.Text.Json.Serialization.JsonNumberHandling.AllowNamedFloatingPointLiterals };

    private sealed record Target(string Task, double F1, string Pole, int Atom, int Sign, double ReferenceF1, int ReferenceAtom, int ReferenceSign)
    {
        public List<TokenizedDocument> Documents { get; init; } = [];

        public List<int> OnPole { get; init; } = [];
    }

    private sealed record Row(string Task, string Arm, double Share, double Kl, double Step, double On, double OnError, double OnPole, double Off, double OffError);

    public static int Run(Arguments arguments)
    {
        using var session = new RunSession(arguments.Need("run"));
        using var reference = new RunSession(arguments.Need("reference"));
        var (first, last) = (arguments.Integer("first", 2001), arguments.Integer("last", 5000));
        var perTask = arguments.Integer("on", 20);
        var kl = arguments.Number("kl", 0.1);
        var damping = arguments.Number("damping", 1);
        var labels = ScoringFiles.Labels(arguments.Need("labels"), int.MaxValue).ToDictionary(row => row.Id, row => row.Task, StringComparer.Ordinal);
        var background = arguments.Text("background") ?? "general";
        double[] randomShares = [.. (arguments.Text("random-shares") ?? "0.12,0.25,0.5,1").Split(',').Select(share => double.Parse(share, CultureInfo.InvariantCulture))];

        var unseen = DocumentReader.Read(arguments.Need("data")).Documents.Where(document => document.Line >= first && document.Line <= last).ToList();
        var tokenizer = session.Model.ChatTokenizer(session.Options);
        List<TokenizedDocument> Tokens(IEnumerable<Document> documents) => [.. documents.SelectMany(document => tokenizer.Tokenize(document).Documents)];

        var targets = Targets(session, reference, labels, background, arguments.Integer("tasks", 8))
            .Select(target => target with { Documents = Tokens(unseen.Where(document => labels[document.Id] == target.Task).Take(perTask)) })
            .ToList();
        var names = targets.Select(target => target.Task).ToHashSet(StringComparer.Ordinal);
        var others = unseen.Where(document => !names.Contains(labels[document.Id])).ToList();
        var offCount = arguments.Integer("off", 40);
        var offTokens = arguments.Integer("off-tokens", int.MaxValue);
        var candidates = Tokens(others).Where(document => document.Tokens.Length <= offTokens).ToList();
        var off = candidates.Where((_, index) => index % Math.Max(1, candidates.Count / offCount) == 0).Take(offCount).ToList();

        var neutral = Tokens(NeutralPrompts.Documents.Take(arguments.Integer("neutral", int.MaxValue)));
        var model = session.Model.Loaded.Model;
        using var meter = new KlMeter(model, [session.Adapter], neutral);

        // Every arm is written when it is measured, and not measured again: the whole takes hours on two cores.
        var partial = $"{arguments.Need("out")}.partial";
        var rows = File.Exists(partial) ? File.ReadLines(partial).Select(line => JsonSerializer.Deserialize<Row>(line, Lines)!).ToList() : [];
        var done = rows.Select(row => (row.Arm, row.Task)).ToHashSet();
        if (!targets.All(target => done.Contains(("data", target.Task))))
        {
            targets = OnPole(session, targets);
        }

        double? randomStep = rows.Where(row => row.Arm.StartsWith("random", StringComparison.Ordinal) && row.Share == 1).Select(row => (double?)row.Step).FirstOrDefault();
        double? previous = rows.LastOrDefault(row => row.Share == 1)?.Step * 0.3;

        double Kl(WeightStep direction, double step)
        {
            using var steered = direction.ToAdapter(session.Adapter, step);
            return meter.Measure([steered]).Mean;
        }

        (double Step, double Kl) Calibrate(WeightStep direction)
        {
            var calibration = KlCalibration.Calibrate(session.Adapter, direction, meter, options: new() { Kl = kl, Tolerance = 0.05, InitialStep = previous, Percentile95Cap = double.MaxValue, TargetCap = double.MaxValue });
            return (calibration.Step, calibration.Chosen.Neutral.Mean);
        }

        // The unsteered losses of a group are computed once, for all arms.
        var groupsByName = new Dictionary<(string, int), DocumentGroup>();
        DocumentGroup GroupOf(string name, IReadOnlyList<TokenizedDocument> documents) => groupsByName.TryGetValue((name, documents.Count), out var group)
            ? group
            : groupsByName[(name, documents.Count)] = new DocumentGroup(name, documents).WithUnsteered(model, session.Adapter);

        void Measure(string arm, WeightStep direction, IReadOnlyList<Target> on, bool bothWays, bool offTarget = true)
        {
            if (on.All(target => done.Contains((arm, target.Task))))
            {
                return;
            }

            // Random directions of so many dimensions all have the same KL to a few percent: after the first, the step is taken over and its KL measured.
            var (step, measured) = offTarget || randomStep is null ? Calibrate(direction) : (randomStep.Value, Kl(direction, randomStep.Value));
            previous = step * 0.3;
            randomStep = offTarget ? randomStep : step;
            double[] signed = [.. offTarget ? Shares : randomShares, .. bothWays ? Shares.Select(share => -share) : []];
            var fresh = new List<Row>();
            var groups = on.Select(target => GroupOf(target.Task, target.Documents)).Append(GroupOf("off", offTarget ? off : [])).ToList();
            var effect = StepEffect.Measure(model, session.Adapter, [new(arm, direction, [.. signed.Select(share => share * step)])], groups);
            foreach (var share in signed)
            {
                var cells = effect.Cells.Where(cell => Math.Abs(cell.Step - (share * step)) < 1e-12).ToDictionary(cell => cell.Group, StringComparer.Ordinal);
                foreach (var target in on)
                {
                    var cell = cells[target.Task];
                    fresh.Add(new(target.Task, arm, share, measured, share * step, cell.Change.Mean, cell.Change.Error,
                        target.OnPole.Count == 0 ? double.NaN : target.OnPole.Average(index => cell.PerDocument[index]), cells["off"].Change.Mean, cells["off"].Change.Error));
                }
            }

            rows.AddRange(fresh);
            File.AppendAllLines(partial, fresh.Select(row => JsonSerializer.Serialize(row, Lines)));
            Console.Error.WriteLine($"{arm} {string.Join(',', on.Select(target => target.Task))}: step {step:g3}, KL {measured:g3}");
        }

        var (ours, theirs) = (session.Directions(), reference.Directions());
        foreach (var target in targets)
        {
            using var data = ours.Data(target.Atom, target.Sign, target.Pole, damping);
            Measure("data", data, [target], bothWays: true);
            using var gradient = theirs.Gradient(target.ReferenceAtom, target.ReferenceSign, target.Task);
            Measure("reference", gradient, [target], bothWays: false);
            if (arguments.Has("faults"))
            {
                using var misplaced = theirs.Gradient(target.ReferenceAtom, target.ReferenceSign, target.Task, ReferenceFaults.Order);
                Measure("reference, in the order of names", misplaced, [target], bothWays: false);
            }

            if (!arguments.Has("extra"))
            {
                continue;
            }

            using var natural = ours.Natural(target.Atom, target.Sign, target.Pole);
            Measure("natural", natural, [target], bothWays: false);
            using var mean = ours.Mean(target.Atom, target.Sign, target.Pole);
            Measure("mean", mean, [target], bothWays: false);
        }

        for (var index = 0; index < arguments.Integer("random", 20); index++)
        {
            using var random = ours.Random(session.Options.Seed, index, damping);
            Measure(string.Create(CultureInfo.InvariantCulture, $"random {index}"), random, targets, bothWays: false, offTarget: false);
        }

        File.WriteAllText(arguments.Need("out"), JsonSerializer.Serialize(new { targets = targets.Select(target => new { target.Task, target.F1, target.Pole, target.ReferenceF1, On = target.Documents.Count, OnPole = target.OnPole.Count }), off = off.Count, neutral = neutral.Count, kl, damping, rows }, Lines));
        StepsTable.Print(arguments.Need("out"));
        return 0;
    }

    private static List<Target> Targets(RunSession session, RunSession reference, Dictionary<string, string> labels, string background, int count)
    {
        List<TaskScore> Scores(RunSession run) => [.. LabelScores.Of(
            run.Codes,
            [.. run.Texts.Select(text => labels[text.Id])],
            new() { Seed = 0, Background = background, Permutations = 1 }).Tasks];
        var theirs = Scores(reference).ToDictionary(task => task.Task, StringComparer.Ordinal);
        return [.. Scores(session).OrderByDescending(task => task.BestF1).Take(count).Select(task =>
        {
            var atom = session.Atoms.Single(candidate => candidate.Row == task.Atom);
            return new Target(task.Task, task.BestF1, $"{atom.Id}{(task.Sign > 0 ? '+' : '-')}", task.Atom, task.Sign, theirs[task.Task].BestF1, theirs[task.Task].Atom, theirs[task.Task].Sign);
        })];
    }

    // Which of a task's documents encode on its pole: a pole may be half of a task.
    private static List<Target> OnPole(RunSession session, List<Target> targets)
    {
        var documents = targets.SelectMany(target => target.Documents).ToList();
        var codes = session.Encode(documents);
        var next = 0;
        return [.. targets.Select(target =>
        {
            var (start, on) = (next, new List<int>());
            next += target.Documents.Count;
            for (var i = 0; i < target.Documents.Count; i++)
            {
                var at = codes.AtomsOf(start + i).IndexOf(target.Atom);
                if (at >= 0 && Math.Sign(codes.CodesOf(start + i)[at]) == target.Sign)
                {
                    on.Add(i);
                }
            }

            return target with { OnPole = on };
        })];
    }
}
