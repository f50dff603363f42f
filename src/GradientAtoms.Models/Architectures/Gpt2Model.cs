using System.Diagnostics.CodeAnalysis;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>A gpt2's configuration.</summary>
internal sealed record Gpt2Configuration : DecoderConfiguration
{
    [SetsRequiredMembers]
    private Gpt2Configuration(DecoderConfiguration common)
        : base(common)
    {
    }

    /// <summary>Whether products of queries and keys are divided by √(head size).</summary>
    public bool IsAttentionScaled { get; init; } = true;

    /// <summary>Whether those of layer i are divided by i + 1 too.</summary>
    public bool IsScaledByLayer { get; init; }

    /// <summary>From <c>config.json</c>.</summary>
    public static Gpt2Configuration FromJson(ModelConfig config)
    {
        ConfigurationReader.RefuseTrue(config, "add_cross_attention");
        var (hidden, heads) = (config.RequiredSize("n_embd"), config.RequiredSize("n_head"));
        return Checked(
            new Gpt2Configuration(ConfigurationReader.Defaults)
            {
                VocabularySize = config.RequiredSize("vocab_size"),
                HiddenSize = hidden,
                IntermediateSize = config.Size("n_inner") ?? (int)Math.Min(4L * hidden, int.MaxValue),
                LayerCount = config.RequiredSize("n_layer"),
                HeadCount = heads,
                KeyValueHeadCount = heads,
                HeadSize = Math.Max(1, hidden / heads),
                NormEpsilon = config.Number("layer_norm_epsilon") ?? 1e-5,
                ContextLength = config.Size("n_positions") ?? config.Size("n_ctx") ?? 1024,
                TiedEmbeddings = config.Boolean("tie_word_embeddings") ?? true,
                Activation = Activation.Read(config, "activation_function", Activation.GeluTanh),
                IsAttentionScaled = config.Boolean("scale_attn_weights") ?? true,
                IsScaledByLayer = config.Boolean("scale_attn_by_inverse_layer_idx") ?? false,
            },
            config.Location);
    }

    /// <summary>From GGUF metadata.</summary>
    public static Gpt2Configuration FromGguf(GgufMetadata metadata)
    {
        return Checked(new Gpt2Configuration(ConfigurationReader.FromGguf(metadata, Activation.GeluTanh)), metadata.File.Path);
    }

    private static Gpt2Configuration Checked(Gpt2Configuration c, string location)
    {
        return c.HeadSize * (long)c.HeadCount == c.HiddenSize && c.LayerCount <= ConfigurationReader.MostLayers
            ? c
            : throw new CheckpointException(
                "GA2321", location, $"{c.HeadCount} heads do not divide {c.HiddenSize} coordinates, or {c.LayerCount} layers are too many", "The configuration is damaged: fetch it again.");
    }
}

/// <summary>The gpt2 decoder: layer norms, learned positions, queries, keys and values in one projection, weights stored transposed.</summary>
internal sealed class Gpt2Model : DecoderModel
{
    private readonly Gpt2Configuration _configuration;
    private readonly Tensor _positions; // [context, h]
    private readonly Layer[] _layers;
    private readonly LayerNorm _norm;

    private sealed record Layer(LayerNorm AttentionNorm, AttentionHeads Heads, LinearModule QueryKeyValue, LinearModule Output, LayerNorm MlpNorm, LinearModule Up, LinearModule Down);

    /// <summary>Takes the weights.</summary>
    public Gpt2Model(Gpt2Configuration configuration, Func<string, long[], Tensor> weight)
        : base(configuration, weight, "transformer.wte", "lm_head")
    {
        _configuration = configuration;
        var (c, h) = (configuration, (long)configuration.HiddenSize);
        _positions = Weights.Weight("transformer.wpe.weight", c.ContextLength, h);
        _layers = [.. Enumerable.Range(0, c.LayerCount).Select(layer =>
        {
            var name = $"transformer.h.{layer}";
            var scale = (c.IsAttentionScaled ? 1 / Math.Sqrt(c.HeadSize) : 1) / (c.IsScaledByLayer ? layer + 1 : 1);
            var heads = c.Heads(layer, rotary: null) with { Scale = c.IsAttentionScaled && !c.IsScaledByLayer ? null : scale };
            return new Layer(
                Weights.LayerNorm($"{name}.ln_1", h, c.NormEpsilon),
                heads,
                Weights.Conv1D($"{name}.attn.c_attn", $"{name}.attn.c_attn", 3 * h, h, heads.FusedSegments),
                Weights.Conv1D($"{name}.attn.c_proj", $"{name}.attn.c_proj", h, h, inputSegments: heads.Segments("o")),
                Weights.LayerNorm($"{name}.ln_2", h, c.NormEpsilon),
                Weights.Conv1D($"{name}.mlp.c_fc", $"{name}.mlp.c_fc", c.IntermediateSize, h),
                Weights.Conv1D($"{name}.mlp.c_proj", $"{name}.mlp.c_proj", h, c.IntermediateSize));
        })];
        _norm = Weights.LayerNorm("transformer.ln_f", h, c.NormEpsilon);
    }

    /// <inheritdoc/>
    public override string Architecture => "gpt2";

    /// <inheritdoc/>
    /// <exception cref="CheckpointException">GA2325: there are more tokens than learned positions.</exception>
    protected override Tensor Embed(Tensor tokens, ForwardPass pass) => pass.Longest <= ContextLength
        ? base.Embed(tokens, pass) + _positions.index_select(0, pass.Positions.flatten()).view([.. pass.Positions.shape, -1])
        : throw new CheckpointException(
            "GA2325", "n_positions", $"a document has {pass.Longest} tokens, and the model has learned {ContextLength} positions", $"Cut documents: --max-tokens {ContextLength}.");

    /// <inheritdoc/>
    protected override Tensor Block(int layer, Tensor hidden, ForwardPass pass)
    {
        var block = _layers[layer];
        var heads = block.Heads;
        var projected = pass.Apply(block.QueryKeyValue, block.AttentionNorm.Apply(hidden)).chunk(3, dim: -1);
        var split = projected.Select(part => heads.Split(part.contiguous(), heads.HeadCount)).ToArray();
        hidden = hidden + pass.Apply(block.Output, heads.Mix(layer, split[0], split[1], split[2], pass));
        return hidden + pass.Apply(block.Down, _configuration.Activation.Apply(pass.Apply(block.Up, block.MlpNorm.Apply(hidden))));
    }

    /// <inheritdoc/>
    protected override Tensor LastNorm(Tensor hidden) => _norm.Apply(hidden);
}
