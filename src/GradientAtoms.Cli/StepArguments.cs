using System.CommandLine;
using System.Globalization;
using GradientAtoms.Coordinates;
using GradientAtoms.Models.Native;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Steps;
using GradientAtoms.Steering;

namespace GradientAtoms.Cli;

/// <summary>The options that choose a step, which <c>steer</c> and <c>export</c> share.</summary>
internal sealed class StepArguments
{
    private readonly Option<double?> _kl = Opt.Number("--kl", "NATS", "Strength: the divergence from the unsteered model, a token of neutral prompts and of the pole's own documents at most. Default .1.", above: 0);
    private readonly Option<string?> _neutral = Opt.Text("--neutral", "FILE", "Chats or texts that --kl is measured on. Default: those of the run, else built-in ones.");
    private readonly Option<double?> _step = Opt.Number("--step", "STEP", "Strength: the step itself, without calibration.", above: 0);
    private readonly Option<bool> _less = Opt.Flag("--less", "Less of the pole instead of more.");
    private readonly Option<bool> _remove = Opt.Flag("--remove", "Instead of a step, project the pole's direction out of the adapter (docs/steering.md).");
    private readonly Option<string?> _direction = Opt.Choice("--direction", "How the atom becomes a step (docs/method.md, 7). Default data.", "data", "natural", "gradient", "adam");
    private readonly Option<string?> _faults = Opt.Choice("--reference-faults", "With --direction gradient, make a mistake of the reference too, to compare with it: order lays the direction into the adapter's tensors in the order of their names (docs/method.md, 4). Default none.", "order");
    private readonly Option<string?> _model = Opt.Text("--model", "MODEL", "The model, where it has moved since the audit.");
    private readonly Option<int?> _threads = Opt.Whole("--threads", "COUNT", "Processor threads. Default: OMP_NUM_THREADS, else all cores.");

    public void AddTo(Command command)
    {
        foreach (var option in (Option[])[_kl, _neutral, _step, _less, _remove, _direction, _faults, _model, _threads])
        {
            command.Add(option);
        }
    }

    public string? ModelOf(ParseResult parse) => parse.GetValue(_model);

    public void UseThreads(ParseResult parse) => TorchThreads.Use(parse.GetValue(_threads));

    public PoleStepOptions Read(ParseResult parse)
    {
        var (kl, step) = (parse.GetValue(_kl), parse.GetValue(_step));
        if (kl is not null && step is not null)
        {
            throw Wrong(parse, "--kl and --step cannot be given together", "give one of them");
        }

        if (step is not null && parse.GetValue(_neutral) is not null)
        {
            throw Wrong(parse, "--neutral and --step cannot be given together", "a given step is not calibrated: leave --neutral out");
        }

        var faults = parse.GetValue(_faults) is { } fault ? Enum.Parse<ReferenceFaults>(fault, ignoreCase: true) : ReferenceFaults.None;
        if (faults != ReferenceFaults.None && parse.GetValue(_direction) != "gradient")
        {
            throw Wrong(parse, "--reference-faults wants --direction gradient", "only the reference's own direction can be taken as the reference takes it");
        }

        return new()
        {
            Faults = faults,
            Mode = Enum.Parse<StepMode>(parse.GetValue(_direction) ?? "data", ignoreCase: true),
            Kl = kl ?? new PoleStepOptions().Kl,
            Neutral = parse.GetValue(_neutral),
            Step = step,
            Less = parse.GetValue(_less),
        };
    }

    /// <summary>Whether the direction is to be projected out instead of a step.</summary>
    public bool IsRemoval(ParseResult parse) => parse.GetValue(_remove);

    /// <summary>Finds the poles that are asked for, <c>POLE</c> or <c>POLE=WEIGHT</c>, before anything is computed.</summary>
    public IReadOnlyList<PolePart> Parts(ParseResult parse, RunSession session, IEnumerable<string> poles)
    {
        var parts = poles.Select(text => Part(parse, text)).ToList();
        parts.ForEach(part => session.FindPole(part.Pole));
        if (IsRemoval(parse) && (parts.Count > 1 || parse.GetValue(_kl) is not null || parse.GetValue(_step) is not null || parse.GetValue(_less)))
        {
            throw Wrong(parse, "--remove goes with one pole and no --kl, --step or --less", "a projection has no strength: leave them out");
        }

        return parts.Count == 1 || parse.GetValue(_step) is null ? parts : throw Wrong(parse, "--step cannot be given for several poles", "give --kl: they are calibrated together");
    }

    /// <summary>Makes the step, or the projection.</summary>
    public PoleStep Choose(ParseResult parse, RunSession session, IReadOnlyList<PolePart> parts, IProgress<StageProgress>? progress, CancellationToken cancellationToken) => IsRemoval(parse)
        ? PoleStep.Remove(session, parts[0].Pole, Read(parse), null, cancellationToken)
        : PoleStep.Compose(session, parts, Read(parse), null, progress, cancellationToken);

