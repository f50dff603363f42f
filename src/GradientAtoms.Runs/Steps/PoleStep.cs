using GradientAtoms.Atoms;
using GradientAtoms.Coordinates;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Steering;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Runs.Steps;

/// <summary>What step is asked for.</summary>
public sealed record PoleStepOptions
{
    /// <summary>How the direction is made: <see cref="StepMode.Data"/>, <see cref="StepMode.Natural"/>, <see cref="StepMode.Gradient"/> or <see cref="StepMode.Adam"/>.</summary>
    public StepMode Mode { get; init; } = StepMode.Data;

    /// <summary>What the reference does by mistake, to make on purpose: <see cref="ReferenceFaults.Order"/>, with <see cref="StepMode.Gradient"/> only.</summary>
    public ReferenceFaults Faults { get; init; }

    /// <summary>The KL a token on neutral prompts, in nats, that the step is to have; not looked at where <see cref="Step"/> is given.</summary>
    public double Kl { get; init; } = 0.1;

    /// <summary>The KL a token on the pole's own documents may be at most this many times <see cref="Kl"/>; the step is smaller where it would be more. Above 1 the gain is past its top on real and on planted behaviours (docs/experiments.md).</summary>
    public double TargetCap { get; init; } = 1;

    /// <summary>A file of neutral chats or texts that <see cref="Kl"/> is measured on; null: the run's, else the built-in ones.</summary>
    public string? Neutral { get; init; }

    /// <summary>The step itself; null: calibrated to <see cref="Kl"/>. Above 0.</summary>
    public double? Step { get; init; }

    /// <summary>The first step that the calibration tries, or null; it decides no more than the number of measurements.</summary>
    public double? InitialStep { get; init; }

    /// <summary>Less of the pole instead of more.</summary>
    public bool Less { get; init; }

    /// <summary>Documents of the pole, the strongest, on which the sign is measured.</summary>
    public int SignDocuments { get; init; } = 12;

    /// <summary>Whether what was measured along the pole before is taken from the run, and what is measured now is kept there (<c>steps/</c>).</summary>
    public bool UsesCache { get; init; } = true;
}

/// <summary>A pole of a composed step.</summary>
/// <param name="Pole">Its id.</param>
/// <param name="Weight">Of the step that it would take alone; below 0 for less of the pole.</param>
public sealed record PolePart(string Pole, double Weight = 1)
{
    /// <summary>The id, with the weight where it is not 1.</summary>
    public override string ToString() => Weight == 1 ? Pole : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Pole}={Weight:g3}");
}

/// <summary>What a pole has of a composed step.</summary>
/// <param name="Part">The pole and its weight.</param>
/// <param name="Size">The step along its direction within the whole.</param>
/// <param name="OfAlone">That over the step that it would take alone for the same KL.</param>
/// <param name="LogLikelihoodChange">Of its own documents by the whole step, mean nats a token.</param>
public sealed record StepPart(PolePart Part, double Size, double OfAlone, double LogLikelihoodChange);

/// <summary>What a projection took out.</summary>
/// <param name="Share">Of the squared weight change of the adapter.</param>
/// <param name="Neutral">What is left, on the neutral documents.</param>
public sealed record StepRemoval(double Share, KlStatistics Neutral);

/// <summary>A step along a pole of a run: its direction, its size, and what was measured of it. Owns the direction.</summary>
public sealed class PoleStep : IDisposable
{
    private PoleStep(Pole pole, WeightStep direction, double size, KlCalibrationResult? calibration, SignCheck sign, bool wasTurned, KlStatistics? unseen, bool wasKnown)
    {
        (Pole, Direction, Size, Calibration, Sign, WasTurned, Unseen, WasKnown) = (pole, direction, size, calibration, sign, wasTurned, unseen, wasKnown);
    }

    /// <summary>The pole; of several, the first.</summary>
    public Pole Pole { get; }

    /// <summary>Of a composed step, what each pole has of it; empty of a step along one pole.</summary>
    public IReadOnlyList<StepPart> Parts { get; private init; } = [];

    /// <summary>What was projected out of the adapter's weight change, where that was asked for instead of a step; then <see cref="Size"/> is its coefficient.</summary>
    public StepRemoval? Removal { get; private init; }

