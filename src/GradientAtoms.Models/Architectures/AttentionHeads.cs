using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>Causal attention between projected queries, keys and values: heads, rotary positions, window, soft cap, cache.</summary>
/// <param name="HeadCount">Query heads.</param>
/// <param name="KeyValueHeadCount">Key and value heads; each serves HeadCount / KeyValueHeadCount query heads.</param>
/// <param name="HeadSize">Coordinates of a head.</param>
internal sealed record AttentionHeads(int HeadCount, int KeyValueHeadCount, int HeadSize)
{
    /// <summary>Rotary positions, or null.</summary>
    public RotaryEmbedding? Rotary { get; init; }

    /// <summary>How many tokens a query sees, itself among them; null: all before it.</summary>
    public int? Window { get; init; }

    /// <summary>What products of queries and keys are multiplied with; 1/√(head size) where null.</summary>
    public double? Scale { get; init; }

    /// <summary>c of c·tanh(x / c) on the scaled products, or null.</summary>
    public double? SoftCap { get; init; }

    /// <summary>Sizes of the projected queries, and of the projected keys and of the values.</summary>
    public (long Queries, long Keys) Sizes => ((long)HeadCount * HeadSize, (long)KeyValueHeadCount * HeadSize);

    /// <summary>The heads of a projection, as ranges of its rows: <c>k</c> and <c>v</c> have the key heads, <c>q</c> and <c>o</c> the query heads.</summary>
    /// <param name="part">Which projection.</param>
    /// <param name="first">Its first row, where several are fused.</param>
    public IReadOnlyList<WeightSegment> Segments(string part, long first = 0) =>
        [.. WeightSegment.Heads(part, part is "k" or "v" ? KeyValueHeadCount : HeadCount, HeadSize, (int)first)];

    /// <summary>Queries, keys and values one after another in one projection.</summary>
    public IReadOnlyList<WeightSegment> FusedSegments => [.. Segments("q"), .. Segments("k", Sizes.Queries), .. Segments("v", Sizes.Queries + Sizes.Keys)];

    /// <summary>Splits a projection into heads.</summary>
    /// <param name="values"><c>[B, T, count · head size]</c>.</param>
    /// <param name="count">Heads.</param>
    /// <returns><c>[B, T, count, head size]</c>.</returns>
    public Tensor Split(Tensor values, int count) => values.view(values.shape[0], values.shape[1], count, HeadSize);

    /// <summary>Mixes the values.</summary>
    /// <param name="layer">The block, for the cache.</param>
    /// <param name="queries"><c>[B, T, heads, head size]</c>, not yet rotated.</param>
    /// <param name="keys"><c>[B, T, key heads, head size]</c>, not yet rotated.</param>
    /// <param name="values"><c>[B, T, key heads, head size]</c>.</param>
    /// <param name="pass">The pass.</param>
    /// <returns><c>[B, T, heads · head size]</c>.</returns>
    public Tensor Mix(int layer, Tensor queries, Tensor keys, Tensor values, ForwardPass pass)
    {
        using var scope = NewDisposeScope();
        (queries, keys, values) = (queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)); // [B, heads, T, head size]
        if (Rotary is not null)
        {
            var (cosines, sines) = pass.Angles(Rotary);
            (queries, keys) = (Rotary.Rotate(queries, cosines, sines), Rotary.Rotate(keys, cosines, sines));
        }

        if (pass.Request.Cache is { } cache)
        {
            (keys, values) = cache.Append(layer, keys, values);
        }

        var group = HeadCount / KeyValueHeadCount;
        if (group > 1 && pass.Length == 1 && pass.Request.Cache is not null)
        {
            // One new token: the query heads of a key head stand where tokens would, and no key is copied.
            queries = queries.reshape(pass.Batch, KeyValueHeadCount, group, HeadSize);
        }
        else if (group > 1)
        {
            keys = keys.repeat_interleave(group, dim: 1);
            values = values.repeat_interleave(group, dim: 1);
        }

        var mixed = SoftCap is not null || pass.Request.DifferentiatesTwice ? Explicit(queries, keys, values, pass) : Plain(queries, keys, values, pass);
        return (pass.Length == 1 ? mixed.reshape(pass.Batch, 1, -1) : mixed.transpose(1, 2).reshape(pass.Batch, pass.Length, -1)).MoveToOuterDisposeScope();
    }

    private Tensor Plain(Tensor queries, Tensor keys, Tensor values, ForwardPass pass)
    {
        // torch divides by √(head size) itself.
        var scaled = Scale is { } scale ? queries * (scale * Math.Sqrt(HeadSize)) : queries;
        var mask = pass.Mask(keys.shape[2], Window);
        return nn.functional.scaled_dot_product_attention(scaled, keys, values, attn_mask: mask!, is_casual: mask is null && pass.Length > 1);
    }

    // The fused operation knows no cap, and its derivative none of its own.
    private Tensor Explicit(Tensor queries, Tensor keys, Tensor values, ForwardPass pass)
    {
        var scores = queries.matmul(keys.transpose(2, 3)) * (Scale ?? (1 / Math.Sqrt(HeadSize))); // [B, heads, T, K]
        scores = SoftCap is { } cap ? (scores / cap).tanh() * cap : scores;
        if ((pass.Length > 1 ? pass.FullMask(keys.shape[2], Window) : pass.Mask(keys.shape[2], Window)) is { } mask)
        {
            scores = scores.masked_fill(mask.logical_not(), double.NegativeInfinity);
        }

        return scores.softmax(-1).matmul(values);
    }
}
