using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>What the blocks of one forward pass share: the request, the positions, masks and rotary angles. Owns its tensors.</summary>
internal sealed class ForwardPass : IDisposable
{
    private readonly Device _device;
    private readonly (int Start, int[] Lengths)? _gaps;
    private Tensor? _positions;
    private readonly Dictionary<RotaryEmbedding, (Tensor Cosines, Tensor Sines)> _angles = [];
    private readonly Dictionary<(long Keys, int? Window), Tensor> _masks = [];

    /// <summary>Begins a pass.</summary>
    /// <param name="request">What is asked for.</param>
    /// <param name="batch">Documents, B.</param>
    /// <param name="length">New tokens, T.</param>
    /// <param name="device">The model's.</param>
    public ForwardPass(ForwardRequest request, int batch, int length, Device device)
    {
        (Request, Batch, Length, _device) = (request, batch, length, device);
        Past = request.Cache?.Length ?? 0;
        _gaps = request.Cache?.Gaps;
    }

    /// <summary>What is asked for.</summary>
    public ForwardRequest Request { get; }

    /// <summary>Documents, B.</summary>
    public int Batch { get; }

    /// <summary>New tokens, T.</summary>
    public int Length { get; }

    /// <summary>Tokens that the cache has seen, those of gaps among them.</summary>
    public int Past { get; }

    /// <summary>The longest document so far, in tokens.</summary>
    public int Longest => Past + Length - (_gaps?.Lengths.Min() ?? 0);

    /// <summary>Where the new tokens are in their documents; it stays the pass'.</summary>
    /// <returns><c>[T]</c>, or <c>[B, T]</c> where documents have gaps of their own.</returns>
    public Tensor Positions => _positions ??= Position(arange(Past, Past + Length, dtype: ScalarType.Int64, device: _device)).DetachFromDisposeScope();

    /// <summary>Applies a linear module with the request's adapters.</summary>
    public Tensor Apply(LinearModule module, Tensor input) => Request.Apply(module, input);

    /// <summary>The angles of this pass' positions; they stay the pass'.</summary>
    /// <returns>Each <c>[T, turned coordinates]</c>, or <c>[B, 1, T, turned coordinates]</c> where documents have gaps of their own.</returns>
    /// <exception cref="CheckpointException">GA2324: where frequencies depend on the length, several documents of which one may be longer than the original context.</exception>
    public (Tensor Cosines, Tensor Sines) Angles(RotaryEmbedding rotary)
    {
        if (_angles.TryGetValue(rotary, out var known))
        {
            return known;
        }

        // The frequencies would be those of the longest document, and a document's result would depend on its batch.
        if (Batch > 1 && Longest > rotary.LongestCommon)
        {
            throw new CheckpointException(
                "GA2324", "rope_scaling", $"a batch of {Batch} documents has one of {Longest} tokens; beyond {rotary.LongestCommon} tokens frequencies depend on the length",
                $"Cut documents to {rotary.LongestCommon} tokens (--max-tokens), or run them one by one (--batch-tokens 1).");
        }

        using var scope = NewDisposeScope();
        var (cosines, sines) = rotary.Angles(Positions, Longest);
        if (_gaps is not null)
        {
            (cosines, sines) = (cosines.unsqueeze(1), sines.unsqueeze(1));
        }

        return _angles[rotary] = (cosines.DetachFromDisposeScope(), sines.DetachFromDisposeScope());
    }

    /// <summary>Which keys a query sees, where that is more than the plain causal order says; it stays the pass'.</summary>
    /// <param name="keys">Keys at hand, K: the last of the past ones, then the T new ones.</param>
    /// <param name="window">How many tokens a query sees, or null.</param>
    /// <returns><c>[T, K]</c>, or <c>[B, 1, T, K]</c> where documents have gaps of their own, true where it sees; null where a new token sees every key, or plain causal order is all there is.</returns>
    public Tensor? Mask(long keys, int? window) =>
        _gaps is null && !(window < keys) && (Length == 1 || keys == Length) ? null : FullMask(keys, window);

    /// <summary>The same, always as a tensor.</summary>
    public Tensor FullMask(long keys, int? window)
    {
        if (_masks.TryGetValue((keys, window), out var known))
        {
            return known;
        }

        using var scope = NewDisposeScope();
        if (_gaps is { } gaps)
        {
            return _masks[(keys, window)] = MaskWithGaps(keys, window, gaps.Start).DetachFromDisposeScope();
        }

        var past = keys - Length;
        var mask = ones([Length, keys], dtype: ScalarType.Bool, device: _device).tril(past);
        if (window is { } seen)
        {
            mask = mask.triu(past - seen + 1);
        }

        return _masks[(keys, window)] = mask.DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _positions?.Dispose();
        foreach (var tensor in _masks.Values.Concat(_angles.Values.SelectMany(pair => (Tensor[])[pair.Cosines, pair.Sines])))
        {
            tensor.Dispose();
        }
    }

    // Of places: their own less the gap before them. [K] or [B, K].
    private Tensor Position(Tensor places)
    {
        if (_gaps is not { } gaps)
        {
            return places;
        }

        using var scope = NewDisposeScope();
        var lengths = tensor([.. gaps.Lengths.Select(length => (long)length)], device: _device).unsqueeze(1); // [B, 1]
        return where(places < gaps.Start, places, (places - lengths).clamp(min: gaps.Start)).MoveToOuterDisposeScope();
    }

    private Tensor MaskWithGaps(long keys, int? window, int start)
    {
        using var scope = NewDisposeScope();
        var (key, query) = (arange(keys, device: _device), arange(keys - Length, keys, device: _device).unsqueeze(1)); // [K], [T, 1]
        var (place, at) = (Position(key).unsqueeze(1), Position(query.flatten()).unsqueeze(2)); // [B, 1, K], [B, T, 1]
        var lengths = tensor([.. _gaps!.Value.Lengths.Select(length => (long)length)], device: _device).view(-1, 1, 1);
        var isToken = (key < start).logical_or(key >= lengths + start); // [B, 1, K]
        var sees = (key <= query).logical_and(isToken);
        if (window is { } seen)
        {
            sees = sees.logical_and(at - place < seen);
        }

        // What is in a gap sees itself: a softmax over nothing would be NaN.
        return sees.logical_or(key == query).unsqueeze(1).MoveToOuterDisposeScope(); // [B, 1, T, K]
    }
}
