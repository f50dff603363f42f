using GradientAtoms.Models.Adapters;
using GradientAtoms.Steering;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Steering;

public class AdapterRemovalTests
{
    [Fact]
    public void What_is_left_of_the_weight_change_is_orthogonal_to_what_a_small_step_adds()
    {
        using var scope = NewDisposeScope();
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);
        var removal = AdapterRemoval.Project(adapter, step);
        using var left = removal.Adapter;
        using var delta = step.ToDelta(adapter, 1);

        var (whole, along, remaining, ofDelta) = (Dot(adapter, adapter), Dot(adapter, delta), Dot(left, delta), Dot(delta, delta));
        Assert.Equal(along / ofDelta, removal.Coefficient, 1e-5 * Math.Abs(removal.Coefficient));
        Assert.Equal(along * along / (whole * ofDelta), removal.Share, 1e-6);
        Assert.InRange(Math.Abs(remaining), 0, 1e-5 * Math.Sqrt(whole * ofDelta));
        Assert.Equal(whole * (1 - removal.Share), Dot(left, left), 1e-5 * whole);
        Assert.Equal(2 * adapter.Modules[0].Rank, left.Modules[0].Rank);
    }

    [Fact]
    public void The_adapters_own_growth_is_removed_whole()
    {
        using var scope = NewDisposeScope();
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var step = SomeSteps.Random(adapter);

        // v = θ: a small step adds 2·ΔW, so that nothing is left.
        using var own = new WeightStep(cat([.. step.Layout.Maps.Select(map =>
        {
            var module = adapter.Modules.Single(module => map.Name.StartsWith($"{module.ModuleName}.", StringComparison.Ordinal));
            return (map.Name.EndsWith("lora_A", StringComparison.Ordinal) ? module.A : module.B).flatten();
        })]), step.Layout, step.Origin);
        var removal = AdapterRemoval.Project(adapter, own);
        using var left = removal.Adapter;
        Assert.Equal(1, removal.Share, 1e-6);
        Assert.Equal(0.5, removal.Coefficient, 1e-6);
        Assert.InRange(Dot(left, left), 0, 1e-9 * Dot(adapter, adapter));
    }

    [Fact]
    public void A_direction_of_nothing_cannot_be_removed()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var some = SomeSteps.Random(adapter);
        using var nothing = new WeightStep(zeros_like(some.Direction), some.Layout, some.Origin);
        Assert.Equal("GA1051", Assert.Throws<SteeringException>(() => AdapterRemoval.Project(adapter, nothing)).Code);
    }

    // Over the weight changes themselves, formed in full.
    private static double Dot(LoraAdapter one, LoraAdapter other) => one.Modules.Zip(other.Modules).Sum(pair =>
    {
        using var scope = NewDisposeScope();
        Tensor Change(LoraModule module) => module.B.to(ScalarType.Float64).matmul(module.A.to(ScalarType.Float64)) * module.Scale;
        return (Change(pair.First) * Change(pair.Second)).sum().item<double>();
    });
}
