using System.Globalization;
using GradientAtoms.Atoms;
using GradientAtoms.Evaluation;
using GradientAtoms.Evaluation.Sweeps;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Generation;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Steps;
using GradientAtoms.Steering;

namespace GradientAtoms.Runs.Sweeps;

/// <summary>
/// What steps along poles do to answers, by strength: on-target and off-target questions apart, beside random directions of the
/// same strength, judged by detectors, or by a chat model. Every answer is kept when it is there, and none is asked for twice: a sweep that was
/// killed goes on. Results are written after each pole, what is still to come as not run.
/// </summary>
public sealed class Sweep
{
    // A detector that tells a pole's documents from others by less says nothing of the pole.
    private const double LeastContrast = 0.2;

    // Answers are written when so many are there.
    private const int Chunk = 128;

    private readonly RunSession _session;
    private readonly SweepOptions _options;
    private readonly IProgress<StageProgress>? _progress;
    private readonly CancellationToken _cancellationToken;
    private readonly IReadOnlyList<Detector> _detectors;
    private readonly SweepQuestions _questions;
    private readonly string _runKey;
    private readonly string _folder;
    private readonly List<(Atom Atom, Pole Pole)> _poles;
    private readonly Dictionary<string, bool> _shown = new(StringComparer.Ordinal);
    private SweepJudge? _judge;
    private NeutralSet? _neutral;

    private Sweep(RunSession session, SweepOptions options, IProgress<StageProgress>? progress, CancellationToken cancellationToken)
    {
        (_session, _options, _progress, _cancellationToken) = (session, options, progress, cancellationToken);
        _detectors = [.. options.Detectors.Select(Detectors.Parse), .. options.DetectorFile is { } file ? Detectors.ReadFile(ReadText(file), file) : []];
        _poles = PolesOf(session, options);
        _questions = new(session, options);
        _runKey = SweepKey.OfRun(session);
        _folder = FolderOf(session, options);
    }

    /// <summary>Where a sweep of these options lies.</summary>
    /// <param name="session">The run.</param>
    /// <param name="options">What is swept.</param>
    public static string FolderOf(RunSession session, SweepOptions options)
    {
        ArgumentNullException.ThrowIfNull(session);
        ArgumentNullException.ThrowIfNull(options);
        return session.Folder.PathOf($"{SweepFiles.Folder}/{options.Name ?? NameOf(PolesOf(session, options))}");
    }

    /// <summary>Sweeps, or goes on with a sweep.</summary>
    /// <param name="session">The run with its model.</param>
    /// <param name="options">What is swept.</param>
    /// <param name="progress">Told of calibrations and answers.</param>
    /// <param name="cancellationToken">Looked at before every token.</param>
    /// <returns>What is in <c>sweep.json</c> too.</returns>
    /// <exception cref="GradientAtomsException">A pole, question or detector is not there or cannot be read; GA2616: another process writes the sweep.</exception>
    public static SweepReport Run(RunSession session, SweepOptions options, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(session);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfZero(options.Poles.Count, nameof(options));
        return new Sweep(session, options, progress, cancellationToken).Run();
    }

    private SweepReport Run()
    {
        using var answers = new SweepJournal<SweepAnswer>(Path.Combine(_folder, SweepFiles.Answers), answer => answer.Key);
        using var losses = new SweepJournal<SweepLosses>(Path.Combine(_folder, SweepFiles.Losses), entry => entry.Key);
        using var judge = _judge = _options.Judge is { } asked ? new(asked, _folder) : null;
        try
        {
            var work = _poles.Select(pole => new PoleWork(pole.Atom, pole.Pole, _questions.Of(pole.Atom, pole.Pole), Contrasts(pole.Atom, pole.Pole), PlannedArms(pole.Pole))).ToList();
            SweepReport? report = null;
            foreach (var pole in work)
            {
                Do(pole, answers, losses);
                report = Write(work, answers);
            }

            // Only now: the answers of all poles and steps are shuffled among each other.
            if (judge is not null)
            {
                judge.Ask(Judged(work, answers), _options.Seed, _progress, _cancellationToken);
                report = Write(work, answers);
            }

            return report!;
        }
        finally
        {
            _neutral?.Dispose();
        }
    }

    private SweepReport Write(List<PoleWork> work, SweepJournal<SweepAnswer> answers)
    {
        var report = Report(work, answers);
        SweepFiles.Write(_folder, report, [.. work.SelectMany(item => item.Questions.Select(question => (item.Pole.Id, question)))]);
        return report;
    }

