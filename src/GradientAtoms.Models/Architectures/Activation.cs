using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>The functions of the MLPs.</summary>
internal enum Activation
{
    /// <summary>x·σ(x).</summary>
    Silu,

    /// <summary>x·Φ(x), with the error function.</summary>
    Gelu,

    /// <summary>x·Φ(x), with the approximation by tanh.</summary>
    GeluTanh,

    /// <summary>max(x, 0).</summary>
    Relu,
}

/// <summary>Reads and applies activations.</summary>
internal static class Activations
{
    /// <summary>From the configuration.</summary>
    /// <exception cref="CheckpointException">GA2323: another one.</exception>
    public static Activation Read(ModelConfig config, string key, Activation absent) => config.String(key) switch
    {
        null => absent,
        "silu" or "swish" => Activation.Silu,
        "gelu" => Activation.Gelu,
        "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" => Activation.GeluTanh,
        "relu" => Activation.Relu,
        var other => throw config.Unsupported(key, other, "silu, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh and relu"),
    };

    /// <summary>Applies one, value by value.</summary>
    public static Tensor Apply(this Activation activation, Tensor values) => activation switch
    {
        Activation.Silu => nn.functional.silu(values),
        Activation.Gelu => values.gelu(),
        Activation.GeluTanh => values.gelu(TorchSharp.Modules.GELU.Approximate.tanh),
        _ => nn.functional.relu(values),
    };
}
