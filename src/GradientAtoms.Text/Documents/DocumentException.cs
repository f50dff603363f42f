namespace GradientAtoms.Text.Documents;

/// <summary>A data file that cannot be used at all. Codes GA20xx.</summary>
public sealed class DocumentException : GradientAtomsException
{
    /// <summary>Makes the error.</summary>
    /// <param name="code">GA20xx.</param>
    /// <param name="location">The file, with the line where one is known.</param>
    /// <param name="problem">What is wrong.</param>
    /// <param name="remedy">What to do about it.</param>
    /// <param name="innerException">The cause, where there is one.</param>
    public DocumentException(string code, string location, string problem, string remedy, Exception? innerException = null)
        : base(code, location, problem, remedy, innerException)
    {
    }
}
