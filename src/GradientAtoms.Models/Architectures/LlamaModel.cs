using GradientAtoms.Models.Generation;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>
/// The llama decoder: RMS norm, rotary attention with grouped keys and values, gated SiLU MLP, no dropout.
/// Weights are frozen float32 tensors under the checkpoint's own names.
/// </summary>
public sealed class LlamaModel : CausalLanguageModel
{
    private readonly LlamaConfiguration _configuration;
    private readonly Tensor _embedding; // [V, h]
    private readonly Tensor _head; // [V, h], the embedding itself where tied
    private readonly Tensor _finalNorm; // [h]
    private readonly Block[] _blocks;
    private readonly Tensor _inverseFrequencies; // [head size / 2], float64

    private sealed record Block(
        Tensor InputNorm, LinearModule Query, LinearModule Key, LinearModule Value, LinearModule Output,
        Tensor PostAttentionNorm, LinearModule Gate, LinearModule Up, LinearModule Down);

    /// <summary>Takes the weights.</summary>
    /// <param name="configuration">What the checkpoint says of itself.</param>
    /// <param name="weight">Gives a weight by its checkpoint name as a float32 tensor of the stated shape, which the model then owns.</param>
    public LlamaModel(LlamaConfiguration configuration, Func<string, long[], Tensor> weight)
    {
        _configuration = configuration;
        var (h, c) = (configuration.HiddenSize, configuration);
        Tensor Weight(string name, params long[] shape) => weight(name, shape).DetachFromDisposeScope();
        LinearModule Linear(string name, string inputName, int outputs, int inputs, bool bias) =>
            new(name, Weight($"{name}.weight", outputs, inputs), bias ? Weight($"{name}.bias", outputs) : null) { InputName = inputName };

        _embedding = Weight("model.embed_tokens.weight", c.VocabularySize, h);
        _blocks = [.. Enumerable.Range(0, c.LayerCount).Select(layer =>
        {
            var (attention, mlp) = ($"model.layers.{layer}.self_attn", $"model.layers.{layer}.mlp");
            var (queries, keys) = (c.HeadCount * c.HeadSize, c.KeyValueHeadCount * c.HeadSize);
            return new Block(
                Weight($"model.layers.{layer}.input_layernorm.weight", h),
                Linear($"{attention}.q_proj", attention, queries, h, c.AttentionBias),
                Linear($"{attention}.k_proj", attention, keys, h, c.AttentionBias),
                Linear($"{attention}.v_proj", attention, keys, h, c.AttentionBias),
                Linear($"{attention}.o_proj", $"{attention}.o_proj", h, queries, c.AttentionBias),
                Weight($"model.layers.{layer}.post_attention_layernorm.weight", h),
                Linear($"{mlp}.gate_proj", mlp, c.IntermediateSize, h, c.MlpBias),
                Linear($"{mlp}.up_proj", mlp, c.IntermediateSize, h, c.MlpBias),
                Linear($"{mlp}.down_proj", $"{mlp}.down_proj", h, c.IntermediateSize, c.MlpBias));
        })];
        _finalNorm = Weight("model.norm.weight", h);
        _head = c.TiedEmbeddings ? _embedding : Weight("lm_head.weight", c.VocabularySize, h);
        _inverseFrequencies = RotaryEmbedding.InverseFrequencies(c.HeadSize, c.RopeTheta, c.RopeScaling).to(_embedding.device).DetachFromDisposeScope();
        LinearModules = [.. _blocks.SelectMany(block => (LinearModule[])[block.Query, block.Key, block.Value, block.Output, block.Gate, block.Up, block.Down])];
    }

    /// <summary>Every weight of a llama of this configuration, by its checkpoint name, with its shape.</summary>
    public static IEnumerable<(string Name, long[] Shape)> Weights(LlamaConfiguration configuration)
    {
        var c = configuration;
        var (h, queries, keys) = ((long)c.HiddenSize, (long)c.HeadCount * c.HeadSize, (long)c.KeyValueHeadCount * c.HeadSize);
        yield return ("model.embed_tokens.weight", [c.VocabularySize, h]);
        for (var layer = 0; layer < c.LayerCount; layer++)
        {
            var block = $"model.layers.{layer}";
            yield return ($"{block}.input_layernorm.weight", [h]);
            yield return ($"{block}.post_attention_layernorm.weight", [h]);
            foreach (var (name, outputs, inputs, bias) in ((string, long, long, bool)[])
            [
                ("self_attn.q_proj", queries, h, c.AttentionBias), ("self_attn.k_proj", keys, h, c.AttentionBias), ("self_attn.v_proj", keys, h, c.AttentionBias),
                ("self_attn.o_proj", h, queries, c.AttentionBias),
                ("mlp.gate_proj", c.IntermediateSize, h, c.MlpBias), ("mlp.up_proj", c.IntermediateSize, h, c.MlpBias), ("mlp.down_proj", h, c.IntermediateSize, c.MlpBias),
            ])
            {
                yield return ($"{block}.{name}.weight", [outputs, inputs]);
                if (bias)
                {
                    yield return ($"{block}.{name}.bias", [outputs]);
                }
            }
        }

        yield return ("model.norm.weight", [h]);
        if (!c.TiedEmbeddings)
        {
            yield return ("lm_head.weight", [c.VocabularySize, h]);
        }
    }

