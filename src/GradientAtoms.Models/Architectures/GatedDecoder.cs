using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>Where a block has its norms.</summary>
internal enum NormPlaces
{
    /// <summary>Before attention and before the MLP (llama).</summary>
    Before,

    /// <summary>After each of them (olmo2).</summary>
    After,

    /// <summary>Before and after each (gemma).</summary>
    Around,
}

/// <summary>Which norms queries and keys have.</summary>
internal enum QueryKeyNorms
{
    /// <summary>None.</summary>
    None,

    /// <summary>One over each head (qwen3, gemma3).</summary>
    EachHead,

    /// <summary>One over the whole projection (olmo2).</summary>
    WholeProjection,
}

/// <summary>What the families of <see cref="GatedDecoder"/> differ in, beside their sizes.</summary>
internal sealed record GatedDecoderOptions
{
    /// <summary>Whether q, k and v have biases.</summary>
    public bool QueryKeyValueBias { get; init; }

    /// <summary>Whether o has one.</summary>
    public bool OutputBias { get; init; }

    /// <summary>Whether gate, up and down have biases.</summary>
    public bool MlpBias { get; init; }

    /// <summary>Where the norms are.</summary>
    public NormPlaces Norms { get; init; }

    /// <summary>The norms of queries and keys.</summary>
    public QueryKeyNorms QueryKeyNorms { get; init; }

    /// <summary>1 where the checkpoint stores a norm's weight less one (gemma).</summary>
    public int NormOffset { get; init; }

    /// <summary>The attention of a block; null: 1/√(head size), the configuration's rotary positions, the block's window.</summary>
    public Func<int, AttentionHeads>? Heads { get; init; }
}

/// <summary>The decoder that most families are: RMS norms, attention with a projection each for q, k, v and o, a gated MLP, both added to what they read.</summary>
internal abstract class GatedDecoder : DecoderModel
{
    private readonly Layer[] _layers;
    private readonly RmsNorm _norm;

    private sealed record Layer(RmsNorm? BeforeAttention, SelfAttention Attention, RmsNorm? AfterAttention, RmsNorm? BeforeMlp, GatedMlp Mlp, RmsNorm? AfterMlp);

    /// <summary>Takes the weights.</summary>
    /// <param name="configuration">The sizes.</param>
    /// <param name="weight">Gives a weight by its checkpoint name as a float32 tensor of the stated shape, which the model then owns.</param>
    /// <param name="options">What is the family's own.</param>
    protected GatedDecoder(DecoderConfiguration configuration, Func<string, long[], Tensor> weight, GatedDecoderOptions options)
        : base(configuration, weight, "model.embed_tokens", "lm_head")
    {
        var (c, h, rotary) = (configuration, configuration.HiddenSize, configuration.Rotary());
        var (isBefore, isAfter) = (options.Norms != NormPlaces.After, options.Norms != NormPlaces.Before);
        _layers = [.. Enumerable.Range(0, c.LayerCount).Select(layer =>
        {
            var name = $"model.layers.{layer}";
            return new Layer(
                isBefore ? Norm($"{name}.input_layernorm", h) : null,
                Attention($"{name}.self_attn", options.Heads?.Invoke(layer) ?? c.Heads(layer, rotary)),
                isAfter ? Norm($"{name}.post_attention_layernorm", h) : null,
                isBefore ? Norm($"{name}.{(isAfter ? "pre_feedforward" : "post_attention")}_layernorm", h) : null,
                new GatedMlp(Weights, $"{name}.mlp", c, options.MlpBias),
                isAfter ? Norm($"{name}.post_feedforward_layernorm", h) : null);
        })];
        _norm = Norm("model.norm", h);

        RmsNorm Norm(string name, long size) => Weights.RmsNorm(name, size, c.NormEpsilon, options.NormOffset);

        SelfAttention Attention(string name, AttentionHeads heads)
        {
            var isWhole = options.QueryKeyNorms == QueryKeyNorms.WholeProjection;
            var (queries, keys) = isWhole ? heads.Sizes : (c.HeadSize, c.HeadSize);
            return new SelfAttention(Weights, name, h, heads, options.QueryKeyValueBias, options.OutputBias)
            {
                Norms = options.QueryKeyNorms == QueryKeyNorms.None ? null : (Norm($"{name}.q_norm", queries), Norm($"{name}.k_norm", keys)),
                NormsWholeProjection = isWhole,
            };
        }
    }

    /// <inheritdoc/>
    protected sealed override Tensor Block(int layer, Tensor hidden, ForwardPass pass)
    {
        var block = _layers[layer];
        hidden = Added(hidden, block.BeforeAttention, input => block.Attention.Forward(layer, input, pass), block.AfterAttention);
        return Added(hidden, block.BeforeMlp, input => block.Mlp.Forward(input, pass), block.AfterMlp);

        static Tensor Added(Tensor hidden, RmsNorm? before, Func<Tensor, Tensor> part, RmsNorm? after)
        {
            using var scope = NewDisposeScope();
            var change = part(before is null ? hidden : before.Apply(hidden));
            return (hidden + (after is null ? change : after.Apply(change))).MoveToOuterDisposeScope();
        }
    }

    /// <inheritdoc/>
    protected sealed override Tensor LastNorm(Tensor hidden) => _norm.Apply(hidden);
}
