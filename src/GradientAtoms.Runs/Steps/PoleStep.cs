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

/// <summary>A step along a pole of a run: its direction, its size, and what was measured of it. Owns the direction.</summary>
public sealed class PoleStep : IDisposable
{
    private PoleStep(Pole pole, WeightStep direction, double size, KlCalibrationResult? calibration, SignCheck sign, bool wasTurned, KlStatistics? unseen, bool wasKnown)
    {
        (Pole, Direction, Size, Calibration, Sign, WasTurned, Unseen, WasKnown) = (pole, direction, size, calibration, sign, wasTurned, unseen, wasKnown);
    }

    /// <summary>The pole.</summary>
    public Pole Pole { get; }

    /// <summary>The way that is taken: towards more, or away where less was asked for.</summary>
    public WeightStep Direction { get; }

    /// <summary>How far, above 0.</summary>
    public double Size { get; }

    /// <summary>How the size was found; null where it was given.</summary>
    public KlCalibrationResult? Calibration { get; }

    /// <summary>The step on neutral documents that it was not calibrated on; null where none were kept back, or the size was given.</summary>
    public KlStatistics? Unseen { get; }

    /// <summary>What a quarter of the step towards more does to the pole's own documents.</summary>
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

    /// <summary>The adapter with the step taken, exact. The caller owns it.</summary>
    /// <param name="adapter">The run's adapter.</param>
    public LoraAdapter ToAdapter(LoraAdapter adapter) => Direction.ToAdapter(adapter, Size);

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
