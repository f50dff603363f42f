using static TorchSharp.torch;

namespace GradientAtoms.Models.Generation;

/// <summary>Keys and values of the tokens that a generation has seen, a pair a layer. Owns its tensors.</summary>
public sealed class KeyValueCache : IDisposable
{
    private readonly (Tensor Keys, Tensor Values)?[] _layers;

    /// <summary>Makes an empty cache.</summary>
    public KeyValueCache(int layerCount) => _layers = new (Tensor, Tensor)?[layerCount];

    /// <summary>Tokens in the cache.</summary>
    public int Length => _layers[0] is { } first ? (int)first.Keys.shape[2] : 0;

    /// <summary>Appends the keys and values of new tokens and gives those of all.</summary>
    /// <param name="layer">The layer, from 0.</param>
    /// <param name="keys"><c>[B, heads, T, head size]</c>, rotated.</param>
    /// <param name="values"><c>[B, heads, T, head size]</c>.</param>
    /// <returns>All keys and values, <c>[B, heads, past + T, head size]</c>; they stay the cache's.</returns>
    public (Tensor Keys, Tensor Values) Append(int layer, Tensor keys, Tensor values)
    {
        var (allKeys, allValues) = _layers[layer] is { } past
            ? (cat([past.Keys, keys], dim: 2), cat([past.Values, values], dim: 2))
            : (keys.alias(), values.alias());
        _layers[layer]?.Keys.Dispose();
        _layers[layer]?.Values.Dispose();
        _layers[layer] = (allKeys.DetachFromDisposeScope(), allValues.DetachFromDisposeScope());
        return (allKeys, allValues);
    }

    /// <summary>A cache of several sequences that all begin with this one's tokens. The caller owns it; this one stays as it is.</summary>
    /// <param name="batchSize">Sequences; this cache holds one.</param>
    public KeyValueCache Repeat(int batchSize)
    {
        var repeated = new KeyValueCache(_layers.Length);
        for (var layer = 0; layer < _layers.Length; layer++)
        {
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
}
