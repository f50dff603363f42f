using static TorchSharp.torch;

namespace GradientAtoms.Models.Generation;

/// <summary>
/// Keys and values of the tokens that a generation has seen, a pair a layer. A layer with a window keeps only those that a later
/// token can still see. Owns its tensors.
/// </summary>
public sealed class KeyValueCache : IDisposable
{
    private readonly (Tensor Keys, Tensor Values)?[] _layers;
    private readonly IReadOnlyList<int?> _windows;
    private readonly int[] _seen;

    /// <summary>Makes an empty cache of layers without windows.</summary>
    public KeyValueCache(int layerCount)
        : this(new int?[layerCount])
    {
    }

    /// <summary>Makes an empty cache.</summary>
    /// <param name="windows">Of each layer, how many tokens a query sees, itself among them; null: all before it.</param>
    public KeyValueCache(IReadOnlyList<int?> windows)
    {
        _windows = windows;
        _layers = new (Tensor, Tensor)?[windows.Count];
        _seen = new int[windows.Count];
    }

    /// <summary>Tokens that the cache has seen.</summary>
    public int Length => _seen[0];

    /// <summary>Appends the keys and values of new tokens and gives those that the new tokens need: all, or at least those of the window.</summary>
    /// <param name="layer">The layer, from 0.</param>
    /// <param name="keys"><c>[B, heads, T, head size]</c>, rotated.</param>
    /// <param name="values"><c>[B, heads, T, head size]</c>.</param>
    /// <returns>Keys and values, <c>[B, heads, kept + T, head size]</c>; not to be disposed by the caller.</returns>
    public (Tensor Keys, Tensor Values) Append(int layer, Tensor keys, Tensor values)
    {
        var (allKeys, allValues) = _layers[layer] is { } past
            ? (cat([past.Keys, keys], dim: 2), cat([past.Values, values], dim: 2))
            : (keys, values);
        var kept = Math.Min(allKeys.shape[2], _windows[layer] - 1 ?? long.MaxValue);
        _layers[layer]?.Keys.Dispose();
        _layers[layer]?.Values.Dispose();
        _layers[layer] = (Last(allKeys, kept), Last(allValues, kept));
        _seen[layer] += (int)keys.shape[2];
        return (allKeys, allValues);
    }

    /// <summary>A cache of several sequences that all begin with this one's tokens. The caller owns it; this one stays as it is.</summary>
    /// <param name="batchSize">Sequences; this cache holds one.</param>
    public KeyValueCache Repeat(int batchSize)
    {
        var repeated = new KeyValueCache(_windows);
        for (var layer = 0; layer < _layers.Length; layer++)
        {
            repeated._seen[layer] = _seen[layer];
            if (_layers[layer] is { } own)
            {
                repeated._layers[layer] = (
                    own.Keys.expand(batchSize, -1, -1, -1).DetachFromDisposeScope(),
                    own.Values.expand(batchSize, -1, -1, -1).DetachFromDisposeScope());
            }
        }

        return repeated;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var layer in _layers)
        {
            layer?.Keys.Dispose();
            layer?.Values.Dispose();
        }
    }

    // A handle of its own: what Append returns belongs to the scope of the pass.
    private static Tensor Last(Tensor values, long kept) => values.narrow(2, values.shape[2] - kept, kept).DetachFromDisposeScope();
}
