using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>Attention with a projection each for queries, keys, values and output (the llama family's <c>self_attn</c>).</summary>
internal sealed class SelfAttention
{
    private readonly AttentionHeads _heads;
    private readonly LinearModule _query;
    private readonly LinearModule _key;
    private readonly LinearModule _value;
    private readonly LinearModule _output;

    /// <summary>Takes the weights.</summary>
    /// <param name="weights">The model's.</param>
    /// <param name="name">The module: <c>model.layers.0.self_attn</c>.</param>
    /// <param name="hiddenSize">h.</param>
    /// <param name="heads">What happens between the projections.</param>
    /// <param name="bias">Whether queries, keys and values have biases.</param>
    /// <param name="outputBias">Whether the output has one.</param>
    public SelfAttention(WeightSet weights, string name, int hiddenSize, AttentionHeads heads, bool bias, bool outputBias)
    {
        _heads = heads;
        var (queries, keys) = heads.Sizes;
        _query = weights.Linear($"{name}.q_proj", name, queries, hiddenSize, bias, heads.Segments("q"));
        _key = weights.Linear($"{name}.k_proj", name, keys, hiddenSize, bias, heads.Segments("k"));
        _value = weights.Linear($"{name}.v_proj", name, keys, hiddenSize, bias, heads.Segments("v"));
        _output = weights.Linear($"{name}.o_proj", $"{name}.o_proj", hiddenSize, queries, outputBias, inputSegments: heads.Segments("o"));
    }

    /// <summary>Norms of queries and keys, or null.</summary>
    public (RmsNorm Query, RmsNorm Key)? Norms { get; init; }

    /// <summary>Whether <see cref="Norms"/> are over the whole projection (olmo2), not over each head (qwen3, gemma3).</summary>
    public bool NormsWholeProjection { get; init; }

    /// <summary>Computes it.</summary>
    /// <param name="layer">The block, for the cache.</param>
    /// <param name="input"><c>[B, T, h]</c>.</param>
    /// <param name="pass">The pass.</param>
    /// <returns><c>[B, T, h]</c>.</returns>
    public Tensor Forward(int layer, Tensor input, ForwardPass pass)
    {
        using var scope = NewDisposeScope();
        var (queries, keys) = (pass.Apply(_query, input), pass.Apply(_key, input));
        if (NormsWholeProjection && Norms is { } whole)
        {
            (queries, keys) = (whole.Query.Apply(queries), whole.Key.Apply(keys));
        }

        (queries, keys) = (_heads.Split(queries, _heads.HeadCount), _heads.Split(keys, _heads.KeyValueHeadCount));
        if (!NormsWholeProjection && Norms is { } perHead)
        {
            (queries, keys) = (perHead.Query.Apply(queries), perHead.Key.Apply(keys));
        }

        var values = _heads.Split(pass.Apply(_value, input), _heads.KeyValueHeadCount);
        return pass.Apply(_output, _heads.Mix(layer, queries, keys, values, pass)).MoveToOuterDisposeScope();
    }
}

/// <summary>The MLP down(f(gate(x)) · up(x)) of the llama family.</summary>
internal sealed class GatedMlp
{
    private readonly LinearModule _gate;
    private readonly LinearModule _up;
    private readonly LinearModule _down;
    private readonly Activation _activation;

    /// <summary>Takes the weights.</summary>
    /// <param name="weights">The model's.</param>
    /// <param name="name">The module: <c>model.layers.0.mlp</c>.</param>
    /// <param name="configuration">Sizes and f.</param>
    /// <param name="bias">Whether all three have biases.</param>
    public GatedMlp(WeightSet weights, string name, DecoderConfiguration configuration, bool bias = false)
    {
        var (hidden, middle) = (configuration.HiddenSize, configuration.IntermediateSize);
        _activation = configuration.Activation;
        _gate = weights.Linear($"{name}.gate_proj", name, middle, hidden, bias);
        _up = weights.Linear($"{name}.up_proj", name, middle, hidden, bias);
        _down = weights.Linear($"{name}.down_proj", $"{name}.down_proj", hidden, middle, bias);
    }

    /// <summary>Computes it.</summary>
    /// <param name="input"><c>[B, T, h]</c>.</param>
    /// <param name="pass">The pass.</param>
    /// <returns><c>[B, T, h]</c>.</returns>
    public Tensor Forward(Tensor input, ForwardPass pass)
    {
        using var scope = NewDisposeScope();
        return pass.Apply(_down, _activation.Apply(pass.Apply(_gate, input)) * pass.Apply(_up, input)).MoveToOuterDisposeScope();
    }
}
