using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>The function of an MLP, value by value.</summary>
/// <param name="Name">As configurations spell it.</param>
/// <param name="Apply">Gives the values' images.</param>
internal sealed record Activation(string Name, Func<Tensor, Tensor> Apply)
{
    /// <summary>x·σ(x).</summary>
    public static Activation Silu { get; } = new("silu", values => nn.functional.silu(values));

    /// <summary>x·Φ(x), with the error function.</summary>
    public static Activation Gelu { get; } = new("gelu", values => values.gelu());

    /// <summary>x·Φ(x), with the approximation by tanh.</summary>
    public static Activation GeluTanh { get; } = new("gelu_pytorch_tanh", values => values.gelu(TorchSharp.Modules.GELU.Approximate.tanh));

    /// <summary>max(x, 0).</summary>
    public static Activation Relu { get; } = new("relu", values => nn.functional.relu(values));

    /// <summary>From the configuration.</summary>
    /// <exception cref="CheckpointException">GA2323: another one.</exception>
    public static Activation Read(ModelConfig config, string key, Activation absent) => config.String(key) switch
    {
        null => absent,
        "silu" or "swish" => Silu,
        "gelu" => Gelu,
        "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" => GeluTanh,
        "relu" => Relu,
        var other => throw config.Unsupported(key, other, "silu, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh and relu"),
    };
}