    private void Do(PoleWork pole, SweepJournal<SweepAnswer> answers, SweepJournal<SweepLosses> losses)
    {
        var steps = new List<SweepStep>();
        foreach (var arm in pole.Arms)
        {
            _cancellationToken.ThrowIfCancellationRequested();
            try
            {
                using var made = Make(pole, arm);
                steps.Add(made.Step);
                pole.Fingerprints[arm.Id] = made.Fingerprint;
                if (arm.Kind == SweepArmKind.Pole && made.Step.KlNeutral is > 0 and var measured)
                {
                    pole.MeasuredKl[arm.Kl] = measured;
                }

                Ask(pole, arm, made, answers);
                Measure(pole, arm, made, losses);
            }
            catch (Exception error) when (error is SteeringException or NumericalException)
            {
                pole.Failed.Add(arm.Id);
                steps.Add(new() { Arm = arm.Id, Kind = arm.Kind, Kl = arm.Kl, Failure = $"{((GradientAtomsException)error).Problem} ({((GradientAtomsException)error).Code})" });
            }
        }

        pole.Steps = steps;
    }

    private List<SweepArm> PlannedArms(Pole pole)
    {
        var arms = new List<SweepArm> { new("unsteered", SweepArmKind.Unsteered, 0) };
        string Id(string name, double kl) => string.Create(CultureInfo.InvariantCulture, $"{name}@{kl}");
        var kls = _options.Kls.Order().ToList();
        arms.AddRange(kls.Select(kl => new SweepArm(Id(pole.Id, kl), SweepArmKind.Pole, kl)));
        arms.AddRange(kls.Select(kl => new SweepArm(Id(pole.Id, -kl), SweepArmKind.Pole, -kl)));
        if (_options.Remove)
        {
            arms.Add(new($"{pole.Id} removed", SweepArmKind.Removed, 0));
        }

        for (var index = 0; index < _options.Random; index++)
        {
            arms.AddRange(kls.Select(kl => new SweepArm(Id(string.Create(CultureInfo.InvariantCulture, $"random-{index}"), kl), SweepArmKind.Random, kl)));
        }

        return arms;
    }

    private NeutralSet Neutral => _neutral ??= NeutralSet.Of(_session, _options.Neutral, _cancellationToken);

    private MadeArm Make(PoleWork pole, SweepArm arm)
    {
        SweepStep Step(double size, double? klNeutral, KlStatistics? unseen, double? change) => new()
        {
            Arm = arm.Id,
            Kind = arm.Kind,
            Kl = arm.Kl,
            Size = size,
            KlNeutral = klNeutral,
            KlUnseen = unseen?.Mean,
            Perplexity = (unseen?.LogLikelihoodChange ?? change) is { } moved ? Math.Exp(-moved) - 1 : null,
        };

        switch (arm.Kind)
        {
            case SweepArmKind.Unsteered:
                return new("unsteered", new() { Arm = arm.Id, Kind = arm.Kind, Kl = 0 }, null, () => null);
            case SweepArmKind.Pole:
            {
                var chosen = PoleStep.Choose(
                    _session, pole.Pole.Id, new() { Kl = Math.Abs(arm.Kl), Less = arm.Kl < 0, Mode = _options.Mode, TargetCap = _options.TargetCap, Neutral = _options.Neutral }, Neutral, _progress, _cancellationToken);
                var calibration = chosen.Calibration!;
                return new(
                    $"pole {pole.Pole.Id} {_options.Mode} {chosen.Size:R} {chosen.WasTurned != arm.Kl < 0}",
                    Step(chosen.Size, calibration.Chosen.Neutral.Mean, chosen.Unseen, calibration.Chosen.Neutral.LogLikelihoodChange) with
                    {
                        KlOwn = calibration.Chosen.Target?.Mean, Warnings = calibration.Warnings.Count > 0 ? calibration.Warnings : null,
                    },
                    chosen,
                    () => chosen.ToAdapter(_session.Adapter));
            }

            case SweepArmKind.Removed:
            {
                var chosen = PoleStep.Remove(_session, pole.Pole.Id, new() { Mode = _options.Mode }, Neutral, _cancellationToken);
                var removal = chosen.Removal!;
                return new(
                    $"removed {pole.Pole.Id} {_options.Mode}",
                    Step(chosen.Size, removal.Neutral.Mean, chosen.Unseen, removal.Neutral.LogLikelihoodChange) with { Share = removal.Share },
                    chosen,
                    () => chosen.ToAdapter(_session.Adapter));
            }

            default:
            {
                var index = int.Parse(arm.Id.AsSpan("random-".Length, arm.Id.IndexOf('@', StringComparison.Ordinal) - "random-".Length), CultureInfo.InvariantCulture);
                // A step along a pole is often bounded by the pole's own documents: a control is as strong as it came to be on neutral ones.
                var random = RandomStep.Choose(
                    _session, _options.Seed, index, pole.MeasuredKl.TryGetValue(arm.Kl, out var measured) ? measured : arm.Kl, Neutral, _progress, _cancellationToken);
                return new(
                    $"random {_options.Seed} {index} {random.Calibration.Step:R}",
                    Step(random.Calibration.Step, random.Calibration.Chosen.Neutral.Mean, random.Unseen, random.Calibration.Chosen.Neutral.LogLikelihoodChange),
                    null,
                    () =>
                    {
                        using var direction = random.Direction(_session);
                        return direction.ToAdapter(_session.Adapter, random.Calibration.Step);
                    });
            }
        }
    }

