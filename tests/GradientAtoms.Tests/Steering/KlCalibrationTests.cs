using GradientAtoms.Models.Adapters;
using GradientAtoms.Steering;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Steering;

public class KlCalibrationTests
{
    [Fact]
    public void The_meter_agrees_with_the_definition_token_by_token()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);
        using var steered = step.ToAdapter(adapter, 1);
        var documents = SomeDocuments.Random(6);
        using var meter = new KlMeter(model, [adapter], documents, new() { BatchTokens = 30, LogitPositions = 4 });

        var measured = meter.Measure([steered]);

        using var scope = NewDisposeScope();
        var all = new List<double>();
        var (change, trained) = (0.0, 0);
        for (var i = 0; i < documents.Count; i++)
        {
            var tokens = tensor(documents[i].Tokens.Select(token => (long)token).ToArray()).unsqueeze(0);
            Tensor LogProbabilities(LoraAdapter with) => nn.functional.log_softmax(model.Logits(model.HiddenStates(tokens, new() { Adapters = [with] })).to(ScalarType.Float64), -1)[0];
            var (p, q) = (LogProbabilities(adapter), LogProbabilities(steered));
            var divergences = (p.exp() * (p - q)).sum(1)[..^1].data<double>().ToArray();
            Assert.Equal(divergences.Average(), measured.PerDocument[i], 1e-5 * divergences.Average());
            all.AddRange(divergences);
            for (var t = 1; t < documents[i].Tokens.Length; t++)
            {
                if (documents[i].Trained[t])
                {
                    change += (q - p)[t - 1, documents[i].Tokens[t]].item<double>();
                    trained++;
                }
            }
        }

        Assert.Equal(all.Count, measured.Tokens);
        Assert.Equal(all.Average(), measured.Mean, 1e-5 * all.Average());
        Assert.Equal(change / trained, measured.LogLikelihoodChange!.Value, 1e-5);
        Assert.Equal(0.95, all.Count(value => value <= measured.Percentile95) / (double)all.Count, 0.03);
    }

    [Fact]
    public void A_small_kl_is_not_lost_in_rounding()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);
        using var meter = new KlMeter(model, [adapter], SomeDocuments.Random(6));

        double Kl(double size)
        {
            using var steered = step.ToAdapter(adapter, size);
            return meter.Measure([steered]).Mean;
        }

        Assert.Equal(4, Kl(2e-3) / Kl(1e-3), 0.05);
        Assert.Equal(0, Kl(0), 1e-12);
    }

    [Theory]
    [InlineData(0.001)]
    [InlineData(0.1)]
    [InlineData(0.5)]
    public void A_calibrated_step_has_the_kl_that_was_asked_for(double kl)
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);
        using var meter = new KlMeter(model, [adapter], SomeDocuments.Random(8));

        var result = KlCalibration.Calibrate(adapter, step, meter, options: new() { Kl = kl, Percentile95Cap = 1000 });

        Assert.True(result.Converged, string.Join("; ", result.Warnings));
        Assert.Empty(result.Warnings);
        Assert.InRange(result.Chosen.Neutral.Mean, 0.97 * kl, 1.03 * kl);
        using var steered = step.ToAdapter(adapter, result.Step);
        Assert.Equal(result.Chosen.Neutral.Mean, meter.Measure([steered]).Mean, 1e-9);
        Assert.Equal(KlLimit.Neutral, result.Chosen.Limit);
        Assert.InRange(result.Curve.Count, 3, 14);
        Assert.Equal(result.Curve.Select(point => point.Step).Order(), result.Curve.Select(point => point.Step));
        Assert.Equal(result.Curve[0].Neutral.Mean, result.Predicted(result.Curve[0].Step), 1e-6 * kl);
        // First crossing: nothing that was measured below the step is above the bound.
        Assert.All(result.Curve.Where(point => point.Step < result.Step), point => Assert.True(point.Load < 1.03));
    }

    [Theory]
    [InlineData(1e-6)]
    [InlineData(1e-2)]
    [InlineData(1e3)]
    public void Where_the_search_begins_does_not_matter(double initialStep)
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);
        using var meter = new KlMeter(model, [adapter], SomeDocuments.Random(8));

        var result = KlCalibration.Calibrate(adapter, step, meter, options: new() { Kl = 0.05, Percentile95Cap = 1000, InitialStep = initialStep });
        var plain = KlCalibration.Calibrate(adapter, step, meter, options: new() { Kl = 0.05, Percentile95Cap = 1000 });

        Assert.True(result.Converged);
        Assert.Equal(plain.Step, result.Step, 0.04 * plain.Step);
    }

    [Fact]
    public void What_is_known_is_not_measured_again_and_changes_no_step()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);
        using var meter = new KlMeter(model, [adapter], SomeDocuments.Random(8));
        var measured = 0;
        KlCalibrationResult Calibrate(double kl, IReadOnlyList<KlPoint> known)
        {
            measured = 0;
            return KlCalibration.Calibrate(adapter, step, meter, options: new() { Kl = kl, Percentile95Cap = 1000, Known = known }, progress: new Counting(() => measured++));
        }

        var small = Calibrate(0.02, []);
        var large = Calibrate(0.1, []);
        var plain = measured;
        var again = Calibrate(0.1, small.Curve);
        Assert.Equal(large.Step, again.Step);
        Assert.InRange(measured, 1, plain - 2);
        Assert.Equal(large.Step, Calibrate(0.1, large.Curve).Step);
        Assert.Equal(0, measured);
    }

    private sealed class Counting(Action count) : IProgress<StageProgress>
    {
        public void Report(StageProgress value) => count();
    }

    [Fact]
    public void Too_few_measurements_are_said_and_the_step_stays_below_the_bound()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);
        using var meter = new KlMeter(model, [adapter], SomeDocuments.Random(8));

        var result = KlCalibration.Calibrate(adapter, step, meter, options: new() { Kl = 0.5, MaxEvaluations = 2 });

        Assert.False(result.Converged);
        Assert.True(result.Chosen.Load < 1);
        Assert.Contains(result.Warnings, warning => warning.Contains("not reached", StringComparison.Ordinal));
    }

    [Fact]
    public void Caps_on_the_target_and_on_the_tail_bound_the_step()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);
        using var meter = new KlMeter(model, [adapter], SomeDocuments.Random(8));
        using var target = new KlMeter(model, [adapter], SomeDocuments.Random(5, seed: 8));

        var onTarget = KlCalibration.Calibrate(adapter, step, meter, target, new() { Kl = 0.1, TargetCap = 0.2, Percentile95Cap = 1000 });
        var onTail = KlCalibration.Calibrate(adapter, step, meter, options: new() { Kl = 0.1, Percentile95Cap = 1.1 });

        Assert.Equal(KlLimit.Target, onTarget.Chosen.Limit);
        Assert.InRange(onTarget.Chosen.Target!.Mean, 0.97 * 0.02, 1.03 * 0.02);
        Assert.Equal(KlLimit.Percentile95, onTail.Chosen.Limit);
        Assert.InRange(onTail.Chosen.Neutral.Percentile95, 0.97 * 0.11, 1.03 * 0.11);
    }

    [Fact]
    public void A_target_that_has_turned_is_said()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var documents = SomeDocuments.Random(4, seed: 8);
        using var step = SomeSteps.Descent(model, adapter, documents);
        using var target = new KlMeter(model, [adapter], documents);
        using var neutral = new KlMeter(model, [adapter], SomeDocuments.Random(8));

        var result = KlCalibration.Calibrate(adapter, step, neutral, target, new() { Kl = 8, Percentile95Cap = 1000, TargetCap = 1000 });

        Assert.Contains(result.Warnings, warning => warning.Contains("turned", StringComparison.Ordinal));
        Assert.True(result.Curve.Max(point => point.Target!.LogLikelihoodChange) > 0);
    }

    [Fact]
    public void Documents_without_predictions_and_options_out_of_range_are_refused()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);
        using var zero = new WeightStep(zeros_like(step.Direction), step.Layout, step.Origin);
        using var meter = new KlMeter(model, [adapter], SomeDocuments.Random(2));

        Assert.Equal("GA1052", Assert.Throws<SteeringException>(() => new KlMeter(model, [adapter], [new("one", 1, [4], [false], 0)])).Code);
        Assert.Equal("GA1051", Assert.Throws<SteeringException>(() => KlCalibration.Calibrate(adapter, zero, meter)).Code);
        foreach (var options in (KlCalibrationOptions[])[new() { Kl = 0 }, new() { Kl = double.NaN }, new() { Tolerance = 0 }, new() { MaxEvaluations = 0 }, new() { InitialStep = -1 }])
        {
            Assert.Equal("GA1053", Assert.Throws<SteeringException>(() => KlCalibration.Calibrate(adapter, step, meter, options: options)).Code);
        }
    }

    [Fact]
    public void Calibration_leaves_no_tensor_behind()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);
        void Run()
        {
            using var meter = new KlMeter(model, [adapter], SomeDocuments.Random(5));
            KlCalibration.Calibrate(adapter, step, meter);
        }

        Run();
        var before = TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        Run();
        Assert.Equal(before, TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }
}
