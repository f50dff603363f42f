using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>
/// A decoder: token ids in, hidden states and logits out, in float32. One subclass an architecture.
/// Batches are padded on the right; attention is causal, so padding changes nothing that comes before it.
/// </summary>
public abstract class CausalLanguageModel : IDisposable
{
    /// <summary>The name that the checkpoint gives its architecture: <c>llama</c>.</summary>
    public abstract string Architecture { get; }

    /// <summary>Every linear module of the blocks that an adapter can attach to, in forward order; not the head.</summary>
    public abstract IReadOnlyList<LinearModule> LinearModules { get; }

    /// <summary>Tokens of the vocabulary, V.</summary>
    public abstract int VocabularySize { get; }

    /// <summary>Size h of a hidden state.</summary>
    public abstract int HiddenSize { get; }

    /// <summary>Number of decoder blocks.</summary>
    public abstract int LayerCount { get; }

    /// <summary>The longest context that the model was made for, in tokens.</summary>
    public abstract int ContextLength { get; }

    /// <summary>All parameters of the model, tied ones once.</summary>
    public abstract long ParameterCount { get; }

    /// <summary>The device that the weights are on.</summary>
    public abstract Device Device { get; }

    /// <summary>Runs the blocks and the last norm.</summary>
    /// <param name="tokens"><c>[B, T]</c>, int64, padded on the right with any valid id.</param>
    /// <param name="request">Adapters, observer, cache.</param>
    /// <returns>Hidden states after the last norm, <c>[B, T, h]</c>. The caller owns them.</returns>
    public abstract Tensor HiddenStates(Tensor tokens, ForwardRequest request);

    /// <summary>The head.</summary>
    /// <param name="hidden"><c>[…, h]</c>, after the last norm.</param>
    /// <returns><c>[…, V]</c>. The caller owns it.</returns>
    public abstract Tensor Logits(Tensor hidden);

    /// <summary>A new, empty cache for this model.</summary>
    public abstract Generation.KeyValueCache NewCache();

    /// <summary>A weight by its checkpoint name, as it is stored; null where the model has none of this name. It stays the model's.</summary>
    internal virtual Tensor? FindWeight(string name) => null;

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the weights.</summary>
    protected abstract void Dispose(bool disposing);
}
