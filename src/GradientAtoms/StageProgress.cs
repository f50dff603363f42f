namespace GradientAtoms;

/// <summary>How far a long call is. Reported once a batch or iteration, on the caller's thread.</summary>
/// <param name="Stage">What is being done: <c>gradients</c>, <c>dictionary</c>.</param>
/// <param name="Done">Units done.</param>
/// <param name="Total">Units in all; 0 where that is not known.</param>
/// <param name="Unit">What is counted: <c>documents</c>, <c>rounds</c>.</param>
/// <param name="Note">A figure worth showing beside it, such as a loss; or null.</param>
public sealed record StageProgress(string Stage, long Done, long Total, string Unit, string? Note = null);
