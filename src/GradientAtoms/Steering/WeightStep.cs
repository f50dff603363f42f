using GradientAtoms.Coordinates;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Adapters;
using static TorchSharp.torch;

namespace GradientAtoms.Steering;

/// <summary>How a direction was made.</summary>
public enum StepMode
{
    /// <summary>The atom's gradient, as the reference has it.</summary>
    Gradient,

    /// <summary>The curvature's inverse applied to the atom's gradient in whitened coordinates.</summary>
    Natural,

    /// <summary>The curvature's inverse applied to the weighted gradients of the atom's own documents.</summary>
    Data,

    /// <summary>The step that the fine-tune's optimiser would take.</summary>
    Adam,

    /// <summary>The mean gradient of the pole's documents.</summary>
    Mean,

    /// <summary>A control: random in the whitened metric.</summary>
    Random,

    /// <summary>A sum of several steps.</summary>
    Composed,
}

/// <summary>Where a direction comes from.</summary>
/// <param name="Mode">How it was made.</param>
/// <param name="Pole">The pole's id, or null for a control.</param>
/// <param name="Damping">δ, relative to the mean eigenvalue, or null where the mode has none.</param>
public sealed record StepOrigin(StepMode Mode, string? Pole = null, double? Damping = null)
{
    /// <summary>What of the reference's mistakes was made on purpose.</summary>
    public ReferenceFaults Faults { get; init; }
}

/// <summary>
/// A direction v in the parameters of an adapter: θ ← θ + step·v. A positive step is meant to make more of the pole;
/// <see cref="SignCheck"/> measures whether it does. Owns its tensor.
/// </summary>
public sealed class WeightStep : IDisposable
{
    /// <summary>Takes over a direction.</summary>
    /// <param name="direction"><c>[d]</c>, float32, signed so that a positive step is more.</param>
    /// <param name="layout">Where each parameter lies in it.</param>
    /// <param name="origin">How it was made.</param>
    public WeightStep(Tensor direction, ParameterLayout layout, StepOrigin origin)
    {
        if (direction.dim() != 1 || direction.shape[0] != layout.Size || direction.dtype != ScalarType.Float32)
        {
            throw new ArgumentException($"a direction is [{layout.Size}] in float32, got [{string.Join(", ", direction.shape)}] in {direction.dtype}", nameof(direction));
        }

        Direction = direction.DetachFromDisposeScope();
        Layout = layout;
        Origin = origin;
    }

    /// <summary><c>[d]</c>, float32; this step's own.</summary>
    public Tensor Direction { get; }

    /// <summary>Where each parameter lies in the direction.</summary>
    public ParameterLayout Layout { get; }

    /// <summary>How it was made.</summary>
    public StepOrigin Origin { get; }

    /// <summary>‖v‖, the root of the sum of squares over all parameters.</summary>
    public double Norm()
    {
        using var scope = NewDisposeScope();
        return Direction.to(ScalarType.Float64).norm().item<double>();
    }

    /// <summary>The same direction the other way round. The caller owns it.</summary>
    public WeightStep Reversed()
    {
        using var scope = NewDisposeScope();
        return new(Direction.neg(), Layout, Origin);
    }

    /// <summary>The same direction at length 1. The caller owns it.</summary>
    /// <exception cref="SteeringException">GA1051: it is zero or not finite.</exception>
    public WeightStep Normalised()
    {
        using var scope = NewDisposeScope();
        return new(Direction / FiniteNorm(), Layout, Origin);
    }

    /// <summary>Σ_j step_j v_j, a direction of its own that is taken at step 1. The caller owns it.</summary>
    /// <param name="parts">Directions of one layout, each with its step.</param>
    public static WeightStep Compose(IReadOnlyList<(WeightStep Step, double Size)> parts)
    {
        ArgumentOutOfRangeException.ThrowIfZero(parts.Count);
        using var scope = NewDisposeScope();
        var layout = parts[0].Step.Layout;
        var sum = zeros([layout.Size], device: parts[0].Step.Direction.device);
        foreach (var (step, size) in parts)
        {
            if (step.Layout.Hash != layout.Hash)
            {
                throw new SteeringException("GA1050", step.Origin.Pole ?? step.Origin.Mode.ToString(), "is a step of other parameters than the first", "Compose steps of one run.");
            }

            sum.add_(step.Direction, alpha: size);
        }

        return new(sum, layout, new(StepMode.Composed, string.Join(" ", parts.Select(part => part.Step.Origin.Pole).OfType<string>())));
    }

