namespace GradientAtoms.Runs.Planning;

/// <summary>The run does not fit into what it may use: GA30xx, see <c>docs/errors/runs.md</c>.</summary>
/// <param name="code">Such as <c>GA3001</c>.</param>
/// <param name="location">The option or folder whose limit it is.</param>
/// <param name="problem">What is needed and what there is.</param>
/// <param name="remedy">What to do about it.</param>
public sealed class PlanException(string code, string location, string problem, string remedy) : GradientAtomsException(code, location, problem, remedy);
