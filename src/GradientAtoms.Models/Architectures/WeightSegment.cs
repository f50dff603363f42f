namespace GradientAtoms.Models.Architectures;

/// <summary>A range of a linear module's outputs, or of its inputs, that is a thing of its own.</summary>
/// <param name="Part">Which projection it belongs to: <c>q</c>, <c>k</c>, <c>v</c>, <c>o</c>, <c>gate</c> or <c>up</c>.</param>
/// <param name="Head">The attention head, counted from 0; null where the part has none.</param>
/// <param name="First">Its first row (of inputs: column) of the weight.</param>
/// <param name="Count">Its rows.</param>
public sealed record WeightSegment(string Part, int? Head, int First, int Count)
{
    /// <summary>Equal heads one after another.</summary>
    /// <param name="part">The projection.</param>
    /// <param name="count">Heads.</param>
    /// <param name="size">Rows of each.</param>
    /// <param name="first">The first row of the first.</param>
    internal static IEnumerable<WeightSegment> Heads(string part, int count, int size, int first = 0) =>
        Enumerable.Range(0, count).Select(head => new WeightSegment(part, head, first + (head * size), size));
}
