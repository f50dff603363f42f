namespace GradientAtoms.DictionaryLearning;

/// <summary>A dictionary that would be none: the options do not fit the data.</summary>
public sealed class DictionaryException : GradientAtomsException
{
    private DictionaryException(string code, string problem, string remedy)
        : base(code, "dictionary", problem, remedy)
    {
    }

    internal static DictionaryException NoCodes(double sparsity) => new(
        "GA2510",
        FormattableString.Invariant($"every code is zero at penalty {sparsity:g4}"),
        "Lower the penalty: with rows of norm 1 nothing is left at 1 or above, and .03 to .1 is usual; or leave it out and state non-zeros a document.");

    internal static DictionaryException MostAtomsDead(int dead, int atomCount, double sparsity) => new(
        "GA2511",
        FormattableString.Invariant($"{dead} of {atomCount} atoms have no document at penalty {sparsity:g4}"),
        "Ask for fewer atoms, or lower the penalty.");

    internal static DictionaryException TooManyAtoms(int atomCount, long documentCount) => new(
        "GA2512",
        FormattableString.Invariant($"{atomCount} atoms were asked for and there are {documentCount} documents"),
        "Ask for at most half as many atoms as documents, or give more documents.");

    internal static DictionaryException TargetOutOfReach(double target, double reached) => new(
        "GA2513",
        FormattableString.Invariant($"{target:g4} non-zeros a document cannot be reached: {reached:g4} at the smallest penalty"),
        "Aim at fewer non-zeros a document, or ask for more atoms.");
}
