namespace GradientAtoms.Runs;

/// <summary>Something is wrong with a run folder: GA26xx, see <c>docs/errors/runs.md</c>.</summary>
/// <param name="code">Such as <c>GA2601</c>.</param>
/// <param name="location">The folder, or the file in it.</param>
/// <param name="problem">What is wrong.</param>
/// <param name="remedy">What to do about it.</param>
/// <param name="innerException">The cause, where there is one.</param>
public sealed class RunFolderException(string code, string location, string problem, string remedy, Exception? innerException = null)
    : GradientAtomsException(code, location, problem, remedy, innerException);
