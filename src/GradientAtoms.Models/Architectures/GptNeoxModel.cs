using System.Diagnostics.CodeAnalysis;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>A gpt-neox' configuration.</summary>
internal sealed record GptNeoxConfiguration : DecoderConfiguration
{
    [SetsRequiredMembers]
    private GptNeoxConfiguration(DecoderConfiguration common)
        : base(common)
    {
    }

    /// <summary>Whether attention and MLP read the same hidden state, or one after the other.</summary>
    public bool IsParallel { get; init; } = true;

    /// <summary>From <c>config.json</c>.</summary>
    public static GptNeoxConfiguration FromJson(ModelConfig config)
    {
        var common = ConfigurationReader.FromJson(config, ConfigurationReader.Defaults with { Activation = Activation.Gelu, RopeTheta = config.Number("rotary_emb_base") ?? 10_000 });
        var share = ConfigurationReader.Rope(config, null)?.Number("partial_rotary_factor") ?? config.Number("partial_rotary_factor") ?? config.Number("rotary_pct") ?? 0.25;
        return ConfigurationReader.Checked(
            new GptNeoxConfiguration(common)
            {
                KeyValueHeadCount = common.HeadCount,
                HeadSize = Math.Max(1, common.HiddenSize / common.HeadCount),
                NormEpsilon = config.Number("layer_norm_eps") ?? 1e-5,
                RotarySize = (int)Math.Clamp(Math.Max(1, common.HiddenSize / common.HeadCount) * share, 0, int.MaxValue),
                IsParallel = config.Boolean("use_parallel_residual") ?? true,
                AttentionBias = config.Boolean("attention_bias") ?? true,
            },
            config.Location);
    }

    /// <summary>From GGUF metadata.</summary>
    public static GptNeoxConfiguration FromGguf(GgufMetadata metadata)
    {
        // The rotary part is not the head's size here, as it is where a file names no key length.
        var common = ConfigurationReader.FromGguf(metadata, Activation.Gelu);
        var headSize = Math.Max(1, common.HiddenSize / common.HeadCount);
        return ConfigurationReader.Checked(
            new GptNeoxConfiguration(common)
            {
                HeadSize = headSize,
                RotarySize = metadata.Size("rope.dimension_count") ?? headSize,
                IsParallel = metadata.Boolean("use_parallel_residual") ?? true,
                AttentionBias = metadata.File.Contains("blk.0.attn_qkv.bias"),
            },
            metadata.File.Path);
    }
}

/// <summary>The gpt-neox decoder (pythia): attention and MLP side by side, queries, keys and values in one projection, interleaved by head; the first coordinates of a head are turned.</summary>
internal sealed class GptNeoxModel : DecoderModel
{
    private readonly GptNeoxConfiguration _configuration;
    private readonly Layer[] _layers;
    private readonly LayerNorm _norm;

    private sealed record Layer(LayerNorm InputNorm, AttentionHeads Heads, LinearModule QueryKeyValue, LinearModule Output, LayerNorm PostAttentionNorm, LinearModule Up, LinearModule Down);

    /// <summary>Takes the weights.</summary>
    public GptNeoxModel(GptNeoxConfiguration configuration, Func<string, long[], Tensor> weight)
        : base(configuration, weight, "gpt_neox.embed_in", "embed_out")
    {
        _configuration = configuration;
        var (c, h, rotary) = (configuration, (long)configuration.HiddenSize, configuration.Rotary());
        _layers = [.. Enumerable.Range(0, c.LayerCount).Select(layer =>
        {
            var name = $"gpt_neox.layers.{layer}";
            var heads = c.Heads(layer, rotary);
            return new Layer(
                Weights.LayerNorm($"{name}.input_layernorm", h, c.NormEpsilon),
                heads,
                Weights.Linear($"{name}.attention.query_key_value", $"{name}.attention.query_key_value", 3 * heads.Sizes.Queries, h, c.AttentionBias, Interleaved(heads)),
                Weights.Linear($"{name}.attention.dense", $"{name}.attention.dense", h, heads.Sizes.Queries, c.AttentionBias, inputSegments: heads.Segments("o")),
                Weights.LayerNorm($"{name}.post_attention_layernorm", h, c.NormEpsilon),
                Weights.Linear($"{name}.mlp.dense_h_to_4h", $"{name}.mlp.dense_h_to_4h", c.IntermediateSize, h, bias: true),
                Weights.Linear($"{name}.mlp.dense_4h_to_h", $"{name}.mlp.dense_4h_to_h", h, c.IntermediateSize, bias: true));
        })];
        _norm = Weights.LayerNorm("gpt_neox.final_layer_norm", h, c.NormEpsilon);
    }

    /// <inheritdoc/>
    public override string Architecture => "gpt_neox";

    /// <inheritdoc/>
    protected override Tensor Block(int layer, Tensor hidden, ForwardPass pass)
    {
        var block = _layers[layer];
        var attended = Attention(layer, block, block.InputNorm.Apply(hidden), pass);
        if (_configuration.IsParallel)
        {
            return hidden + attended + Mlp(block, block.PostAttentionNorm.Apply(hidden), pass);
        }

        hidden = hidden + attended;
        return hidden + Mlp(block, block.PostAttentionNorm.Apply(hidden), pass);
    }

    /// <inheritdoc/>
    protected override Tensor LastNorm(Tensor hidden) => _norm.Apply(hidden);

    // Query, key and value of the first head, then those of the second.
    private static WeightSegment[] Interleaved(AttentionHeads heads) =>
        [.. Enumerable.Range(0, 3 * heads.HeadCount).Select(place => new WeightSegment((place % 3) switch { 0 => "q", 1 => "k", _ => "v" }, place / 3, place * heads.HeadSize, heads.HeadSize))];

    private static Tensor Attention(int layer, Layer block, Tensor input, ForwardPass pass)
    {
        var heads = block.Heads;
        var projected = pass.Apply(block.QueryKeyValue, input).view(pass.Batch, pass.Length, heads.HeadCount, 3 * heads.HeadSize).chunk(3, dim: -1); // [B, T, heads, head size]
        return pass.Apply(block.Output, heads.Mix(layer, projected[0], projected[1], projected[2], pass));
    }

    private Tensor Mlp(Layer block, Tensor input, ForwardPass pass) => pass.Apply(block.Down, _configuration.Activation.Apply(pass.Apply(block.Up, input)));
}
