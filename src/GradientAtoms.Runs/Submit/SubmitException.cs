namespace GradientAtoms.Runs.Submit;

/// <summary>A cluster did not take a run, or lost it: GA50xx, see <c>docs/errors/submit.md</c>.</summary>
/// <param name="code">Such as <c>GA5001</c>.</param>
/// <param name="location">The program, job or log that it is about.</param>
/// <param name="problem">What is wrong.</param>
/// <param name="remedy">What to do about it.</param>
/// <param name="innerException">The cause, where there is one.</param>
public sealed class SubmitException(string code, string location, string problem, string remedy, Exception? innerException = null)
    : GradientAtomsException(code, location, problem, remedy, innerException);