    /// <summary>The pole's id; of several, each with its sign and weight: <c>a1b2c3+ d4e5f6-=-0.5</c>.</summary>
    public string Id => Parts.Count == 0 ? Pole.Id : string.Join(' ', Parts.Select(part => part.Part.ToString()));

    /// <summary>The way that is taken: towards more, or away where less was asked for.</summary>
    public WeightStep Direction { get; }

    /// <summary>How far, above 0.</summary>
    public double Size { get; }

    /// <summary>How the size was found; null where it was given.</summary>
    public KlCalibrationResult? Calibration { get; }

    /// <summary>The step on neutral documents that it was not calibrated on; null where none were kept back, or the size was given.</summary>
    public KlStatistics? Unseen { get; }

    /// <summary>What a quarter of the step towards more does to the pole's own documents; of several poles, of the first by itself.</summary>
    public SignCheck Sign { get; }

    /// <summary>Whether the measurement turned the direction round.</summary>
    public bool WasTurned { get; }

    /// <summary>Whether the run held the calibration already.</summary>
    public bool WasKnown { get; }

    /// <summary>Chooses the step. "More" is what the measurement on the pole's documents says, not what the algebra promises.</summary>
    /// <param name="session">The run with its model.</param>
    /// <param name="poleId">The pole.</param>
    /// <param name="options">What is asked for; null for the defaults.</param>
    /// <param name="neutral">The run's neutral documents, where several choices share them; null: those of <see cref="PoleStepOptions.Neutral"/>.</param>
    /// <param name="progress">Told of the calibration.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    /// <exception cref="GradientAtomsException">The run has no such pole, or no step can be taken along it.</exception>
    public static PoleStep Choose(
        RunSession session, string poleId, PoleStepOptions? options = null, NeutralSet? neutral = null, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(session);
        options ??= new();
        var (atom, pole) = session.FindPole(poleId);
        if (options.Faults != ReferenceFaults.None && (options.Faults, options.Mode) != (ReferenceFaults.Order, StepMode.Gradient))
        {
            throw new ArgumentException($"{options.Faults} with {options.Mode}: only {ReferenceFaults.Order} can be made, and only with {StepMode.Gradient}", nameof(options));
        }

        using var ownNeutral = options.Step is null && neutral is null ? NeutralSet.Of(session, options.Neutral, cancellationToken) : null;
        neutral ??= ownNeutral;
        var cache = options.Step is null && options.UsesCache
            ? StepCache.Open(session, neutral!, RunJson.Of(new { Pole = pole.Id, options.Mode, options.Faults, options.SignDocuments }))
            : null;
        using var along = DirectionOf(session, atom, pole, options);
        if (cache?.Find(options.Kl, options.TargetCap, options.Less) is { } known)
        {
            var result = known.Result with { Curve = [.. cache.Points(known.Turned != options.Less).OrderBy(point => point.Step)] };
            return new(pole, Way(along, known.Turned != options.Less), result.Step, result, known.Sign!, known.Turned, known.Unseen, wasKnown: true);
        }

        return Measure(session, pole, along, options, neutral, cache, progress, cancellationToken);
    }