    private void Ask(PoleWork pole, SweepArm arm, MadeArm made, SweepJournal<SweepAnswer> answers)
    {
        var missing = pole.Questions.Where(question => _options.Answers && answers.Find(Key(made.Fingerprint, question)) is null).OrderBy(question => question.Tokens.Length).ToList();
        var loaded = _session.Model.Loaded;
        var done = pole.Questions.Count - missing.Count;
        foreach (var chunk in missing.Chunk(Chunk))
        {
            _progress?.Report(new("answers", done, pole.Questions.Count, "answers", arm.Id));
            var generated = BatchGenerator.GenerateEach(
                loaded.Model,
                [.. chunk.Select(question => question.Tokens)],
                [.. chunk.Select(question => new GenerationOptions
                {
                    MaxNewTokens = _options.MaxNewTokens, Temperature = _options.Temperature, StopIds = loaded.StopIds, Seed = (ulong)RandomStream.Seed(_options.Seed, $"sweep/answers/{question.Question.Id}"),
                })],
                [made.Adapter ?? _session.Adapter],
                cancellationToken: _cancellationToken);
            answers.Add(chunk.Zip(generated, (question, answer) => new SweepAnswer(
                Key(made.Fingerprint, question), question.Question.Id, arm.Id, loaded.Tokenizer.Decode(answer.Tokens, skipSpecialTokens: true).Trim(), answer.Tokens.Count, answer.Reason)));
            done += chunk.Length;
        }

        _progress?.Report(new("answers", done, pole.Questions.Count, "answers", arm.Id));
    }

    private string Key(string fingerprint, AskedQuestion question) => _options.Temperature == 0
        ? SweepKey.Of(_runKey, fingerprint, question.Tokens, _options.MaxNewTokens)
        : SweepKey.Of(_runKey, fingerprint, question.Tokens, _options.MaxNewTokens, _options.Temperature, _options.Seed, question.Question.Id);

    private void Measure(PoleWork pole, SweepArm arm, MadeArm made, SweepJournal<SweepLosses> losses)
    {
        if (!_options.Likelihood)
        {
            return;
        }

        foreach (var group in Enum.GetValues<SweepGroup>())
        {
            var documents = (group == SweepGroup.OnTarget ? _questions.OwnDocuments(pole.Atom, pole.Pole) : _questions.OtherDocuments(pole.Atom)).Take(_options.Count).Select(_questions.Document).ToList();
            var key = SweepKey.Of(_runKey, made.Fingerprint, "losses", documents.Select(document => document.Id).ToArray());
            if (losses.Find(key) is not { } found)
            {
                found = new(key, arm.Id, DocumentLosses.Compute(_session.Model.Loaded.Model, [made.Adapter ?? _session.Adapter], documents, cancellationToken: _cancellationToken).Sums);
                losses.Add([found]);
            }

            if (arm.Kind == SweepArmKind.Unsteered)
            {
                pole.Unsteered[group] = found.Losses;
            }
            else
            {
                pole.Likelihood.Add(SweepLikelihood.Of(arm, group, MeanWithError.Of(documents.Select((document, place) => (pole.Unsteered[group][place] - found.Losses[place]) / document.TrainedCount))));
            }
        }
    }

    private IReadOnlyList<DetectorContrast> Contrasts(Atom atom, Pole pole)
    {
        var own = _questions.OwnDocuments(atom, pole).ToHashSet();
        return Detector.Contrasts(
            _detectors.Count > 0 ? _detectors : Detectors.BuiltIn,
            [.. own.Select(document => _session.Texts[document].Answer)],
            [.. Enumerable.Range(0, _session.Texts.Count).Where(document => !own.Contains(document)).Select(document => _session.Texts[document].Answer)]);
    }

