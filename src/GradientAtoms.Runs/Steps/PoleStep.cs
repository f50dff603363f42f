using GradientAtoms.Atoms;
using GradientAtoms.Coordinates;
using GradientAtoms.Models.Adapters;
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
}

/// <summary>A step along a pole of a run: its direction, its size, and what was measured of it. Owns the direction.</summary>
public sealed class PoleStep : IDisposable
{
    private PoleStep(Pole pole, WeightStep direction, double size, KlCalibrationResult? calibration, SignCheck sign, bool wasTurned)
    {
        (Pole, Direction, Size, Calibration, Sign, WasTurned) = (pole, direction, size, calibration, sign, wasTurned);
    }

    /// <summary>The pole.</summary>
    public Pole Pole { get; }

    /// <summary>The way that is taken: towards more, or away where less was asked for.</summary>
    public WeightStep Direction { get; }

    /// <summary>How far, above 0.</summary>
    public double Size { get; }

    /// <summary>How the size was found; null where it was given.</summary>
    public KlCalibrationResult? Calibration { get; }

    /// <summary>What a quarter of the step towards more does to the pole's own documents.</summary>
    public SignCheck Sign { get; }

    /// <summary>Whether the measurement turned the direction round.</summary>
    public bool WasTurned { get; }

    /// <summary>Chooses the step. "More" is what the measurement on the pole's documents says, not what the algebra promises.</summary>
    /// <param name="session">The run with its model.</param>
    /// <param name="poleId">The pole.</param>
    /// <param name="options">What is asked for; null for the defaults.</param>
    /// <param name="neutral">A <see cref="NeutralMeter"/> of the session that several choices share; null: one is made, of <see cref="PoleStepOptions.Neutral"/>.</param>
    /// <param name="progress">Told of the calibration.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    /// <exception cref="GradientAtomsException">The run has no such pole, or no step can be taken along it.</exception>
    public static PoleStep Choose(
        RunSession session, string poleId, PoleStepOptions? options = null, KlMeter? neutral = null, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(session);
        options ??= new();
        var (atom, pole) = session.FindPole(poleId);
        var adapter = session.Adapter;
        if (options.Faults != ReferenceFaults.None && (options.Faults, options.Mode) != (ReferenceFaults.Order, StepMode.Gradient))
        {
            throw new ArgumentException($"{options.Faults} with {options.Mode}: only {ReferenceFaults.Order} can be made, and only with {StepMode.Gradient}", nameof(options));
        }

        var documents = TopDocuments(session, pole, options.SignDocuments);
        using var ownNeutral = options.Step is null && neutral is null ? NeutralMeter(session, options.Neutral, cancellationToken) : null;
        neutral ??= ownNeutral;

        // A behaviour that acts on some prompts only leaves neutral ones alone while the step explodes on its own: those bound it too.
        using var target = options.Step is null ? new KlMeter(session.Model.Loaded.Model, [adapter], documents, null, cancellationToken) : null;
        var more = DirectionOf(session, atom, pole, options);
        var turned = false;
        while (true)
        {
            var way = options.Less ? more.Reversed() : more;
            KlCalibrationResult? calibration;
            double size;
            SignCheck sign;
            try
            {
                calibration = target is null ? null : KlCalibration.Calibrate(
                    adapter, way, neutral!, target, new() { Kl = options.Kl, TargetCap = options.TargetCap, IsLess = options.Less, InitialStep = options.InitialStep }, progress, cancellationToken);
                size = options.Step ?? calibration!.Step;
                sign = SignCheck.Measure(session.Model.Loaded.Model, adapter, more, documents, size / 4, null, cancellationToken);
            }
            catch
            {
                way.Dispose();
                more.Dispose();
                throw;
            }

            if (sign.Verdict != SignVerdict.Less || turned)
            {
                if (options.Less)
                {
                    more.Dispose();
                }

                return new(pole, way, size, calibration, sign, turned);
            }

            var back = more.Reversed();
            more.Dispose();
            if (options.Less)
            {
                way.Dispose();
            }

            (more, turned) = (back, true);
        }
    }

    /// <summary>The adapter with the step taken, exact. The caller owns it.</summary>
    /// <param name="adapter">The run's adapter.</param>
    public LoraAdapter ToAdapter(LoraAdapter adapter) => Direction.ToAdapter(adapter, Size);

    /// <summary>Only the step, to first order and linear in its scale, of twice the rank. The caller owns it.</summary>
    /// <param name="adapter">The run's adapter.</param>
    public LoraAdapter ToDelta(LoraAdapter adapter) => Direction.ToDelta(adapter, Size);

    /// <inheritdoc/>
    public void Dispose() => Direction.Dispose();

    /// <summary>What the KL of this run's steps is measured on. The caller owns it.</summary>
    /// <param name="session">The run with its model.</param>
    /// <param name="path">A file of neutral chats or texts; null: the run's, else the built-in prompts.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    /// <exception cref="GradientAtomsException">The neutral file cannot be read.</exception>
    public static KlMeter NeutralMeter(RunSession session, string? path = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(session);
        var (documents, name) = (path ?? session.Options.Neutral) is { } file
            ? (DocumentReader.Read(file, null, cancellationToken).Distinct, file)
            : (NeutralPrompts.Documents, "neutral prompts");
        var tokens = session.Model.ChatTokenizer(session.Options).TokenizeAll(documents, name, null, cancellationToken);
        return new(session.Model.Loaded.Model, [session.Adapter], tokens.Documents, null, cancellationToken);
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

    private static List<TokenizedDocument> TopDocuments(RunSession session, Pole pole, int count)
    {
        var wanted = pole.Top.Take(count).Select(document => document.Id).ToHashSet(StringComparer.Ordinal);
        return [.. session.Documents.Where(document => wanted.Contains(document.Id))];
    }
}
