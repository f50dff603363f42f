using GradientAtoms.Models.Generation;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>
/// What all decoders do alike: embed the tokens, run the blocks one after another, norm, head. No dropout.
/// Weights are frozen float32 tensors under the checkpoint's own names.
/// </summary>
internal abstract class DecoderModel : CausalLanguageModel
{
    private readonly Tensor _head; // [V, h], the embedding itself where tied

    /// <summary>Takes embedding and head; a subclass then takes its blocks in forward order, and the last norm.</summary>
    /// <param name="configuration">What the checkpoint says of itself.</param>
    /// <param name="weight">Gives a weight by its checkpoint name as a float32 tensor of the stated shape, which the model then owns.</param>
    /// <param name="embedding">The embedding's name.</param>
    /// <param name="head">The head's name, where it is not tied.</param>
    protected DecoderModel(DecoderConfiguration configuration, Func<string, long[], Tensor> weight, string embedding, string head)
    {
        (Configuration, Weights) = (configuration, new(weight));
        Embedding = Weights.Weight($"{embedding}.weight", configuration.VocabularySize, configuration.HiddenSize);
        _head = configuration.TiedEmbeddings ? Embedding : Weights.Weight($"{head}.weight", configuration.VocabularySize, configuration.HiddenSize);
    }

    /// <inheritdoc/>
    public sealed override IReadOnlyList<LinearModule> LinearModules => Weights.Linears;

    /// <inheritdoc/>
    public sealed override int VocabularySize => Configuration.VocabularySize;

    /// <inheritdoc/>
    public sealed override int HiddenSize => Configuration.HiddenSize;

    /// <inheritdoc/>
    public sealed override int LayerCount => Configuration.LayerCount;

    /// <inheritdoc/>
    public sealed override int ContextLength => Configuration.ContextLength;

    /// <inheritdoc/>
    public sealed override long ParameterCount => Weights.All.Sum(parameter => parameter.numel());

    /// <inheritdoc/>
    public sealed override Device Device => Embedding.device;

    /// <summary>What the checkpoint says of itself.</summary>
    internal DecoderConfiguration Configuration { get; }

    /// <summary>c of c·tanh(x / c) on the logits, or null.</summary>
    protected double? LogitSoftCap { get; init; }

    /// <summary>The embedding, <c>[V, h]</c>.</summary>
    protected Tensor Embedding { get; }

    /// <summary>Gives the subclass its weights.</summary>
    protected WeightSet Weights { get; }

    /// <inheritdoc/>
    public sealed override Tensor HiddenStates(Tensor tokens, ForwardRequest request)
    {
        using var scope = NewDisposeScope();
        using var pass = new ForwardPass(request, (int)tokens.shape[0], (int)tokens.shape[1], Device);
        var hidden = Embed(tokens, pass); // [B, T, h]
        for (var layer = 0; layer < LayerCount; layer++)
        {
            // One scope a block: without a graph to keep them, the activations of a block end with it.
            using var activations = NewDisposeScope();
            hidden = Block(layer, hidden, pass).MoveToOuterDisposeScope();
        }

        return LastNorm(hidden).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public sealed override Tensor Logits(Tensor hidden)
    {
        var logits = nn.functional.linear(hidden, _head);
        if (LogitSoftCap is not { } cap)
        {
            return logits;
        }

        using (logits)
        {
            using var scope = NewDisposeScope();
            return ((logits / cap).tanh() * cap).MoveToOuterDisposeScope();
        }
    }

    /// <inheritdoc/>
    public sealed override KeyValueCache NewCache() => new([.. Enumerable.Range(0, LayerCount).Select(Configuration.WindowOf)]);

    /// <inheritdoc/>
    internal sealed override Tensor? FindWeight(string name) => Weights.Find(name);

    /// <summary>The hidden states that the first block reads.</summary>
    /// <param name="tokens"><c>[B, T]</c>.</param>
    /// <param name="pass">The pass.</param>
    /// <returns><c>[B, T, h]</c>.</returns>
    protected virtual Tensor Embed(Tensor tokens, ForwardPass pass) => Embedding.index_select(0, tokens.flatten()).view(pass.Batch, pass.Length, -1);

    /// <summary>One block.</summary>
    /// <param name="layer">Its number, from 0.</param>
    /// <param name="hidden"><c>[B, T, h]</c>.</param>
    /// <param name="pass">The pass.</param>
    /// <returns><c>[B, T, h]</c>.</returns>
    protected abstract Tensor Block(int layer, Tensor hidden, ForwardPass pass);

    /// <summary>The norm after the last block.</summary>
    protected abstract Tensor LastNorm(Tensor hidden);

    /// <inheritdoc/>
    protected sealed override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Weights.Dispose();
        }
    }
}
