using System.Globalization;

namespace GradientAtoms.Text.ChatTemplates;

/// <summary>What went wrong in a value's operation; the evaluator adds template and line.</summary>
internal sealed class TemplateFault(string code, string message) : Exception(message)
{
    /// <summary>A mistake of the template, or data that it cannot digest.</summary>
    public TemplateFault(string message)
        : this(TemplateErrors.Failed, message)
    {
    }

    public string Code { get; } = code;
}

/// <summary>The coded errors of chat templates.</summary>
internal static class TemplateErrors
{
    public const string SyntaxCode = "GA2201";
    public const string Unsupported = "GA2202";
    public const string Raised = "GA2203";
    public const string Failed = "GA2204";
    public const string OverLimit = "GA2205";
    public const string BadFile = "GA2206";
    public const string NoTemplate = "GA2207";

    public static ChatTemplateException Syntax(string location, int line, string problem) =>
        new(SyntaxCode, At(location, line), problem, "Correct the template, or give another one with --chat-template FILE.");

    public static ChatTemplateException NotKnown(string location, int line, string problem) =>
        new(Unsupported, At(location, line), problem, "Give a template without it through --chat-template FILE.");

    public static ChatTemplateException From(TemplateFault fault, string location, int line) =>
        new(fault.Code, At(location, line), fault.Message, Remedy(fault.Code), fault);

    /// <summary>The error of a chat without a template.</summary>
    public static ChatTemplateException Missing(string location) =>
        new(NoTemplate, location, "the data are chats, and the model has no chat template", "Give the model's template with --chat-template FILE (a jinja file, or a tokenizer_config.json).");

    /// <summary>The error of a template that went over a limit, with the document that it did so on.</summary>
    public static ChatTemplateException Over(ChatTemplateException fault, string document) =>
        new(OverLimit, $"{fault.Location}, document {document}", fault.Problem, fault.Remedy, fault);

    private static string Remedy(string code) => code switch
    {
        Raised => "The template refuses this conversation: change the conversation, or give another template with --chat-template FILE.",
        OverLimit => "The template does not come to an end, or writes far more than it is given; give another one with --chat-template FILE.",
        Unsupported => "Give a template without it through --chat-template FILE.",
        _ => "The template and the conversation do not fit: look at the conversation's fields, or give another template with --chat-template FILE.",
    };

    private static string At(string location, int line) => line > 0 ? $"{location}, line {line.ToString(CultureInfo.InvariantCulture)}" : location;
}
