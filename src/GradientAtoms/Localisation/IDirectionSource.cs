using GradientAtoms.Gradients;
using static TorchSharp.torch;

namespace GradientAtoms.Localisation;

/// <summary>Directions of the weights, a map and some of them at a time: all of them may be more than memory holds.</summary>
public interface IDirectionSource
{
    /// <summary>Reads a map of some directions.</summary>
    /// <param name="map">The map.</param>
    /// <param name="which">Their numbers, from 0; one may come twice.</param>
    /// <returns><c>[n, out, in]</c>, float32, not rotated. The caller owns it.</returns>
    Tensor Read(TrackedMap map, IReadOnlyList<int> which);
}

/// <summary>Directions that are in memory.</summary>
/// <param name="directions"><c>[K, d]</c>, in the layout's order; stays the caller's.</param>
public sealed class DirectionsInMemory(Tensor directions) : IDirectionSource
{
    /// <inheritdoc/>
    public Tensor Read(TrackedMap map, IReadOnlyList<int> which)
    {
        using var scope = NewDisposeScope();
        var rows = tensor(which.Select(index => (long)index).ToArray(), dtype: ScalarType.Int64);
        return directions.narrow(1, map.Offset, map.Size).index_select(0, rows).view(which.Count, map.OutputSize, map.InputSize).MoveToOuterDisposeScope();
    }
}