    /// <inheritdoc/>
    public override string Architecture => "llama";

    /// <inheritdoc/>
    public override IReadOnlyList<LinearModule> LinearModules { get; }

    /// <inheritdoc/>
    public override int VocabularySize => _configuration.VocabularySize;

    /// <inheritdoc/>
    public override int HiddenSize => _configuration.HiddenSize;

    /// <inheritdoc/>
    public override int LayerCount => _configuration.LayerCount;

    /// <inheritdoc/>
    public override int ContextLength => _configuration.ContextLength;

    /// <inheritdoc/>
    public override long ParameterCount => Parameters().Sum(parameter => parameter.numel());

    /// <inheritdoc/>
    public override Device Device => _embedding.device;

    /// <inheritdoc/>
    public override Tensor HiddenStates(Tensor tokens, ForwardRequest request)
    {
        using var scope = NewDisposeScope();
        var past = request.Cache?.Length ?? 0;
        var (cosines, sines) = RotaryEmbedding.Angles(_inverseFrequencies, past, (int)tokens.shape[1]);
        var hidden = _embedding.index_select(0, tokens.flatten()).view(tokens.shape[0], tokens.shape[1], -1); // [B, T, h]
        for (var layer = 0; layer < _blocks.Length; layer++)
        {
            // One scope a block: without a graph to keep them, the activations of a block end with it.
            using var activations = NewDisposeScope();
            var block = _blocks[layer];
            hidden = hidden + Attention(layer, block, RmsNorm(hidden, block.InputNorm), cosines, sines, past, request);
            var normed = RmsNorm(hidden, block.PostAttentionNorm);
            var middle = nn.functional.silu(request.Apply(block.Gate, normed)) * request.Apply(block.Up, normed); // [B, T, intermediate]
            hidden = (hidden + request.Apply(block.Down, middle)).MoveToOuterDisposeScope();
        }

        return RmsNorm(hidden, _finalNorm).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override Tensor Logits(Tensor hidden) => nn.functional.linear(hidden, _head);

    /// <inheritdoc/>
    public override KeyValueCache NewCache() => new(_blocks.Length);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _inverseFrequencies.Dispose();
            foreach (var parameter in Parameters())
            {
                parameter.Dispose();
            }
        }
    }

    private Tensor Attention(int layer, Block block, Tensor input, Tensor cosines, Tensor sines, int past, ForwardRequest request)
    {
        var (batch, length) = (input.shape[0], input.shape[1]);
        Tensor Heads(Tensor values, int count) => values.view(batch, length, count, _configuration.HeadSize).transpose(1, 2); // [B, heads, T, head size]

        var queries = RotaryEmbedding.Rotate(Heads(request.Apply(block.Query, input), _configuration.HeadCount), cosines, sines);
        var keys = RotaryEmbedding.Rotate(Heads(request.Apply(block.Key, input), _configuration.KeyValueHeadCount), cosines, sines);
        var values = Heads(request.Apply(block.Value, input), _configuration.KeyValueHeadCount);
        if (request.Cache is { } cache)
        {
            (keys, values) = cache.Append(layer, keys, values);
        }

        var group = _configuration.HeadCount / _configuration.KeyValueHeadCount;
        if (group > 1)
        {
            keys = keys.repeat_interleave(group, dim: 1);
            values = values.repeat_interleave(group, dim: 1);
        }

        // One new token sees everything; a first pass is causal; several new tokens after a past need their own mask.
        var mask = past > 0 && length > 1 ? ones([length, past + length], dtype: ScalarType.Bool, device: input.device).tril(past) : null;
        var mixed = nn.functional.scaled_dot_product_attention(queries, keys, values, attn_mask: mask!, is_casual: past == 0 && length > 1); // [B, heads, T, head size]
        return request.Apply(block.Output, mixed.transpose(1, 2).reshape(batch, length, -1));
    }

    private Tensor RmsNorm(Tensor hidden, Tensor weight) =>
        hidden * hidden.square().mean([-1], keepdim: true).add(_configuration.NormEpsilon).rsqrt() * weight;

    private IEnumerable<Tensor> Parameters()
    {
        yield return _embedding;
        foreach (var block in _blocks)
        {
            yield return block.InputNorm;
            yield return block.PostAttentionNorm;
        }

        foreach (var module in LinearModules)
        {
            yield return module.Weight;
            if (module.Bias is not null)
            {
                yield return module.Bias;
            }
        }

        yield return _finalNorm;
        if (!_configuration.TiedEmbeddings)
        {
            yield return _head;
        }
    }
}
