namespace GradientAtoms.Runs.Answers;

/// <summary>What kind of refusal an <see cref="AnswerException"/> is: a server chooses its status by it.</summary>
public enum AnswerFault
{
    /// <summary>No model or steer of that name.</summary>
    UnknownModel,

    /// <summary>The request cannot be.</summary>
    BadRequest,

    /// <summary>The prompt is too long.</summary>
    TooLong,

    /// <summary>Too many requests are under way.</summary>
    Busy,

    /// <summary>It took longer than it may.</summary>
    TimedOut,

    /// <summary>The engine stops.</summary>
    Stopping,

    /// <summary>The computation failed.</summary>
    Failed,
}

/// <summary>A question is not answered: GA5020 to GA5029, see <c>docs/errors/server.md</c>.</summary>
/// <param name="code">Such as <c>GA5020</c>.</param>
/// <param name="location">The field or model that the error is about.</param>
/// <param name="problem">What is wrong.</param>
/// <param name="remedy">What to do about it.</param>
/// <param name="fault">Its kind.</param>
/// <param name="innerException">The cause, where there is one.</param>
public sealed class AnswerException(string code, string location, string problem, string remedy, AnswerFault fault, Exception? innerException = null)
    : GradientAtomsException(code, location, problem, remedy, innerException)
{
    /// <summary>Its kind.</summary>
    public AnswerFault Fault { get; } = fault;

    internal static AnswerException Unknown(string model, string problem, Exception? cause = null) =>
        new("GA5020", model, problem, "Ask for base, adapter, a name that was given at the start, or POLE@KL such as a1b2c3+@.1 (less of the pole: a1b2c3+@-.1).", AnswerFault.UnknownModel, cause);

    internal static AnswerException Option(string name, string problem, string remedy) => new("GA5021", name, problem, remedy, AnswerFault.BadRequest);

    internal static AnswerException TooLong(string problem) => new("GA5022", "prompt", problem, "Shorten it.", AnswerFault.TooLong);

    internal static AnswerException Busy(int most) =>
        new("GA5023", "queue", $"{most} requests are under way, more are not taken", "Ask again in a moment.", AnswerFault.Busy);

    internal static AnswerException Stopping() => new("GA5024", "engine", "is stopping", "Ask again when it runs again.", AnswerFault.Stopping);

    internal static AnswerException TimedOut(double seconds) =>
        new("GA5025", "answer", FormattableString.Invariant($"took longer than {seconds:0.###} s"), "Ask for fewer tokens, or raise the time allowed.", AnswerFault.TimedOut);

    internal static AnswerException NoTemplate() =>
        new("GA5026", "messages", "the model has no chat template", "Ask for a completion of a plain prompt, or audit with --chat-template FILE.", AnswerFault.BadRequest);

    internal static AnswerException Failed(Exception cause) =>
        new("GA5027", "answer", "the computation failed", "Ask again; where it fails again, please report it.", AnswerFault.Failed, cause);
}