    private SweepReport Report(List<PoleWork> work, SweepJournal<SweepAnswer> answers)
    {
        SweepOutcome Outcome(PoleWork pole, SweepQuestion question, SweepArm arm, Behaviour behaviour)
        {
            if (pole.Failed.Contains(arm.Id))
            {
                return SweepOutcome.Failed;
            }

            var key = pole.Fingerprints.TryGetValue(arm.Id, out var fingerprint) ? Key(fingerprint, pole.ById[(question.Group, question.Id)]) : null;
            if (key is null || answers.Find(key) is not { } answer)
            {
                return SweepOutcome.NotRun;
            }

            if (answer.Text.Length == 0)
            {
                return SweepOutcome.Failed;
            }

            return behaviour.Of(answer);
        }

        SweepGrid Grid(PoleWork pole, Behaviour behaviour) => SweepGrid.Of([.. pole.Questions.Select(question => question.Question)], pole.Arms, (question, arm) => Outcome(pole, question, arm, behaviour));
        var measured = work.Where(pole => BehaviourOf(pole) is not null).ToList();
        var grids = measured.Zip(SweepGrid.Correct([.. measured.Select(pole => Grid(pole, BehaviourOf(pole)!))])).ToDictionary(pair => pair.First, pair => pair.Second);
        return new()
        {
            Run = _session.Folder.Manifest.ContentHash,
            Seed = _options.Seed,
            Temperature = _options.Temperature,
            MaxNewTokens = _options.MaxNewTokens,
            Direction = _options.Mode,
            Judge = _judge?.Report(Judged(work, answers), _options.Seed),
            Tests = grids.Values.Sum(grid => grid.Cells.Count(cell => cell is { Group: SweepGroup.OnTarget, Corrected: not null })),
            Poles = [.. work.Select(pole =>
            {
                var detector = BehaviourOf(pole);
                var grid = grids.GetValueOrDefault(pole);
                IEnumerable<SweepRow> Rows(Behaviour of) => Grid(pole, of).Cells.Select(cell => SweepRow.Of(pole.Pole.Id, of.Name, cell));
                return new SweptPole
                {
                    Pole = pole.Pole.Id,
                    Keywords = pole.Pole.Keywords,
                    Detector = detector?.Name,
                    DetectorAbout = detector?.About,
                    Contrasts = [.. pole.Contrasts.Take(5).Select(contrast => new SweepContrast(contrast.Detector.Name, contrast.Own.Rate, contrast.Others.Rate))],
                    Questions = new(
                        pole.Questions.Count(question => question.Question.Group == SweepGroup.OnTarget),
                        pole.Questions.Count(question => question.Question.Group == SweepGroup.OffTarget),
                        pole.Questions.Count(question => question is { Question.Group: SweepGroup.OnTarget, Source: SweepSource.HeldOut }),
                        pole.Questions.Count(question => question is { Question.Group: SweepGroup.OnTarget, Source: SweepSource.Learnt })),
                    Steps = pole.Steps ?? [.. pole.Arms.Select(arm => new SweepStep { Arm = arm.Id, Kind = arm.Kind, Kl = arm.Kl })],
                    Rows =
                    [
                        .. grid is null ? [] : grid.Cells.Select(cell => SweepRow.Of(pole.Pole.Id, detector!.Name, cell)),
                        .. Rows(ByRule(Detectors.Repeats)),
                        .. _detectors.Where(other => other.Name != detector?.Name).Select(ByRule).SelectMany(Rows),
                    ],
                    More = Chosen(pole, detector, grid?.More),
                    Less = Chosen(pole, detector, grid?.Less),
                    Likelihood = _options.Likelihood ? pole.Likelihood : null,
                };
            })],
        };
    }

    private static SweepChosen? Chosen(PoleWork pole, Behaviour? detector, SweepChoice? choice) => choice is null
        ? null
        : new(choice.Arm.Kl, SweepRow.Of(pole.Pole.Id, detector!.Name, choice.ChosenBy), SweepRow.Of(pole.Pole.Id, detector.Name, choice.OnTarget), choice.OffTarget is { } off ? SweepRow.Of(pole.Pole.Id, detector.Name, off) : null);

