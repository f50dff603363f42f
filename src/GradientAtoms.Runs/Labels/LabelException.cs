namespace GradientAtoms.Runs.Labels;

/// <summary>An endpoint did not give labels or verdicts: GA5050 to GA5059, see <c>docs/errors/labels.md</c>.</summary>
/// <param name="code">Such as <c>GA5050</c>.</param>
/// <param name="location">The endpoint.</param>
/// <param name="problem">What is wrong.</param>
/// <param name="remedy">What to do about it.</param>
/// <param name="innerException">The cause, where there is one.</param>
public sealed class LabelException(string code, string location, string problem, string remedy, Exception? innerException = null)
    : GradientAtomsException(code, location, problem, remedy, innerException);
