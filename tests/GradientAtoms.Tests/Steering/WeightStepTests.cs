using GradientAtoms.Models.Adapters;
using GradientAtoms.Steering;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Steering;

public class WeightStepTests
{
    [Fact]
    public void A_delta_beside_the_adapter_differs_from_the_exact_step_by_the_second_order_term_alone()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model, ["q_proj", "down_proj"]);
        using var step = SomeSteps.Random(adapter, length: 3);
        const double size = 0.7;
        using var exact = step.ToAdapter(adapter, size);
        using var delta = step.ToDelta(adapter, size);
        using var exactDelta = step.ToExactDelta(adapter, size);
        using var scope = NewDisposeScope();
        var (missingSquared, exactSquared) = (0.0, 0.0);

        for (var i = 0; i < adapter.Modules.Count; i++)
        {
            Tensor Weight(LoraModule module) => module.B.to(ScalarType.Float64).matmul(module.A.to(ScalarType.Float64)) * module.Scale;
            var module = adapter.Modules[i];
            var map = step.Layout[$"{module.ModuleName}.lora_A"];
            var a = step.Direction.narrow(0, map.Offset, map.Size).view(module.A.shape).to(ScalarType.Float64);
            map = step.Layout[$"{module.ModuleName}.lora_B"];
            var b = step.Direction.narrow(0, map.Offset, map.Size).view(module.B.shape).to(ScalarType.Float64);
            var secondOrder = b.matmul(a) * (module.Scale * size * size);

            AssertTensor.Close(Weight(exact.Modules[i]) - Weight(module), Weight(delta.Modules[i]) + secondOrder, 1e-6);
            AssertTensor.Close(Weight(exact.Modules[i]) - Weight(module), Weight(exactDelta.Modules[i]), 1e-6);
            Assert.Equal(2 * module.Rank, delta.Modules[i].Rank);
            missingSquared += secondOrder.square().sum().item<double>();
            exactSquared += (Weight(exact.Modules[i]) - Weight(module)).square().sum().item<double>();
        }

        var error = step.DeltaError(adapter, size);
        Assert.Equal(Math.Sqrt(missingSquared / exactSquared), error, 1e-5);
        Assert.InRange(error, 0.01, 0.9);
    }

    [Fact]
    public void Deltas_are_linear_in_the_step_and_their_error_vanishes_with_it()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);
        using var one = step.ToDelta(adapter, 0.25);
        using var two = step.ToDelta(adapter, -0.5);
        using var scope = NewDisposeScope();

        AssertTensor.Close(one.Modules[0].B.matmul(one.Modules[0].A) * -2, two.Modules[0].B.matmul(two.Modules[0].A), 1e-6);
        Assert.Equal(2, step.DeltaError(adapter, 2e-3) / step.DeltaError(adapter, 1e-3), 1e-2);
        Assert.Equal(0, step.DeltaError(adapter, 0));
    }

    [Fact]
    public void A_model_with_a_delta_predicts_what_it_does_with_the_exact_adapter_at_a_small_step()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);
        using var scope = NewDisposeScope();
        var tokens = tensor(new long[] { 3, 9, 20, 4, 17 }).unsqueeze(0);
        Tensor Logits(params LoraAdapter[] adapters) => model.Logits(model.HiddenStates(tokens, new() { Adapters = adapters }));

        using var exact = step.ToAdapter(adapter, 0.02);
        using var delta = step.ToDelta(adapter, 0.02);
        var (plain, moved) = (Logits(adapter), Logits(exact));

        var change = (moved - plain).norm().item<float>();
        var error = (Logits(adapter, delta) - moved).norm().item<float>();
        Assert.True(error < 0.05 * change, $"error {error:g3} of a change of {change:g3}");
    }

    [Fact]
    public void Composed_steps_add_up()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var one = SomeSteps.Random(adapter, seed: 1);
        using var two = SomeSteps.Random(adapter, seed: 2);
        using var both = WeightStep.Compose([(one, 0.5), (two, -2)]);
        using var scope = NewDisposeScope();

        AssertTensor.Close((one.Direction * 0.5) - (two.Direction * 2), both.Direction, 1e-6);
        using var first = one.ToAdapter(adapter, 0.5);
        using var second = two.ToAdapter(first, -2);
        using var at = both.ToAdapter(adapter, 1);
        AssertTensor.Close(second.Modules[^1].B, at.Modules[^1].B, 1e-6);
    }

    [Fact]
    public void A_reversed_step_undoes_and_a_normalised_one_has_length_one()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter, length: 5);
        using var back = step.Reversed();
        using var unit = step.Normalised();
        using var there = step.ToAdapter(adapter, 0.3);
        using var again = back.ToAdapter(there, 0.3);

        AssertTensor.Close(adapter.Modules[0].A, again.Modules[0].A, 1e-6);
        Assert.Equal(5, step.Norm(), 1e-5);
        Assert.Equal(1, unit.Norm(), 1e-6);
    }

    [Fact]
    public void A_step_of_another_adapter_is_refused()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var other = Some.Adapter(model, ["q_proj", "k_proj"]);
        using var otherRank = Some.Adapter(model, rank: 4);
        using var step = SomeSteps.Random(adapter);
        using var otherStep = SomeSteps.Random(other);

        Assert.Equal("GA1050", Assert.Throws<SteeringException>(() => step.ToAdapter(other, 1)).Code);
        Assert.Equal("GA1050", Assert.Throws<SteeringException>(() => step.ToDelta(otherRank, 1)).Code);
        Assert.Equal("GA1050", Assert.Throws<SteeringException>(() => WeightStep.Compose([(step, 1), (otherStep, 1)])).Code);
    }

    [Fact]
    public void A_direction_that_is_zero_or_not_finite_has_no_unit_length()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);
        using var zero = new WeightStep(zeros_like(step.Direction), step.Layout, step.Origin);
        using var broken = new WeightStep(full_like(step.Direction, float.NaN), step.Layout, step.Origin);

        Assert.Equal("GA1051", Assert.Throws<SteeringException>(zero.Normalised).Code);
        Assert.Equal("GA1051", Assert.Throws<SteeringException>(broken.Normalised).Code);
    }

    [Fact]
    public void The_step_of_adam_is_the_gradient_over_the_root_of_its_second_moments()
    {
        using var scope = NewDisposeScope();
        var step = StepDirections.Adam(tensor(new[] { 2f, -3f, 1f }), tensor(new[] { 4f, 9f, 0f }), epsilon: 1e-6);

        Assert.Equal(-1, step[0].item<float>(), 1e-5);
        Assert.Equal(1, step[1].item<float>(), 1e-5);
        Assert.Equal(-1 / (1e-6 * Math.Sqrt(13 / 3.0)), step[2].item<float>(), 1.0);
    }
}