    /// <summary>
    /// A step along several poles. Each is calibrated by itself; the sum of these steps, by their weights, is a direction that is
    /// calibrated again, its neutral KL and that of all the poles' documents together bounded as those of one pole are.
    /// </summary>
    /// <param name="session">The run with its model.</param>
    /// <param name="parts">Poles and their weights; one alone of weight 1 is <see cref="Choose"/>.</param>
    /// <param name="options">What is asked for; <see cref="PoleStepOptions.Step"/> cannot be given. Null for the defaults.</param>
    /// <param name="neutral">As for <see cref="Choose"/>.</param>
    /// <param name="progress">Told of the calibrations.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    /// <exception cref="GradientAtomsException">The run has no such pole, or no step can be taken along one or their sum.</exception>
    public static PoleStep Compose(
        RunSession session, IReadOnlyList<PolePart> parts, PoleStepOptions? options = null, NeutralSet? neutral = null, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(session);
        ArgumentNullException.ThrowIfNull(parts);
        options ??= new();
        if (parts is [{ Weight: > 0 or < 0 } single])
        {
            return Choose(session, single.Pole, options with { Less = options.Less != single.Weight < 0 }, neutral, progress, cancellationToken);
        }

        if (parts.Count == 0 || options.Step is not null)
        {
            throw new ArgumentException("a composed step has poles, and is calibrated", nameof(parts));
        }

        using var ownNeutral = neutral is null ? NeutralSet.Of(session, options.Neutral, cancellationToken) : null;
        neutral ??= ownNeutral!;
        var alone = new List<PoleStep>();
        try
        {
            foreach (var part in parts)
            {
                alone.Add(Choose(session, part.Pole, options with { Less = options.Less != part.Weight < 0 }, neutral, progress, cancellationToken));
            }

            using var sum = WeightStep.Compose([.. alone.Zip(parts, (step, part) => (step.Direction, step.Size * Math.Abs(part.Weight)))]);
            IReadOnlyList<IReadOnlyList<TokenizedDocument>> documents = [.. alone.Select(step => TopDocuments(session, step.Pole, options.SignDocuments))];
            using var target = new KlMeter(session.Model.Loaded.Model, [session.Adapter], [.. documents.SelectMany(group => group).DistinctBy(document => document.Id, StringComparer.Ordinal)], null, cancellationToken);
            var calibration = KlCalibration.Calibrate(
                session.Adapter, sum, neutral.Meter, target, new() { Kl = options.Kl, TargetCap = options.TargetCap, IsLess = true, InitialStep = 0.3 }, progress, cancellationToken);
            using var steered = sum.ToAdapter(session.Adapter, calibration.Step);
            var unseen = neutral.UnseenMeter?.Measure([steered], cancellationToken);
            var effect = StepEffect.Measure(
                session.Model.Loaded.Model, session.Adapter, [new("", sum, [calibration.Step])], [.. documents.Select((group, place) => new DocumentGroup(parts[place].Pole, group))], null, null, cancellationToken);
            return new(alone[0].Pole, Way(sum, against: false), calibration.Step, calibration, alone[0].Sign, alone[0].WasTurned, unseen, wasKnown: false)
            {
                Parts = [.. parts.Select((part, place) => new StepPart(
                    part with { Pole = alone[place].Pole.Id, Weight = options.Less ? -part.Weight : part.Weight },
                    calibration.Step * Math.Abs(part.Weight) * alone[place].Size,
                    calibration.Step * Math.Abs(part.Weight),
                    effect.Cells[place].Change.Mean))],
            };
        }
        finally
        {
            alone.ForEach(step => step.Dispose());
        }
    }

    /// <summary>Projects the pole's direction out of the adapter's weight change (<see cref="AdapterRemoval"/>), instead of a step against it.</summary>
    /// <param name="session">The run with its model.</param>
    /// <param name="poleId">The pole.</param>
    /// <param name="options">How the direction is made; strengths are not looked at. Null for the defaults.</param>
    /// <param name="neutral">As for <see cref="Choose"/>.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    /// <exception cref="GradientAtomsException">The run has no such pole, or its direction changes no weight.</exception>
    public static PoleStep Remove(RunSession session, string poleId, PoleStepOptions? options = null, NeutralSet? neutral = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(session);
        options ??= new();
        using var ownNeutral = neutral is null ? NeutralSet.Of(session, options.Neutral, cancellationToken) : null;
        neutral ??= ownNeutral!;
        using var along = Choose(session, poleId, options with { Step = 1, Less = false }, neutral, null, cancellationToken);
        var removal = AdapterRemoval.Project(session.Adapter, along.Direction);
        using var left = removal.Adapter;
        var (measured, unseen) = (neutral.Meter.Measure([left], cancellationToken), neutral.UnseenMeter?.Measure([left], cancellationToken));
        return new(along.Pole, Way(along.Direction, against: false), removal.Coefficient, null, along.Sign, along.WasTurned, unseen, wasKnown: false) { Removal = new(removal.Share, measured) };
    }

