using GradientAtoms.Coordinates;
using GradientAtoms.Curvature;
using GradientAtoms.DictionaryLearning;
using static TorchSharp.torch;

namespace GradientAtoms.Steering;

/// <summary>
/// Directions that make more of a pole, from the rotated gradients of the run's documents. Each is of length 1 and signed so that
/// the losses of the pole's documents fall along it, to first order. Owns none of what it is given. <see cref="Natural"/> and
/// <see cref="Gradient"/> need coordinates that can be brought back to the weights: GA1055 where they are sketches.
/// </summary>
/// <param name="rows">Qᵀg of every document.</param>
/// <param name="bases">Q.</param>
/// <param name="eigenvalues">EKFAC λ, <c>[d]</c>, float64.</param>
/// <param name="whitening">How the coordinates are whitened.</param>
/// <param name="coordinates">The space that the atoms live in.</param>
/// <param name="atoms"><c>[K, k]</c>.</param>
/// <param name="codes"><c>[N, K]</c>.</param>
public sealed class PoleDirections(
    IRowSource rows, CurvatureBases bases, Tensor eigenvalues, Whitening whitening, GramCoordinates coordinates, Tensor atoms, SparseCodes codes)
{
    /// <summary>The curvature's inverse applied to the atom's gradient: Q(Λ+ε)^−½ of the atom in whitened space. The first-order change of document i's loss is −step·w_i·d.</summary>
    /// <param name="atom">Row of the dictionary.</param>
    /// <param name="sign">1 or −1: the pole.</param>
    /// <param name="pole">Its id.</param>
    public WeightStep Natural(int atom, int sign, string pole)
    {
        using var scope = NewDisposeScope();
        return Make(AtomCombination(atom, sign) * whitening.Scale.square(), new(StepMode.Natural, pole));
    }

    /// <summary>What the reference does: Q(Λ+ε)^½ of the atom, its gradient in the kept coordinates.</summary>
    /// <param name="atom">Row of the dictionary.</param>
    /// <param name="sign">1 or −1: the pole.</param>
    /// <param name="pole">Its id.</param>
    /// <param name="faults">What of its mistakes to make too; only <see cref="ReferenceFaults.Order"/> belongs here.</param>
    public WeightStep Gradient(int atom, int sign, string pole, ReferenceFaults faults = ReferenceFaults.None)
    {
        using var scope = NewDisposeScope();
        var step = Make(AtomCombination(atom, sign) * whitening.Scale.ne(0), new(StepMode.Gradient, pole) { Faults = faults & ReferenceFaults.Order });
        if (!faults.HasFlag(ReferenceFaults.Order))
        {
            return step;
        }

        using (step)
        {
            return new(StepDirections.InOrderOfNames(step.Direction, step.Layout), step.Layout, step.Origin);
        }
    }

    /// <summary>
    /// The curvature's inverse applied to the gradients of the pole's own documents, weighted by their codes:
    /// Q(Λ+δ·λ̄)⁻¹ Qᵀ Σ_i |a_i| g_i / ‖w_i‖ over the documents of the pole.
    /// </summary>
    /// <param name="atom">Row of the dictionary.</param>
    /// <param name="sign">1 or −1: the pole.</param>
    /// <param name="pole">Its id.</param>
    /// <param name="relativeDamping">δ of the step, larger than that of the coordinates.</param>
    public WeightStep Data(int atom, int sign, string pole, double relativeDamping = 1)
    {
        using var scope = NewDisposeScope();
        var (documents, weights) = PoleWeights(atom, sign, withNorms: true);
        var combined = weights.matmul(rows.ReadRows(documents)); // [d]
        return Make(combined / Damped(relativeDamping), new(StepMode.Data, pole, relativeDamping));
    }

    /// <summary>The mean unit gradient of the pole's documents: no curvature, no dictionary beyond the choice of documents. A control.</summary>
    /// <inheritdoc cref="Natural"/>
    public WeightStep Mean(int atom, int sign, string pole)
    {
        using var scope = NewDisposeScope();
        var (documents, _) = PoleWeights(atom, sign, withNorms: false);
        var gradients = rows.ReadRows(documents); // [n, d]
        return Make((gradients / gradients.norm(1, keepdim: true)).mean([0L]), new(StepMode.Mean, pole));
    }

    /// <summary>The step of the fine-tune's optimiser on the gradients of the pole's documents, weighted by their codes.</summary>
    /// <param name="atom">Row of the dictionary.</param>
    /// <param name="sign">1 or −1: the pole.</param>
    /// <param name="pole">Its id.</param>
    /// <param name="secondMoments"><c>[d]</c>, of the fine-tune.</param>
    public WeightStep Adam(int atom, int sign, string pole, Tensor secondMoments)
    {
        using var scope = NewDisposeScope();
        var (documents, weights) = PoleWeights(atom, sign, withNorms: true);
        var gradient = bases.RotateBack(weights.matmul(rows.ReadRows(documents)).unsqueeze(0))[0];
        return new WeightStep(StepDirections.Adam(gradient, secondMoments), bases.Layout, new(StepMode.Adam, pole)).Normalised();
    }

    /// <summary>A control: Q(Λ+δ·λ̄)^−½ z with z drawn from a normal distribution, as many directions as one likes.</summary>
    /// <param name="seed">The run's seed.</param>
    /// <param name="index">Which direction.</param>
    /// <param name="relativeDamping">δ of the step.</param>
    public WeightStep Random(long seed, int index, double relativeDamping = 1)
    {
        using var scope = NewDisposeScope();
        using var generator = RandomStream.Torch(seed, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"steering/random/{index}"));
        var noise = randn([bases.Layout.Size], generator: generator);
        return Make(noise / Damped(relativeDamping).sqrt(), new(StepMode.Random, Damping: relativeDamping));
    }

    // λ + δ·mean λ, [d], float32.
    private Tensor Damped(double relativeDamping) => (eigenvalues + (relativeDamping * eigenvalues.mean())).to(ScalarType.Float32);

    // The atom as a combination of rotated gradients, [d].
    private Tensor AtomCombination(int atom, int sign)
    {
        if (!coordinates.CanLift)
        {
            throw new SteeringException(
                "GA1055",
                $"atom row {atom}",
                "the run keeps sketches of the gradients, and an atom that was learnt from sketches cannot be brought back to the weights",
                "Use --direction data, which computes the gradients of the pole's own documents again, or audit with --coordinates exact.");
        }

        var weights = coordinates.DocumentWeights(atoms.narrow(0, atom, 1)) * sign; // [1, N]
        return RowCombination.Sum(rows, bases.Layout, weights)[0];
    }

    private (int[] Documents, Tensor Weights) PoleWeights(int atom, int sign, bool withNorms)
    {
        var byAtom = codes.ByAtom();
        var norms = coordinates.Norms.data<double>().ToArray();
        var (documents, weights) = (new List<int>(), new List<float>());
        var all = byAtom.DocumentsOf(atom);
        var values = byAtom.CodesOf(atom);
        for (var i = 0; i < all.Length; i++)
        {
            if (Math.Sign(values[i]) == sign)
            {
                documents.Add(all[i]);
                weights.Add((float)(Math.Abs(values[i]) / (withNorms ? norms[all[i]] : 1)));
            }
        }

        return documents.Count > 0
            ? ([.. documents], tensor(weights.ToArray()).clone())
            : throw new SteeringException("GA1054", $"atom row {atom}", "no document encodes on this pole", "Choose a pole that `gatoms atoms RUN` lists with documents.");
    }

    // The combination is of loss gradients, so more of the pole is against it.
    private WeightStep Make(Tensor rotated, StepOrigin origin)
    {
        using var step = new WeightStep(bases.RotateBack(-rotated.unsqueeze(0))[0], bases.Layout, origin);
        return step.Normalised();
    }
}