    private static PolePart Part(ParseResult parse, string text)
    {
        var equals = text.IndexOf('=', StringComparison.Ordinal);
        if (equals < 0)
        {
            return new(text);
        }

        return double.TryParse(text.AsSpan(equals + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out var weight) && double.IsFinite(weight) && weight != 0
            ? new(text[..equals], weight)
            : throw Wrong(parse, $"'{text}' has no weight that can be read", "give POLE, or POLE=WEIGHT such as a1b2c3+=2 or a1b2c3+=-.5 for less of it");
    }

    private static UsageException Wrong(ParseResult parse, string problem, string remedy) => UsageException.Combination($"gatoms {parse.CommandResult.Command.Name}", problem, remedy);

    /// <summary>What was measured of a step, for JSON.</summary>
    public static object Describe(PoleStep chosen) => new
    {
        Pole = chosen.Id,
        Direction = chosen.Direction.Origin.Mode,
        ReferenceFaults = chosen.Direction.Origin.Faults is var faults and not ReferenceFaults.None ? faults : (ReferenceFaults?)null,
        chosen.Size,
        KlAsked = chosen.Calibration?.Requested,
        KlMeasured = (chosen.Calibration?.Chosen.Neutral ?? chosen.Removal?.Neutral)?.Mean,
        KlUnseen = chosen.Unseen?.Mean,
        UnseenDocuments = chosen.Unseen?.PerDocument.Count,
        KlOwnDocuments = chosen.Calibration?.Chosen.Target?.Mean,
        KlPercentile95 = chosen.Calibration?.Chosen.Neutral.Percentile95,
        chosen.Calibration?.Converged,
        chosen.Calibration?.Warnings,
        Known = chosen.WasKnown ? true : (bool?)null,
        RemovedShare = chosen.Removal?.Share,
        Parts = chosen.Parts.Count == 0 ? null : chosen.Parts.Select(part => new { part.Part.Pole, part.Part.Weight, part.Size, part.OfAlone, part.LogLikelihoodChange }),
        chosen.WasTurned,
        Sign = new { chosen.Sign.Verdict, chosen.Sign.Step, LogLikelihoodChange = chosen.Sign.Odd, Error = double.IsNaN(chosen.Sign.OddError) ? (double?)null : chosen.Sign.OddError, chosen.Sign.Documents },
    };

    /// <summary>The same for a reader.</summary>
    public static void Write(TextWriter writer, PoleStep chosen)
    {
        var strength = chosen.Calibration is { } calibration
            ? $", KL {Plain.Short(calibration.Chosen.Neutral.Mean)} nats a neutral token (95th percentile {Plain.Short(calibration.Chosen.Neutral.Percentile95)}), {Plain.Short(calibration.Chosen.Target!.Mean)} on its own documents (asked: at most {Plain.Short(calibration.Requested)})"
            : string.Empty;
        if (chosen.Removal is { } removal)
        {
            writer.WriteLine($"{chosen.Id} projected out of the adapter: {Plain.Percent(removal.Share)} of its squared weight change; KL {Plain.Short(removal.Neutral.Mean)} nats a neutral token");
        }
        else
        {
            writer.WriteLine($"step {Plain.Short(chosen.Size)} along {chosen.Id}{strength}");
        }

        if (chosen.Unseen is { } unseen)
        {
            writer.WriteLine($"on {Plain.Count(unseen.PerDocument.Count)} neutral documents that it was not calibrated on: KL {Plain.Short(unseen.Mean)}");
        }

        foreach (var part in chosen.Parts)
        {
            writer.WriteLine($"  {part.Part}: {Plain.Percent(part.OfAlone)} of the step that it would take alone; its own documents {part.LogLikelihoodChange.ToString("+0.###;-0.###;0", CultureInfo.InvariantCulture)} nats a token");
        }

        if (chosen.Parts.Count == 0)
        {
            writer.WriteLine($"sign: a quarter of the step towards more changes the log-likelihood a token of {Plain.Count(chosen.Sign.Documents)} of its documents by {Plain.Short(chosen.Sign.Odd)} ± {Plain.Short(chosen.Sign.OddError)} ({Verdict(chosen)})");
        }

        if (chosen.Direction.Origin.Faults.HasFlag(ReferenceFaults.Order))
        {
            writer.WriteLine("as the reference has it, by mistake: the direction is dealt out to the adapter's tensors in the order of their names");
        }

        foreach (var warning in chosen.Calibration?.Warnings ?? [])
        {
            writer.WriteLine($"warning: {Plain.Line(warning)}");
        }
    }

    private static string Verdict(PoleStep chosen) => chosen.Sign.Verdict switch
    {
        SignVerdict.More => chosen.WasTurned ? "more, after the direction was turned round" : "more, as it should be",
        SignVerdict.Less => "less: this direction does not do what it should",
        _ => "not clear from these documents",
    };
}
