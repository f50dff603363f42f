using GradientAtoms.Curvature;
using GradientAtoms.Gradients;
using static TorchSharp.torch;

namespace GradientAtoms.Coordinates;

/// <summary>How the reference implementation projects.</summary>
public sealed record ReferenceProjectionOptions
{
    /// <summary>Coordinates of the largest Kronecker eigenvalues that each map keeps.</summary>
    public int KeptPerMap { get; init; } = 50;

    /// <summary>ε, absolute: the same whatever the scale of the eigenvalues.</summary>
    public double Damping { get; init; } = 1e-6;

    /// <summary>Maps (<see cref="TrackedMap.Name"/>) to leave out, as if they had no eigenvectors.</summary>
    public IReadOnlySet<string> WithoutFactors { get; init; } = new HashSet<string>(StringComparer.Ordinal);

    /// <summary>What it does by mistake; <see cref="ReferenceFaults.Order"/> belongs to the step, not to the projection.</summary>
    public ReferenceFaults Faults { get; init; }
}

/// <summary>A map in the projected space.</summary>
/// <param name="Map">The map.</param>
/// <param name="GradientOffset">Where in a flat gradient its columns are taken from: the map's own offset, unless <see cref="ReferenceFaults.Offsets"/> is on and a map before it has no factors.</param>
/// <param name="Offset">Of its first coordinate in the projected space.</param>
/// <param name="Count">Its coordinates.</param>
public sealed record ReferenceBlock(TrackedMap Map, long GradientOffset, long Offset, int Count);

/// <summary>
/// The coordinates of the reference implementation of <i>Gradient Atoms</i> (arXiv 2603.14665), laid out as it lays them out: map
/// after map, each by falling eigenvalue, so that vectors in them can be exchanged with it. An audit in reference mode has the same
/// coordinates in the order of its own (<see cref="Whitening.Reference"/>). Owns its tensors, not the bases.
/// </summary>
public sealed class ReferenceProjection : IDisposable
{
    private readonly CurvatureBases _bases;
    private readonly Dictionary<string, (Tensor Places, Tensor Scale)> _selections = new(StringComparer.Ordinal);

    /// <summary>Chooses the coordinates.</summary>
    /// <param name="bases">Q and the eigenvalues of every map.</param>
    /// <param name="options">Null for the reference's own.</param>
    /// <exception cref="NumericalException">An eigenvalue is negative beyond rounding, and <see cref="ReferenceFaults.Signs"/> is off.</exception>
    public ReferenceProjection(CurvatureBases bases, ReferenceProjectionOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(bases);
        options ??= new();
        ArgumentOutOfRangeException.ThrowIfLessThan(options.KeptPerMap, 1, nameof(options));
        using var scope = NewDisposeScope();
        _bases = bases;
        var kronecker = bases.KroneckerEigenvalues();
        var blocks = new List<ReferenceBlock>();
        var (gradientOffset, offset) = (0L, 0L);
        foreach (var map in bases.Layout.Maps)
        {
            if (options.WithoutFactors.Contains(map.Name))
            {
                continue; // gradientOffset stays: this is the fault
            }

            var selection = ReferenceSelection.Of(map, kronecker.narrow(0, map.Offset, map.Size), options.KeptPerMap, options.Damping, options.Faults);
            _selections[map.Name] = selection;
            blocks.Add(new(map, options.Faults.HasFlag(ReferenceFaults.Offsets) ? gradientOffset : map.Offset, offset, (int)selection.Places.shape[0]));
            gradientOffset += map.Size;
            offset += blocks[^1].Count;
        }

        foreach (var (places, scale) in _selections.Values)
        {
            places.DetachFromDisposeScope();
            scale.DetachFromDisposeScope();
        }

        Blocks = blocks;
        Size = offset;
    }

    /// <summary>The maps with factors, in order.</summary>
    public IReadOnlyList<ReferenceBlock> Blocks { get; }

    /// <summary>Coordinates in all, k.</summary>
    public long Size { get; }

    /// <summary>Gradients in: (λ + ε)^−½ of the rotated gradients' kept coordinates.</summary>
    /// <param name="gradients"><c>[n, d]</c>, float32.</param>
    /// <returns><c>[n, k]</c>, float32. The caller owns it.</returns>
    public Tensor Project(Tensor gradients)
    {
        ArgumentNullException.ThrowIfNull(gradients);
        using var scope = NewDisposeScope();
        var count = gradients.shape[0];
        return cat([.. Blocks.Select(block =>
        {
            var (places, scale) = _selections[block.Map.Name];
            var own = gradients.narrow(1, block.GradientOffset, block.Map.Size).reshape(count, block.Map.OutputSize, block.Map.InputSize);
            var rotated = _bases.Output(block.Map).Vectors.t().matmul(own.matmul(_bases.Input(block.Map).Vectors)).reshape(count, block.Map.Size);
            return rotated.index_select(1, places) * scale;
        })], 1).MoveToOuterDisposeScope();
    }

    /// <summary>Atoms back to the parameters, as gradients: Q (Λ + ε)^½ d, zero in what was not kept.</summary>
    /// <param name="atoms"><c>[n, k]</c>, float32.</param>
    /// <returns><c>[n, d]</c>, float32. The caller owns it.</returns>
    public Tensor Unproject(Tensor atoms)
    {
        ArgumentNullException.ThrowIfNull(atoms);
        using var scope = NewDisposeScope();
        var count = atoms.shape[0];
        var gradients = zeros([count, _bases.Layout.Size]);
        foreach (var block in Blocks)
        {
            var (places, scale) = _selections[block.Map.Name];
            var rotated = zeros([count, block.Map.Size]).index_copy_(1, places, atoms.narrow(1, block.Offset, block.Count) / scale);
            var own = _bases.Output(block.Map).Vectors.matmul(rotated.view(count, block.Map.OutputSize, block.Map.InputSize).matmul(_bases.Input(block.Map).Vectors.t()));
            gradients.narrow(1, block.GradientOffset, block.Map.Size).copy_(own.reshape(count, block.Map.Size));
        }

        return gradients.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (places, scale) in _selections.Values)
        {
            places.Dispose();
            scale.Dispose();
        }
    }
}
