using GradientAtoms.Coordinates;
using GradientAtoms.Curvature;
using static TorchSharp.torch;

namespace GradientAtoms.Localisation;

/// <summary>Atoms brought back to the weights.</summary>
public static class LiftedDirections
{
    /// <summary>
    /// v_k = Q (Λ+ε)^−½ d_k for atoms d_k in whitened space: the inner product of a document's gradient with it is that of the
    /// whitened gradient with the atom, g·v_k = w·d_k. Against v_k is the step <c>natural</c> towards the + pole, but for its length.
    /// </summary>
    /// <param name="rows">Rotated gradients.</param>
    /// <param name="bases">Q.</param>
    /// <param name="whitening">How the rows are evened out.</param>
    /// <param name="coordinates">The space that the atoms live in.</param>
    /// <param name="atoms"><c>[K, k]</c>.</param>
    /// <param name="progress">Told after every map.</param>
    /// <param name="cancellationToken">Looked at once a tile.</param>
    /// <returns><c>[K, d]</c>, float32, in the layout's order. The caller owns it.</returns>
    /// <exception cref="InvalidOperationException">The coordinates are of sketches (see <see cref="GramCoordinates.CanLift"/>).</exception>
    public static Tensor Natural(
        IRowSource rows,
        CurvatureBases bases,
        Whitening whitening,
        GramCoordinates coordinates,
        Tensor atoms,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        using var scope = NewDisposeScope();
        var squares = whitening.Scale.square();
        var lifted = empty([atoms.shape[0], bases.Layout.Size], dtype: ScalarType.Float32);
        RowCombination.Stream(
            rows,
            bases.Layout,
            coordinates.DocumentWeights(atoms),
            (map, part) => lifted.narrow(1, map.Offset, map.Size).copy_(part * squares.narrow(0, map.Offset, map.Size)),
            progress,
            cancellationToken);
        return bases.RotateBack(lifted).MoveToOuterDisposeScope();
    }
}
