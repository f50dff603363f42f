using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>A frozen linear map of the model: y = W x + b.</summary>
/// <param name="Name">As the checkpoint spells it, without <c>.weight</c>: <c>model.layers.0.self_attn.q_proj</c>.</param>
/// <param name="Weight"><c>[out, in]</c>, float32.</param>
/// <param name="Bias"><c>[out]</c>, or null.</param>
public sealed record LinearModule(string Name, Tensor Weight, Tensor? Bias)
{
    /// <summary>Modules that read the same input share this name (q, k and v; gate and up), so that it is looked at once.</summary>
    public required string InputName { get; init; }

    /// <summary>Whether the checkpoint stores the weight <c>[in, out]</c> (GPT-2's Conv1D; PEFT's <c>fan_in_fan_out</c>). <see cref="Weight"/> is <c>[out, in]</c> all the same.</summary>
    public bool IsStoredTransposed { get; init; }

    /// <summary>What the outputs are, where they are several things: a range of rows for each head, or for each part of a fused projection. Empty: one thing.</summary>
    public IReadOnlyList<WeightSegment> OutputSegments { get; init; } = [];

    /// <summary>The same of the inputs: what an attention's output projection reads of each head. Empty: one thing.</summary>
    public IReadOnlyList<WeightSegment> InputSegments { get; init; } = [];

    /// <summary>Size of an input.</summary>
    public int InputSize => (int)Weight.shape[1];

    /// <summary>Size of an output.</summary>
    public int OutputSize => (int)Weight.shape[0];
}
