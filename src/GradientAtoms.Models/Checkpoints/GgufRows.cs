using static TorchSharp.torch;

namespace GradientAtoms.Models.Checkpoints;

/// <summary>The orders of rows that llama.cpp's converter changes, and back: of weights, biases, and of a LoRA module's B alike.</summary>
internal static class GgufRows
{
    /// <summary>llama's q and k, from llama.cpp's pairs side by side (2i, 2i + 1) to Hugging Face's (i, i + size / 2).</summary>
    /// <param name="rows"><c>[heads · size, …]</c>.</param>
    /// <param name="heads">Query heads, or key heads.</param>
    public static Tensor InHalves(Tensor rows, long heads) => rows.view(heads, rows.shape[0] / heads / 2, 2, -1).transpose(1, 2).reshape(rows.shape);

    /// <summary>The other way.</summary>
    public static Tensor SideBySide(Tensor rows, long heads) => rows.view(heads, 2, rows.shape[0] / heads / 2, -1).transpose(1, 2).reshape(rows.shape);

    /// <summary>gpt-neox' fused projection, from llama.cpp's queries, keys, values to Hugging Face's all three head by head.</summary>
    /// <param name="rows"><c>[3 · heads · size, …]</c>.</param>
    /// <param name="heads">Heads.</param>
    public static Tensor InterleavedByHead(Tensor rows, long heads) => rows.view(3, heads, rows.shape[0] / heads / 3, -1).transpose(0, 1).reshape(rows.shape);

    /// <summary>The other way.</summary>
    public static Tensor OneAfterTheOther(Tensor rows, long heads) => rows.view(heads, 3, rows.shape[0] / heads / 3, -1).transpose(0, 1).reshape(rows.shape);
}
