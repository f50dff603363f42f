namespace GradientAtoms.FineTuning;

/// <summary>A fine-tune that cannot start or go on as asked.</summary>
public sealed class FineTuningException(string code, string location, string problem, string remedy)
    : GradientAtomsException(code, location, problem, remedy);
