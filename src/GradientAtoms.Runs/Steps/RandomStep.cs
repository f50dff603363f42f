using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Steering;

namespace GradientAtoms.Runs.Steps;

/// <summary>A control: a random direction of the whitened metric, calibrated on the neutral documents alone. The direction itself is drawn again when it is needed.</summary>
/// <param name="Seed">Of the draw.</param>
/// <param name="Index">Which direction of that seed.</param>
/// <param name="Calibration">How its size was found.</param>
/// <param name="Unseen">On neutral documents that it was not calibrated on; null where none were kept back.</param>
internal sealed record RandomStep(long Seed, int Index, KlCalibrationResult Calibration, KlStatistics? Unseen)
{
    public static RandomStep Choose(RunSession session, long seed, int index, double kl, NeutralSet neutral, IProgress<StageProgress>? progress, CancellationToken cancellationToken)
    {
        var cache = StepCache.Open(session, neutral, RunJson.Of(new { Random = index, Seed = seed }));
        if (cache?.Find(kl, 0, less: false) is { } known)
        {
            return new(seed, index, known.Result with { Curve = [.. cache.Points(against: false).OrderBy(point => point.Step)] }, known.Unseen);
        }

        using var direction = session.Directions().Random(seed, index);
        var calibration = KlCalibration.Calibrate(session.Adapter, direction, neutral.Meter, null, new() { Kl = kl, Known = cache?.Points(against: false) ?? [] }, progress, cancellationToken);
        using var steered = direction.ToAdapter(session.Adapter, calibration.Step);
        var unseen = neutral.UnseenMeter?.Measure([steered], cancellationToken);
        cache?.Learn(against: false, calibration.Curve);
        cache?.Save(new(0, false, false, calibration with { Curve = [] }, null, unseen));
        return new(seed, index, calibration, unseen);
    }

    public WeightStep Direction(RunSession session) => session.Directions().Random(Seed, Index);
}
