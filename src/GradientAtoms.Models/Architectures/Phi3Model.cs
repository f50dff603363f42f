using System.Diagnostics.CodeAnalysis;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>A phi3's configuration.</summary>
internal sealed record Phi3Configuration : DecoderConfiguration
{
    [SetsRequiredMembers]
    private Phi3Configuration(DecoderConfiguration common)
        : base(common)
    {
    }

    /// <summary>From <c>config.json</c>.</summary>
    public static Phi3Configuration FromJson(ModelConfig config)
    {
        var common = ConfigurationReader.FromJson(config, ConfigurationReader.Defaults with { NormEpsilon = 1e-5, ContextLength = 4096 });
        var share = ConfigurationReader.Rope(config, null)?.Number("partial_rotary_factor") ?? config.Number("partial_rotary_factor") ?? 1;
        return ConfigurationReader.Checked(
            new Phi3Configuration(common)
            {
                RotarySize = share == 1 ? null : (int)Math.Clamp(common.HeadSize * share, 0, int.MaxValue),
                Windows = ConfigurationReader.Windows(config.Size("sliding_window"), common.LayerCount, _ => true),
            },
            config.Location);
    }

    /// <summary>From GGUF metadata.</summary>
    public static Phi3Configuration FromGguf(GgufMetadata metadata)
    {
        // The rotary part is not the head's size here, as it is where a file names no key length.
        var common = ConfigurationReader.FromGguf(metadata);
        var headSize = metadata.Size("attention.key_length") ?? Math.Max(1, common.HiddenSize / common.HeadCount);
        return ConfigurationReader.Checked(
            new Phi3Configuration(common)
            {
                HeadSize = headSize,
                RotarySize = metadata.Size("rope.dimension_count") ?? headSize,
                Windows = ConfigurationReader.Windows(metadata.Size("attention.sliding_window"), common.LayerCount, _ => true),
            },
            metadata.File.Path);
    }
}

/// <summary>The phi3 decoder: a llama with queries, keys and values in one projection, and gate and up in one.</summary>
internal sealed class Phi3Model : DecoderModel
{
    private readonly Phi3Configuration _configuration;
    private readonly Layer[] _layers;
    private readonly RmsNorm _norm;

    private sealed record Layer(RmsNorm InputNorm, AttentionHeads Heads, LinearModule QueryKeyValue, LinearModule Output, RmsNorm PostAttentionNorm, LinearModule GateUp, LinearModule Down);

    /// <summary>Takes the weights.</summary>
    public Phi3Model(Phi3Configuration configuration, Func<string, long[], Tensor> weight)
        : base(configuration, weight, "model.embed_tokens", "lm_head")
    {
        _configuration = configuration;
        var (c, h, middle, rotary) = (configuration, configuration.HiddenSize, (long)configuration.IntermediateSize, configuration.Rotary());
        _layers = [.. Enumerable.Range(0, c.LayerCount).Select(layer =>
        {
            var (attention, mlp) = ($"model.layers.{layer}.self_attn", $"model.layers.{layer}.mlp");
            var heads = c.Heads(layer, rotary);
            return new Layer(
                Weights.RmsNorm($"model.layers.{layer}.input_layernorm", h, c.NormEpsilon),
                heads,
                Weights.Linear($"{attention}.qkv_proj", attention, heads.Sizes.Queries + (2 * heads.Sizes.Keys), h, bias: false, heads.FusedSegments),
                Weights.Linear($"{attention}.o_proj", $"{attention}.o_proj", h, heads.Sizes.Queries, bias: false, inputSegments: heads.Segments("o")),
                Weights.RmsNorm($"model.layers.{layer}.post_attention_layernorm", h, c.NormEpsilon),
                Weights.Linear($"{mlp}.gate_up_proj", mlp, 2 * middle, h, bias: false, [new("gate", null, 0, (int)middle), new("up", null, (int)middle, (int)middle)]),
                Weights.Linear($"{mlp}.down_proj", $"{mlp}.down_proj", h, middle, bias: false));
        })];
        _norm = Weights.RmsNorm("model.norm", h, c.NormEpsilon);
    }

    /// <inheritdoc/>
    public override string Architecture => "phi3";

    /// <inheritdoc/>
    protected override Tensor Block(int layer, Tensor hidden, ForwardPass pass)
    {
        var block = _layers[layer];
        var (heads, sizes) = (block.Heads, block.Heads.Sizes);
        var projected = pass.Apply(block.QueryKeyValue, block.InputNorm.Apply(hidden)).split([sizes.Queries, sizes.Keys, sizes.Keys], dim: -1);
        var mixed = heads.Mix(layer, Heads(projected[0], heads.HeadCount), Heads(projected[1], heads.KeyValueHeadCount), Heads(projected[2], heads.KeyValueHeadCount), pass);
        hidden = hidden + pass.Apply(block.Output, mixed);
        var halves = pass.Apply(block.GateUp, block.PostAttentionNorm.Apply(hidden)).chunk(2, dim: -1); // gate, then up
        return hidden + pass.Apply(block.Down, _configuration.Activation.Apply(halves[0]) * halves[1]);

        Tensor Heads(Tensor part, int count) => heads.Split(part.contiguous(), count);
    }

    /// <inheritdoc/>
    protected override Tensor LastNorm(Tensor hidden) => _norm.Apply(hidden);
}
