using GradientAtoms.Localisation;
using GradientAtoms.Runs.Formats;

namespace GradientAtoms.Cli;

/// <summary>Tokens, heads and neurons with their parts, for a reader.</summary>
internal static class TokenText
{
    /// <summary>The tokens with the largest parts, the largest first: <c>"sorry" +0.12</c>.</summary>
    /// <param name="texts">Of every token.</param>
    /// <param name="parts">Of every token.</param>
    /// <param name="count">At most.</param>
    public static string Strongest(IReadOnlyList<string> texts, IReadOnlyList<float> parts, int count) => string.Join(
        "  ",
        Enumerable.Range(0, texts.Count)
            .Where(place => parts[place] != 0)
            .OrderByDescending(place => Math.Abs(parts[place]))
            .Take(count)
            .Select(place => $"{Quote(texts[place])} {Signed(parts[place])}"));

    /// <summary>A number with its sign.</summary>
    public static string Signed(double value) => (value < 0 ? "-" : "+") + Plain.Number(Math.Abs(value));

    public static string Quote(string token) => $"\"{Plain.Line(token)}\"";

    /// <summary>A head or part: <c>model.layers.3.self_attn.q_proj q head 2</c>.</summary>
    public static string NameOf(NamedSegment segment) => segment.Head is { } head
        ? $"{Plain.Line(segment.Module)} {segment.Part} head {Plain.Count(head)}"
        : $"{Plain.Line(segment.Module)} {segment.Part}";

    /// <summary>A neuron: <c>model.layers.3.mlp.up_proj row 712</c>.</summary>
    public static string NameOf(NeuronValue neuron) =>
        Plain.Line(neuron.Module) + (neuron.Part is null ? string.Empty : $" {neuron.Part}") + (neuron.Head is { } head ? $" head {Plain.Count(head)}" : string.Empty) + $" row {Plain.Count(neuron.Row)}";
}