    /// <summary>The adapter at a step: A + step·v_A and B + step·v_B, exact. The caller owns it.</summary>
    /// <param name="adapter">θ; it is left as it is.</param>
    /// <param name="step">May be negative.</param>
    public LoraAdapter ToAdapter(LoraAdapter adapter, double step)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        return new([.. adapter.Modules.Select(module =>
        {
            var (a, b) = PartsOf(module);
            return module with { A = module.A.add(a, alpha: step), B = module.B.add(b, alpha: step) };
        })]);
    }

    /// <summary>
    /// What a step adds to the weights beside the adapter, to first order: ΔW = s·step·(v_B A + B v_A) as a LoRA of rank 2r.
    /// It is linear in the step, so that steps add up. <see cref="DeltaError"/> says what it leaves out. The caller owns it.
    /// </summary>
    /// <param name="adapter">θ; it is left as it is.</param>
    /// <param name="step">May be negative.</param>
    /// <returns>A' = [A; v_A] <c>[2r, in]</c> and B' = step·[v_B, B] <c>[out, 2r]</c> with the adapter's scale.</returns>
    public LoraAdapter ToDelta(LoraAdapter adapter, double step)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        return new([.. adapter.Modules.Select(module =>
        {
            var (a, b) = PartsOf(module);
            return module with { A = cat([module.A, a], dim: 0), B = cat([b, module.B], dim: 1) * step };
        })]);
    }

    /// <summary>
    /// What a step adds to the weights beside the adapter, exactly: ΔW = s·step·(v_B A + (B + step·v_B) v_A), a LoRA of rank 2r
    /// too, but of this one step: it is not linear in it. The caller owns it.
    /// </summary>
    /// <param name="adapter">θ; it is left as it is.</param>
    /// <param name="step">May be negative.</param>
    /// <returns>A' = [A; v_A] <c>[2r, in]</c> and B' = step·[v_B, B + step·v_B] <c>[out, 2r]</c> with the adapter's scale.</returns>
    public LoraAdapter ToExactDelta(LoraAdapter adapter, double step)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        return new([.. adapter.Modules.Select(module =>
        {
            var (a, b) = PartsOf(module);
            return module with { A = cat([module.A, a], dim: 0), B = cat([b, module.B.add(b, alpha: step)], dim: 1) * step };
        })]);
    }

    /// <summary>
    /// How far <see cref="ToDelta"/> is from <see cref="ToAdapter"/>: ‖s·step²·v_B v_A‖ over the norm of the exact change
    /// of all weights (Frobenius). Only products of rank size are formed.
    /// </summary>
    /// <param name="adapter">θ.</param>
    /// <param name="step">May be negative.</param>
    public double DeltaError(LoraAdapter adapter, double step)
    {
        using var noGradient = no_grad();
        var (missing, exact) = (0.0, 0.0);
        foreach (var module in adapter.Modules)
        {
            using var scope = NewDisposeScope();
            var (a, b) = PartsOf(module);
            var (a64, b64) = (a.to(ScalarType.Float64), b.to(ScalarType.Float64));
            missing += SquaredNormOfProduct(b64, a64) * Math.Pow(module.Scale * step * step, 2);
            var left = cat([b64, module.B.to(ScalarType.Float64) + (b64 * step)], dim: 1); // [out, 2r]
            var right = cat([module.A.to(ScalarType.Float64), a64], dim: 0); // [2r, in]
            exact += SquaredNormOfProduct(left, right) * Math.Pow(module.Scale * step, 2);
        }

        return exact == 0 ? 0 : Math.Sqrt(missing / exact);
    }

    /// <summary>The largest step of a sign at which <see cref="DeltaError"/> is not above a bound, to a thousandth.</summary>
    /// <param name="adapter">θ.</param>
    /// <param name="bound">Relative, such as .05.</param>
    /// <param name="reverse">Of steps below 0.</param>
    /// <returns>Its size, above 0; infinity where the delta is exact.</returns>
    public double LargestDeltaStep(LoraAdapter adapter, double bound = 0.05, bool reverse = false)
    {
        double Error(double size) => DeltaError(adapter, reverse ? -size : size);
        var high = 0.01 * NormOf(adapter) / FiniteNorm();
        for (var doubled = 0; Error(high) <= bound; doubled++, high *= 2)
        {
            if (doubled == 60)
            {
                return double.PositiveInfinity;
            }
        }

        // It rises from 0 with the step as long as the step does not outweigh the adapter; from there it is above any bound of use.
        var low = 0.0;
        while (high - low > 1e-3 * high)
        {
            var middle = (low + high) / 2;
            (low, high) = Error(middle) <= bound ? (middle, high) : (low, middle);
        }

        return low;
    }

    /// <summary>‖θ‖ of an adapter's factors, all of them.</summary>
    internal static double NormOf(LoraAdapter adapter)
    {
        using var scope = NewDisposeScope();
        return Math.Sqrt(adapter.Modules.Sum(module =>
            module.A.detach().to(ScalarType.Float64).square().sum().item<double>() + module.B.detach().to(ScalarType.Float64).square().sum().item<double>()));
    }

    /// <summary>‖v‖, or an error where no step can be taken along it.</summary>
    internal double FiniteNorm()
    {
        var norm = Norm();
        return double.IsFinite(norm) && norm > 0
            ? norm
            : throw new SteeringException("GA1051", Origin.Pole ?? Origin.Mode.ToString(), $"the direction has norm {norm}", "Choose another pole or another mode of step.");
    }

    /// <inheritdoc/>
    public void Dispose() => Direction.Dispose();

    // ‖P Q‖² = tr((PᵀP)(QQᵀ)) for P [out, k] and Q [k, in].
    private static double SquaredNormOfProduct(Tensor left, Tensor right)
    {
        using var scope = NewDisposeScope();
        return Math.Max(0, (left.t().matmul(left) * right.matmul(right.t())).sum().item<double>());
    }

    /// <summary>v_A and v_B of a module, views of the direction.</summary>
    internal (Tensor A, Tensor B) PartsOf(LoraModule module)
    {
        Tensor Part(string suffix, Tensor like)
        {
            var name = $"{module.ModuleName}.{suffix}";
            var map = Layout.Maps.FirstOrDefault(map => map.Name == name);
            if (map is null || map.OutputSize != like.shape[0] || map.InputSize != like.shape[1])
            {
                throw new SteeringException("GA1050", name, "the step was made for another adapter", "Use the adapter of the run that the step comes from.");
            }

            return Direction.narrow(0, map.Offset, map.Size).view(map.OutputSize, map.InputSize).to(like.device);
        }

        return (Part("lora_A", module.A), Part("lora_B", module.B));
    }
}