    /// <summary>The adapter with the step taken, exact, or with the direction projected out. The caller owns it.</summary>
    /// <param name="adapter">The run's adapter.</param>
    public LoraAdapter ToAdapter(LoraAdapter adapter) => Removal is null ? Direction.ToAdapter(adapter, Size) : AdapterRemoval.Project(adapter, Direction).Adapter;

    /// <summary>Only the step, to first order and linear in its scale, of twice the rank. The caller owns it.</summary>
    /// <param name="adapter">The run's adapter.</param>
    public LoraAdapter ToDelta(LoraAdapter adapter) => Direction.ToDelta(adapter, Size);

    /// <inheritdoc/>
    public void Dispose() => Direction.Dispose();

    internal static IReadOnlyList<TokenizedDocument> TopDocuments(RunSession session, Pole pole, int count)
    {
        var wanted = pole.Top.Take(count).Select(document => document.Id).ToHashSet(StringComparer.Ordinal);
        return [.. session.Documents.Where(document => wanted.Contains(document.Id))];
    }

    // Where the step of more turns out to be one of less, the direction is turned round and calibrated again.
    private static PoleStep Measure(
        RunSession session, Pole pole, WeightStep along, PoleStepOptions options, NeutralSet? neutral, StepCache? cache, IProgress<StageProgress>? progress, CancellationToken cancellationToken)
    {
        var (adapter, model) = (session.Adapter, session.Model.Loaded.Model);
        var documents = TopDocuments(session, pole, options.SignDocuments);

        // A behaviour that acts on some prompts only leaves neutral ones alone while the step explodes on its own: those bound it too.
        using var target = options.Step is null ? new KlMeter(model, [adapter], documents, null, cancellationToken) : null;
        for (var turned = false; ; turned = true)
        {
            var against = turned != options.Less;
            var way = Way(along, against);
            try
            {
                var calibration = target is null ? null : KlCalibration.Calibrate(
                    adapter,
                    way,
                    neutral!.Meter,
                    target,
                    new() { Kl = options.Kl, TargetCap = options.TargetCap, IsLess = options.Less, InitialStep = options.InitialStep, Known = cache?.Points(against) ?? [] },
                    progress,
                    cancellationToken);
                cache?.Learn(against, calibration!.Curve);
                var size = options.Step ?? calibration!.Step;
                using var more = Way(along, turned);
                var sign = SignCheck.Measure(model, adapter, more, documents, size / 4, null, cancellationToken);
                if (sign.Verdict == SignVerdict.Less && !turned)
                {
                    way.Dispose();
                    continue;
                }

                KlStatistics? unseen = null;
                if (calibration is not null)
                {
                    using var steered = way.ToAdapter(adapter, size);
                    unseen = neutral!.UnseenMeter?.Measure([steered], cancellationToken);
                    cache?.Save(new(options.TargetCap, options.Less, turned, calibration with { Curve = [] }, sign, unseen));
                }

                return new(pole, way, size, calibration, sign, turned, unseen, wasKnown: false);
            }
            catch
            {
                way.Dispose();
                throw;
            }
        }
    }

    private static WeightStep Way(WeightStep along, bool against)
    {
        if (against)
        {
            return along.Reversed();
        }

        using var scope = TorchSharp.torch.NewDisposeScope();
        return new(along.Direction.clone(), along.Layout, along.Origin);
    }

    private static WeightStep DirectionOf(RunSession session, Atom atom, Pole pole, PoleStepOptions options)
    {
        var directions = session.Directions();
        switch (options.Mode)
        {
            case StepMode.Data:
                return directions.Data(atom.Row, pole.Sign, pole.Id);
            case StepMode.Natural:
                return directions.Natural(atom.Row, pole.Sign, pole.Id);
            case StepMode.Gradient:
                return directions.Gradient(atom.Row, pole.Sign, pole.Id, options.Faults);
            case StepMode.Adam:
                using (var moments = session.SecondMoments())
                {
                    return moments is null
                        ? throw new RunFolderException("GA2691", session.Folder.Path, "holds no optimiser state: the adapter was given, not tuned here", "Use --direction data.")
                        : directions.Adam(atom.Row, pole.Sign, pole.Id, moments);
                }

            default:
                throw new ArgumentOutOfRangeException(nameof(options), options.Mode, "no direction of a pole");
        }
    }
}
