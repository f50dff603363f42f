namespace GradientAtoms;

/// <summary>NaN or infinity where a number was expected: the stage stops and says which document and module.</summary>
public sealed class NumericalException(string location, string problem, string remedy)
    : GradientAtomsException("GA2501", location, problem, remedy);
