namespace GradientAtoms.Steering;

/// <summary>A step that cannot be taken as asked.</summary>
public sealed class SteeringException(string code, string location, string problem, string remedy)
    : GradientAtomsException(code, location, problem, remedy);
