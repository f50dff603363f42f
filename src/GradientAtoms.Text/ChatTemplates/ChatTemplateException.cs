namespace GradientAtoms.Text.ChatTemplates;

/// <summary>A chat template that is missing, cannot be read, or refuses a conversation. Codes GA22xx.</summary>
public sealed class ChatTemplateException : GradientAtomsException
{
    /// <summary>Makes the error.</summary>
    /// <param name="code">GA22xx.</param>
    /// <param name="location">The template, with the line where one is known.</param>
    /// <param name="problem">What is wrong.</param>
    /// <param name="remedy">What to do about it.</param>
    /// <param name="innerException">The cause, where there is one.</param>
    public ChatTemplateException(string code, string location, string problem, string remedy, Exception? innerException = null)
        : base(code, location, problem, remedy, innerException)
    {
    }

    /// <summary>True where the template itself refused the conversation through <c>raise_exception</c>; the message is the problem.</summary>
    public bool IsRaisedByTemplate => Code == "GA2203";
}
