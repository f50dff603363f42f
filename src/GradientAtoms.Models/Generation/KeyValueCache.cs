using static TorchSharp.torch;

namespace GradientAtoms.Models.Generation;

/// <summary>
/// Keys and values of the tokens that a generation has seen, a pair a layer. A layer with a window keeps only those that a later
/// token can still see. Owns its tensors.
/// </summary>
/// <remarks>Sequences of several lengths lie in one cache with a gap in each, so that all end at one place: <see cref="Gaps"/>.</remarks>
public sealed class KeyValueCache : IDisposable
{
    // Room for tokens to come, so that a token does not copy all that were before it.
    private const int Room = 32;

    private readonly (Tensor Keys, Tensor Values)?[] _layers;
    private readonly (Tensor Keys, Tensor Values)?[] _buffers;
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
        _buffers = new (Tensor, Tensor)?[windows.Count];
        _seen = new int[windows.Count];
    }

    /// <summary>Tokens that the cache has seen.</summary>
    public int Length => _seen[0];

    /// <summary>
    /// Places that hold no token: of each sequence so many from the first place on that they have in common, none of them seen by
    /// any other place. Null: none has any. Only a cache without windows may have gaps.
    /// </summary>
    internal (int Start, int[] Lengths)? Gaps { get; set; }

    /// <summary>Appends the keys and values of new tokens and gives those that the new tokens need: all, or at least those of the window.</summary>
    /// <param name="layer">The layer, from 0.</param>
    /// <param name="keys"><c>[B, heads, T, head size]</c>, rotated.</param>
    /// <param name="values"><c>[B, heads, T, head size]</c>.</param>
    /// <returns>Keys and values, <c>[B, heads, kept + T, head size]</c>; not to be disposed by the caller.</returns>
    public (Tensor Keys, Tensor Values) Append(int layer, Tensor keys, Tensor values)
    {
        if (keys.shape[2] == 1 && _windows[layer] is null && !keys.requires_grad && _layers[layer] is { } before)
        {
            return AppendOne(layer, before, keys, values);
        }

        var (allKeys, allValues) = _layers[layer] is { } past
            ? (cat([past.Keys, keys], dim: 2), cat([past.Values, values], dim: 2))
            : (keys, values);
        var kept = Math.Min(allKeys.shape[2], _windows[layer] - 1 ?? long.MaxValue);
        Forget(layer);
        _layers[layer] = (Last(allKeys, kept), Last(allValues, kept));
        _seen[layer] += (int)keys.shape[2];
        return (allKeys, allValues);
    }

    /// <summary>A cache of several sequences that all begin with this one's tokens. The caller owns it; this one stays as it is.</summary>
    /// <param name="batchSize">Sequences; this cache holds one.</param>
    public KeyValueCache Repeat(int batchSize)
    {
        var repeated = new KeyValueCache(_windows) { Gaps = Gaps is { } gaps ? (gaps.Start, [.. Enumerable.Repeat(gaps.Lengths[0], batchSize)]) : null };
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

    /// <summary>Sequences of several caches in one, which all begin with the same tokens: gaps behind those make them end together. The caller owns it; the others stay as they are.</summary>
    /// <param name="caches">Without windows.</param>
    /// <param name="start">How many tokens they begin with in common: where gaps are.</param>
    internal static KeyValueCache Join(IReadOnlyList<KeyValueCache> caches, int start)
    {
        using var scope = NewDisposeScope();
        var length = caches.Max(cache => cache.Length);
        var joined = new KeyValueCache(caches[0]._windows);
        for (var layer = 0; layer < joined._layers.Length; layer++)
        {
            joined._seen[layer] = length;
            joined._layers[layer] = (Whole(cache => cache._layers[layer]!.Value.Keys), Whole(cache => cache._layers[layer]!.Value.Values));
        }

        int[] gaps = [.. caches.SelectMany(cache =>
        {
            var own = cache.Gaps?.Lengths ?? new int[cache._layers[0]!.Value.Keys.shape[0]];
            return own.Select(gap => gap + length - cache.Length);
        })];
        joined.Gaps = gaps.Any(gap => gap > 0) ? (start, gaps) : null;
        return joined;

        Tensor Whole(Func<KeyValueCache, Tensor> part) => caches.Count == 1 ? part(caches[0]).DetachedAlias() : cat(
            [.. caches.Select(part).Select(own => own.shape[2] == length ? own : cat(
                [own.narrow(2, 0, start), zeros([own.shape[0], own.shape[1], length - own.shape[2], own.shape[3]], own.dtype, own.device), own.narrow(2, start, own.shape[2] - start)], dim: 2))],
            dim: 0).DetachFromDisposeScope();
    }

    /// <summary>Keeps some of the sequences, in the order given.</summary>
    /// <param name="rows">Theirs among those that there are.</param>
    internal void Keep(IReadOnlyList<int> rows)
    {
        using var scope = NewDisposeScope();
        var kept = tensor([.. rows.Select(row => (long)row)], device: _layers[0]!.Value.Keys.device);
        for (var layer = 0; layer < _layers.Length; layer++)
        {
            var (keys, values) = _layers[layer]!.Value;
            var left = (keys.index_select(0, kept).DetachFromDisposeScope(), values.index_select(0, kept).DetachFromDisposeScope());
            Forget(layer);
            _layers[layer] = left;
        }

        if (Gaps is { } gaps)
        {
            int[] lengths = [.. rows.Select(row => gaps.Lengths[row])];
            Gaps = lengths.Any(gap => gap > 0) ? (gaps.Start, lengths) : null;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        for (var layer = 0; layer < _layers.Length; layer++)
        {
            Forget(layer);
        }
    }

    private (Tensor Keys, Tensor Values) AppendOne(int layer, (Tensor Keys, Tensor Values) past, Tensor keys, Tensor values)
    {
        var length = past.Keys.shape[2];
        if (_buffers[layer] is not { } buffer || buffer.Keys.shape[2] == length)
        {
            buffer = (Larger(past.Keys), Larger(past.Values));
            Forget(layer);
            _buffers[layer] = buffer;
        }

        Write(buffer.Keys, length, keys);
        Write(buffer.Values, length, values);
        _layers[layer]?.Keys.Dispose();
        _layers[layer]?.Values.Dispose();
        var (allKeys, allValues) = (buffer.Keys.narrow(2, 0, length + 1), buffer.Values.narrow(2, 0, length + 1));
        _layers[layer] = (allKeys.DetachedAlias(), allValues.DetachedAlias());
        _seen[layer]++;
        return (allKeys, allValues);

        Tensor Larger(Tensor old)
        {
            var larger = empty([old.shape[0], old.shape[1], length + Math.Max(Room, length / 4), old.shape[3]], old.dtype, old.device);
            Write(larger, 0, old);
            return larger.DetachFromDisposeScope();
        }
    }

    private static void Write(Tensor buffer, long place, Tensor values)
    {
        using var part = buffer.narrow(2, place, values.shape[2]);
        using var written = part.copy_(values);
    }

    private void Forget(int layer)
    {
        foreach (var pair in ((Tensor Keys, Tensor Values)?[])[_layers[layer], _buffers[layer]])
        {
            pair?.Keys.Dispose();
            pair?.Values.Dispose();
        }

        (_layers[layer], _buffers[layer]) = (null, null);
    }

    // A handle of its own: what Append returns belongs to the scope of the pass.
    private static Tensor Last(Tensor values, long kept) => values.narrow(2, values.shape[2] - kept, kept).DetachFromDisposeScope();
}

file static class Handles
{
    public static Tensor DetachedAlias(this Tensor tensor) => tensor.alias().DetachFromDisposeScope();
}
