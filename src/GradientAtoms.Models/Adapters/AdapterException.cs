namespace GradientAtoms.Models.Adapters;

/// <summary>An adapter that is damaged, of a kind that is not known, or of another model. Codes GA24xx.</summary>
public sealed class AdapterException(string code, string location, string problem, string remedy, Exception? innerException = null)
    : GradientAtomsException(code, location, problem, remedy, innerException);
