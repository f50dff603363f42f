namespace GradientAtoms;

/// <summary>
/// Something that the user can put right. Carries a code, says what is wrong and where, and what to do about it.
/// A programming mistake is an <see cref="ArgumentException"/> or an <see cref="InvalidOperationException"/> instead.
/// </summary>
/// <remarks>
/// The first digit of the code tells the kind, and from it the command line chooses its exit code:
/// 1 usage or configuration, 2 bad input, 3 over the memory, disk or time allowed, 4 too many documents rejected,
/// 5 an external endpoint. <c>docs/errors</c> lists every code.
/// </remarks>
public class GradientAtomsException : Exception
{
    /// <summary>Makes the error.</summary>
    /// <param name="code">Such as <c>GA2104</c>.</param>
    /// <param name="location">The file, row, module or option that the error is about.</param>
    /// <param name="problem">What is wrong: what was expected and what was found, one sentence.</param>
    /// <param name="remedy">What to do about it, one sentence.</param>
    /// <param name="innerException">The cause, where there is one.</param>
    public GradientAtomsException(string code, string location, string problem, string remedy, Exception? innerException = null)
        : base($"{location}: {problem}", innerException)
    {
        Code = code;
        Location = location;
        Problem = problem;
        Remedy = remedy;
    }

    /// <summary>Such as <c>GA2104</c>.</summary>
    public string Code { get; }

    /// <summary>The file, row, module or option that the error is about.</summary>
    public string Location { get; }

    /// <summary>What is wrong.</summary>
    public string Problem { get; }

    /// <summary>What to do about it.</summary>
    public string Remedy { get; }
}
