using static TorchSharp.torch;

namespace GradientAtoms.Gradients;

/// <summary>What a source hands to its sinks: a batch of documents, with inputs and output gradients of every tracked map.</summary>
/// <remarks>Its tensors live until the sinks return. Nothing here knows of language or of LoRA.</remarks>
public sealed class GradientBatch
{
    /// <summary>Makes a batch.</summary>
    /// <param name="documents">Indices of the documents, one a row.</param>
    /// <param name="losses">The documents' summed losses, in nats.</param>
    /// <param name="maps">One a tracked map, in the layout's order.</param>
    public GradientBatch(IReadOnlyList<int> documents, IReadOnlyList<double> losses, IReadOnlyList<MapBatch> maps)
    {
        Documents = documents;
        Losses = losses;
        Maps = maps;
    }

    /// <summary>Indices of the documents, one a row.</summary>
    public IReadOnlyList<int> Documents { get; }

    /// <summary>The documents' summed losses, in nats.</summary>
    public IReadOnlyList<double> Losses { get; }

    /// <summary>One a tracked map, in the layout's order.</summary>
    public IReadOnlyList<MapBatch> Maps { get; }

    /// <summary>The flat gradients of the batch.</summary>
    /// <returns><c>[B, d]</c>, float32, one document a row. The caller owns it.</returns>
    public Tensor Rows()
    {
        using var scope = NewDisposeScope();
        return cat([.. Maps.Select(map => map.DocumentGradients.flatten(1))], dim: 1).MoveToOuterDisposeScope();
    }
}

/// <summary>A tracked map in a batch.</summary>
/// <param name="Map">Which map.</param>
/// <param name="Inputs">What it read, <c>[B, T, in]</c>; padding holds anything.</param>
/// <param name="OutputGradients">∂(summed loss)/∂(its output), <c>[B, T, out]</c>; exactly zero at padding.</param>
/// <param name="Attended">Flat positions (row · T + column) of tokens that are no padding, <c>[tokens]</c>.</param>
public sealed record MapBatch(TrackedMap Map, Tensor Inputs, Tensor OutputGradients, Tensor Attended)
{
    /// <summary>Each document's gradient G = Σ_t u_t x_tᵀ, <c>[B, out, in]</c>; it stays the batch's.</summary>
    public Tensor DocumentGradients { get; } = OutputGradients.transpose(1, 2).bmm(Inputs);

    /// <summary>The inputs of all tokens that are no padding, <c>[tokens, in]</c>.</summary>
    public Tensor AttendedInputs() => Inputs.flatten(0, 1).index_select(0, Attended);

    /// <summary>The output gradients of the same tokens, <c>[tokens, out]</c>.</summary>
    public Tensor AttendedOutputGradients() => OutputGradients.flatten(0, 1).index_select(0, Attended);
}

/// <summary>Takes what a pass computes, batch after batch: covariances, eigenvalues, rows, sketches.</summary>
public interface IGradientSink
{
    /// <summary>Looks at a batch. Its tensors are gone when this returns: what is kept must be copied.</summary>
    void Accept(GradientBatch batch);
}
