using System.Globalization;
using GradientAtoms.Models.Adapters;

namespace GradientAtoms.Steering;

/// <summary>How a step is calibrated.</summary>
public sealed record KlCalibrationOptions
{
    /// <summary>The KL a token on the neutral documents that is asked for, in nats.</summary>
    public double Kl { get; init; } = 0.1;

    /// <summary>How near to it the measured one must come, relative.</summary>
    public double Tolerance { get; init; } = 0.03;

    /// <summary>Measurements at most.</summary>
    public int MaxEvaluations { get; init; } = 24;

    /// <summary>The 95th percentile of the KL over neutral tokens may be at most this many times <see cref="Kl"/>.</summary>
    public double Percentile95Cap { get; init; } = 10;

    /// <summary>The KL a token on the target documents may be at most this many times <see cref="Kl"/>.</summary>
    public double TargetCap { get; init; } = 10;

    /// <summary>Whether the direction is meant to make the target less likely: where it does, that is no warning.</summary>
    public bool IsLess { get; init; }

    /// <summary>The first step that is tried, or null for one of a hundredth of the adapter's norm. It decides no more than the number of measurements.</summary>
    public double? InitialStep { get; init; }

    /// <summary>
    /// Measurements along the same direction on the same documents that are there already: what the search would measure again
    /// it takes from here. The step that is found does not depend on them.
    /// </summary>
    public IReadOnlyList<KlPoint> Known { get; init; } = [];
}

/// <summary>Which bound a calibrated step has reached.</summary>
public enum KlLimit
{
    /// <summary>The mean on the neutral documents.</summary>
    Neutral,

    /// <summary>The 95th percentile over neutral tokens.</summary>
    Percentile95,

    /// <summary>The mean on the target documents.</summary>
    Target,
}

/// <summary>One measurement.</summary>
/// <param name="Step">The step.</param>
/// <param name="Neutral">On the neutral documents.</param>
/// <param name="Target">On the target documents, or null without them.</param>
/// <param name="Load">The largest of the bounded figures over its bound: 1 is what is looked for.</param>
/// <param name="Limit">The figure that it is of.</param>
public sealed record KlPoint(double Step, KlStatistics Neutral, KlStatistics? Target, double Load, KlLimit Limit);

/// <summary>A calibrated step and how it was found.</summary>
/// <param name="Requested">The KL that was asked for.</param>
/// <param name="Chosen">The measurement at the chosen step.</param>
/// <param name="Converged">Whether a bound is met within the tolerance.</param>
/// <param name="Curvature">c of the prediction ½·c·step² of the neutral KL, from the smallest step measured.</param>
/// <param name="Curve">Every measurement, by step.</param>
/// <param name="Warnings">What a user should know, in words.</param>
public sealed record KlCalibrationResult(
    double Requested, KlPoint Chosen, bool Converged, double Curvature, IReadOnlyList<KlPoint> Curve, IReadOnlyList<string> Warnings)
{
    /// <summary>The step.</summary>
    public double Step => Chosen.Step;

    /// <summary>The neutral KL that the quadratic prediction gives at a step.</summary>
    public double Predicted(double step) => 0.5 * Curvature * step * step;
}

/// <summary>
/// Finds the step of a direction that moves neutral predictions by a KL that is asked for. The KL is measured: the quadratic
/// prediction only leads the search. It need not rise with the step for ever, so the search comes from small steps and takes
/// the first crossing that its steps can see. It walks on powers of 2 of one step, so that searches for several strengths share
/// what they measure.
/// </summary>
public static class KlCalibration
{
    // The bracket is walked from about this share of the bound in steps of this factor.
    private const double SmallLoad = 0.05;
    private const double Growth = 2; // so MeasurePower has it

    // Below this a float32 KL is mostly rounding.
    private const double Noise = 1e-9;