    // The judge where there is one. A rule that was asked for is taken as it is; of the built-in ones the best must tell something.
    private Behaviour? BehaviourOf(PoleWork pole) =>
        _judge is { } judge ? new(judge.Name, judge.About, judge.OutcomeOf)
        : pole.Contrasts is [var best, ..] && (_detectors.Count > 0 || best.Difference >= LeastContrast) ? ByRule(best.Detector)
        : null;

    private Behaviour ByRule(Detector detector) => new(detector.Name, detector.About, answer =>
    {
        if (!_shown.TryGetValue($"{detector.Name}\n{answer.Key}", out var shown))
        {
            _shown[$"{detector.Name}\n{answer.Key}"] = shown = detector.IsShownBy(answer.Text);
        }

        return shown ? SweepOutcome.Shown : SweepOutcome.NotShown;
    });

    // Each answer once, whatever poles it counts for; an empty one has failed already.
    private List<JudgedAnswer> Judged(List<PoleWork> work, SweepJournal<SweepAnswer> answers) =>
        [.. work.SelectMany(pole => pole.Fingerprints.Where(arm => !pole.Failed.Contains(arm.Key)).SelectMany(arm => pole.Questions.Select(question => (question.Prompt, Answer: answers.Find(Key(arm.Value, question))))))
            .Where(entry => entry.Answer is { Text.Length: > 0 })
            .DistinctBy(entry => entry.Answer!.Key, StringComparer.Ordinal)
            .Select(entry => new JudgedAnswer(entry.Answer!.Key, entry.Prompt, entry.Answer.Text))];

    private static List<(Atom Atom, Pole Pole)> PolesOf(RunSession session, SweepOptions options) =>
        [.. options.Poles.SelectMany(id => Find(session, id)).DistinctBy(found => found.Pole.Id, StringComparer.Ordinal)];

    private static IEnumerable<(Atom Atom, Pole Pole)> Find(RunSession session, string id) =>
        session.Atoms.FirstOrDefault(atom => atom.Id == id) is { Poles.Count: > 0 } atom ? atom.Poles.Select(pole => (atom, pole)) : [session.FindPole(id)];

    private static string NameOf(List<(Atom Atom, Pole Pole)> poles) => poles.Count <= 4
        ? string.Join('_', poles.Select(pole => pole.Pole.Id))
        : string.Create(CultureInfo.InvariantCulture, $"{poles[0].Pole.Id}_and_{poles.Count - 1}_more");

    private static string ReadText(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new RunFolderException("GA2615", file, $"cannot be read ({error.Message})", "Give the detectors' JSON file.", error);
        }
    }

    /// <summary>What tells whether an answer shows a behaviour: a detector's rule, or the judge.</summary>
    private sealed record Behaviour(string Name, string About, Func<SweepAnswer, SweepOutcome> Of);

    /// <summary>A pole under way.</summary>
    private sealed class PoleWork(Atom atom, Pole pole, IReadOnlyList<AskedQuestion> questions, IReadOnlyList<DetectorContrast> contrasts, IReadOnlyList<SweepArm> arms)
    {
        public Atom Atom => atom;

        public Pole Pole => pole;

        public IReadOnlyList<AskedQuestion> Questions => questions;

        public Dictionary<(SweepGroup, string), AskedQuestion> ById { get; } = questions.ToDictionary(question => (question.Question.Group, question.Question.Id));

        public IReadOnlyList<DetectorContrast> Contrasts => contrasts;

        public IReadOnlyList<SweepArm> Arms => arms;

        public IReadOnlyList<SweepStep>? Steps { get; set; }

        public HashSet<string> Failed { get; } = new(StringComparer.Ordinal);

        public Dictionary<string, string> Fingerprints { get; } = new(StringComparer.Ordinal);

        public List<SweepLikelihood> Likelihood { get; } = [];

        /// <summary>By the KL asked for: what the step has on neutral documents.</summary>
        public Dictionary<double, double> MeasuredKl { get; } = [];

        public Dictionary<SweepGroup, IReadOnlyList<double>> Unsteered { get; } = [];
    }

    /// <summary>An arm whose step is known; its adapter is made when it is first asked for. Null: the run's own.</summary>
    private sealed class MadeArm(string fingerprint, SweepStep step, IDisposable? owned, Func<LoraAdapter?> make) : IDisposable
    {
        private LoraAdapter? _adapter;

        public string Fingerprint => fingerprint;

        public SweepStep Step => step;

        public LoraAdapter? Adapter => _adapter ??= make();

        public void Dispose()
        {
            owned?.Dispose();
            _adapter?.Dispose();
        }
    }
}
