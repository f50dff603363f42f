using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>What the blocks of one forward pass share: the request, the positions, masks and rotary angles. Owns its tensors.</summary>
internal sealed class ForwardPass : IDisposable
{
    private readonly Device _device;
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
    }

    /// <summary>What is asked for.</summary>
    public ForwardRequest Request { get; }

    /// <summary>Documents, B.</summary>
    public int Batch { get; }

    /// <summary>New tokens, T.</summary>
    public int Length { get; }

    /// <summary>Tokens that the cache has seen.</summary>
    public int Past { get; }

    /// <summary>Applies a linear module with the request's adapters.</summary>
    public Tensor Apply(LinearModule module, Tensor input) => Request.Apply(module, input);

    /// <summary>The angles of this pass' positions; they stay the pass'.</summary>
    /// <returns>Each <c>[T, turned coordinates]</c>.</returns>
    /// <exception cref="CheckpointException">GA2324: where frequencies depend on the length, several documents of which one may be longer than the original context.</exception>
    public (Tensor Cosines, Tensor Sines) Angles(RotaryEmbedding rotary)
    {
        if (_angles.TryGetValue(rotary, out var known))
        {
            return known;
        }

        // The frequencies would be those of the longest document, and a document's result would depend on its batch.
        if (Batch > 1 && Past + Length > rotary.LongestCommon)
        {
            throw new CheckpointException(
                "GA2324", "rope_scaling", $"a batch of {Batch} documents has one of {Past + Length} tokens; beyond {rotary.LongestCommon} tokens frequencies depend on the length",
                $"Cut documents to {rotary.LongestCommon} tokens (--max-tokens), or run them one by one (--batch-tokens 1).");
        }

        var (cosines, sines) = rotary.Angles(Past, Length, _device);
        return _angles[rotary] = (cosines.DetachFromDisposeScope(), sines.DetachFromDisposeScope());
    }

    /// <summary>Which keys a query sees, where that is more than the plain causal order says; it stays the pass'.</summary>
    /// <param name="keys">Keys at hand, K: the last of the past ones, then the T new ones.</param>
    /// <param name="window">How many tokens a query sees, or null.</param>
    /// <returns><c>[T, K]</c>, true where it sees; null where a new token sees every key, or plain causal order is all there is.</returns>
    public Tensor? Mask(long keys, int? window) =>
        Length == 1 || (keys == Length && !(window < Length)) ? null : FullMask(keys, window);

    /// <summary>The same, always as a tensor.</summary>
    public Tensor FullMask(long keys, int? window)
    {
        if (_masks.TryGetValue((keys, window), out var known))
        {
            return known;
        }

        using var scope = NewDisposeScope();
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
        foreach (var tensor in _masks.Values.Concat(_angles.Values.SelectMany(pair => (Tensor[])[pair.Cosines, pair.Sines])))
        {
            tensor.Dispose();
        }
    }
}