    /// <summary>Finds a positive step; for less of a pole give the reversed direction.</summary>
    /// <param name="adapter">θ.</param>
    /// <param name="direction">v.</param>
    /// <param name="neutral">Measures on the neutral documents; made with the adapter alone.</param>
    /// <param name="target">Measures on documents that the step is meant for, or null.</param>
    /// <param name="options">What is asked for, or null for the defaults.</param>
    /// <param name="progress">Told once a measurement.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    /// <exception cref="SteeringException">GA1051: no step can be taken along the direction; GA1053: an option is out of range.</exception>
    public static KlCalibrationResult Calibrate(
        LoraAdapter adapter,
        WeightStep direction,
        KlMeter neutral,
        KlMeter? target = null,
        KlCalibrationOptions? options = null,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        options ??= new();
        Check(options);
        var curve = new List<KlPoint>();
        var known = options.Known.Where(point => point.Target is not null || target is null).ToLookup(point => point.Step);
        KlPoint Measure(double step)
        {
            if (known[step].FirstOrDefault() is { } old)
            {
                curve.Add(PointOf(step, old.Neutral, target is null ? null : old.Target, options));
                return curve[^1];
            }

            using var steered = direction.ToAdapter(adapter, step);
            var point = PointOf(step, neutral.Measure([steered], cancellationToken), target?.Measure([steered], cancellationToken), options);
            curve.Add(point);
            progress?.Report(new("calibration", curve.Count, options.MaxEvaluations, "measurements", string.Create(CultureInfo.InvariantCulture, $"KL {point.Neutral.Mean:g3}")));
            return point;
        }

        bool Left() => curve.Count < options.MaxEvaluations;
        bool Near(KlPoint point) => Math.Abs(point.Load - 1) <= options.Tolerance;

        var unit = 0.01 * WeightStep.NormOf(adapter) / direction.FiniteNorm();
        var power = options.InitialStep is { } first ? (int)Math.Round(Math.Log2(first / unit)) : 0;
        KlPoint MeasurePower() => Measure(unit * Math.Pow(2, power));
        var below = MeasurePower();

        // Down or up to where the KL is small, but not so small that it is rounding.
        while (Left() && below.Load > SmallLoad * Growth * Growth)
        {
            power -= (int)Math.Ceiling(Math.Log2(Math.Clamp(Math.Sqrt(below.Load / SmallLoad), 2, 1e3)));
            below = MeasurePower();
        }

        while (Left() && below.Load < SmallLoad / 2)
        {
            power += below.Neutral.Mean < Noise ? 3 : (int)Math.Log2(Math.Clamp(Math.Sqrt(SmallLoad / below.Load), 2, 30));
            var next = MeasurePower();
            if (next.Load >= 1)
            {
                return Finish(Refine(below, next), options, curve, target is not null);
            }

            below = next;
        }

        while (Left() && !Near(below) && below.Load < 1)
        {
            power++;
            var next = MeasurePower();
            if (next.Load >= 1)
            {
                return Finish(Refine(below, next), options, curve, target is not null);
            }

            below = next;
        }

        return Finish(below, options, curve, target is not null);

        // Regula falsi in the logarithms of step and load, where a quadratic is a straight line; halving where that stalls.
        KlPoint Refine(KlPoint low, KlPoint high)
        {
            var sameEnd = 0; // how often in a row the same end moved: above 0 the upper one
            while (Left() && !Near(low) && !Near(high))
            {
                var (left, right) = (Math.Log(low.Step), Math.Log(high.Step));
                var (under, over) = (Math.Log(Math.Max(low.Load, 1e-30)), Math.Log(high.Load));
                var share = Math.Abs(sameEnd) >= 2 || over <= under ? 0.5 : Math.Clamp(-under / (over - under), 0.02, 0.98);
                var middle = Measure(Math.Exp(left + ((right - left) * share)));
                sameEnd = middle.Load >= 1 ? Math.Max(0, sameEnd) + 1 : Math.Min(0, sameEnd) - 1;
                (low, high) = middle.Load >= 1 ? (low, middle) : (middle, high);
            }

            // A step above the bound is taken only where it is within the tolerance.
            return Near(high) && Math.Abs(high.Load - 1) < Math.Abs(low.Load - 1) ? high : low;
        }
    }

    private static KlPoint PointOf(double step, KlStatistics neutral, KlStatistics? target, KlCalibrationOptions options)
    {
        var (load, limit) = (neutral.Mean / options.Kl, KlLimit.Neutral);
        var spread = neutral.Percentile95 / (options.Kl * options.Percentile95Cap);
        (load, limit) = spread > load ? (spread, KlLimit.Percentile95) : (load, limit);
        var onTarget = target is null ? 0 : target.Mean / (options.Kl * options.TargetCap);
        return onTarget > load ? new(step, neutral, target, onTarget, KlLimit.Target) : new(step, neutral, target, load, limit);
    }

    private static KlCalibrationResult Finish(KlPoint chosen, KlCalibrationOptions options, List<KlPoint> curve, bool hasTarget)
    {
        string Number(double value) => value.ToString("g3", CultureInfo.InvariantCulture);
        curve.Sort((one, other) => one.Step.CompareTo(other.Step));
        var warnings = new List<string>();
        var converged = Math.Abs(chosen.Load - 1) <= options.Tolerance;
        if (!converged)
        {
            warnings.Add($"KL {Number(options.Kl)} was not reached within {curve.Count} measurements: this step gives {Number(chosen.Neutral.Mean)}");
        }

        if (chosen.Limit == KlLimit.Percentile95)
        {
            warnings.Add($"some neutral tokens change far more than the mean: the 95th percentile of their KL, {Number(chosen.Neutral.Percentile95)}, bounds the step");
        }

        if (chosen.Limit == KlLimit.Target)
        {
            warnings.Add($"the step acts on its target far more than on neutral text: the KL there, {Number(chosen.Target!.Mean)}, bounds the step");
        }

        if (hasTarget && !options.IsLess && chosen.Target!.LogLikelihoodChange is { } change)
        {
            var best = curve.Where(point => point.Step <= chosen.Step).MaxBy(point => point.Target!.LogLikelihoodChange)!;
            if (change < 0)
            {
                warnings.Add($"the target becomes less likely at this step ({Number(change)} a token)");
            }

            if (best.Target!.LogLikelihoodChange > Math.Max(0, change))
            {
                warnings.Add($"the target has turned: a step of {Number(best.Step)} does more for it ({Number(best.Target.LogLikelihoodChange.Value)} a token) than this one ({Number(change)})");
            }
        }

        var smallest = curve.FirstOrDefault(point => point.Neutral.Mean >= Noise) ?? curve[0];
        return new(options.Kl, chosen, converged, 2 * smallest.Neutral.Mean / (smallest.Step * smallest.Step), curve, warnings);
    }

    private static void Check(KlCalibrationOptions options)
    {
        void Need(bool right, string option, string range)
        {
            if (!right)
            {
                throw new SteeringException("GA1053", option, $"must be {range}", "Change the option.");
            }
        }

        Need(double.IsFinite(options.Kl) && options.Kl > 0, "KL", "above 0");
        Need(options.Tolerance is > 0 and < 1, "tolerance", "between 0 and 1");
        Need(options.MaxEvaluations >= 1, "measurements", "at least 1");
        Need(options.Percentile95Cap > 0 && options.TargetCap > 0, "caps", "above 0");
        Need(options.InitialStep is null or (> 0 and < double.PositiveInfinity), "initial step", "above 0");
    }
}
