using GradientAtoms.Models.Adapters;
using static TorchSharp.torch;

namespace GradientAtoms.Steering;

/// <summary>
/// An adapter from whose weight change a direction was projected out. ΔW = s·BA is what the adapter adds to the weights, and
/// D = s·(v_B A + B v_A) what a small step along v adds (first order, all modules together); what is left is
/// ΔW − D·⟨ΔW, D⟩/‖D‖². That is exact in the space of the weights, not of A and B, and makes a LoRA of rank 2r.
/// </summary>
/// <param name="Adapter">What is left. The caller of <see cref="Project"/> owns it.</param>
/// <param name="Coefficient">⟨ΔW, D⟩/‖D‖²: the step that was taken out.</param>
/// <param name="Share">⟨ΔW, D⟩²/(‖ΔW‖²‖D‖²): the part of the squared weight change that is gone.</param>
public sealed record AdapterRemoval(LoraAdapter Adapter, double Coefficient, double Share)
{
    /// <summary>Projects.</summary>
    /// <param name="adapter">θ; it is left as it is.</param>
    /// <param name="direction">v.</param>
    /// <exception cref="SteeringException">GA1051: the direction changes no weight.</exception>
    public static AdapterRemoval Project(LoraAdapter adapter, WeightStep direction)
    {
        ArgumentNullException.ThrowIfNull(adapter);
        ArgumentNullException.ThrowIfNull(direction);
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var (along, squared, whole) = (0.0, 0.0, 0.0);
        foreach (var module in adapter.Modules)
        {
            using var inner = NewDisposeScope();
            var (a, b) = direction.PartsOf(module);
            var (left, right) = (cat([b, module.B], dim: 1).to(ScalarType.Float64), cat([module.A, a], dim: 0).to(ScalarType.Float64)); // D = s·[v_B, B][A; v_A]
            var (ownLeft, ownRight) = (module.B.to(ScalarType.Float64), module.A.to(ScalarType.Float64));
            var scale = module.Scale * module.Scale;
            along += scale * Product(ownLeft, ownRight, left, right);
            squared += scale * Product(left, right, left, right);
            whole += scale * Product(ownLeft, ownRight, ownLeft, ownRight);
        }

        if (!(squared > 0) || !double.IsFinite(along))
        {
            throw new SteeringException("GA1051", direction.Origin.Pole ?? direction.Origin.Mode.ToString(), "the direction changes no weight", "Choose another pole or another mode of step.");
        }

        var coefficient = along / squared;
        return new(
            new([.. adapter.Modules.Select(module =>
            {
                var (a, b) = direction.PartsOf(module);
                return module with { A = cat([module.A, a], dim: 0), B = cat([module.B.add(b, alpha: -coefficient), module.B * -coefficient], dim: 1) };
            })]),
            coefficient,
            whole > 0 ? along * along / (squared * whole) : 0);
    }

    // ⟨P Q, R S⟩ = Σ (PᵀR) ∘ (Q Sᵀ): only products of rank size are formed.
    private static double Product(Tensor p, Tensor q, Tensor r, Tensor s) => (p.t().matmul(r) * q.matmul(s.t())).sum().item<double>();
}
