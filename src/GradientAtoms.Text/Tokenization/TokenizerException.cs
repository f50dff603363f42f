namespace GradientAtoms.Text.Tokenization;

/// <summary>A tokenizer file that cannot be read or used: codes GA21xx, see <c>docs/errors/tokenization.md</c>.</summary>
public sealed class TokenizerException : GradientAtomsException
{
    /// <summary>Makes the error.</summary>
    /// <param name="code">Such as <c>GA2104</c>.</param>
    /// <param name="location">The file, and the place in it.</param>
    /// <param name="problem">What is wrong: what was expected and what was found, one sentence.</param>
    /// <param name="remedy">What to do about it, one sentence.</param>
    /// <param name="innerException">The cause, where there is one.</param>
    public TokenizerException(string code, string location, string problem, string remedy, Exception? innerException = null)
        : base(code, location, problem, remedy, innerException)
    {
    }
}
