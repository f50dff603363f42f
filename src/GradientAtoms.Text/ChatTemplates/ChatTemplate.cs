using GradientAtoms.Text.Documents;

namespace GradientAtoms.Text.ChatTemplates;

/// <summary>
/// A chat template: the program in the Jinja language that turns a conversation into the text a model was trained on.
/// Immutable and safe to share between threads. Templates are a stranger's program: steps, output and recursion are limited.
/// </summary>
public sealed class ChatTemplate
{
    private ChatTemplate(string source, string location)
    {
        Source = source;
        Location = location;
    }

    /// <summary>The template's text.</summary>
    public string Source { get; }

    /// <summary>Where it comes from, as errors name it.</summary>
    public string Location { get; }

    /// <summary>Reads a template.</summary>
    /// <param name="source">Its text.</param>
    /// <param name="location">Where it comes from (a file, a GGUF key), for error messages.</param>
    /// <exception cref="ChatTemplateException">GA2201: a syntax error, with its line. GA2202: a part of Jinja that is not known here.</exception>
    public static ChatTemplate Parse(string source, string location) => new(source, location);

    /// <summary>Writes a conversation as the model sees it.</summary>
    /// <param name="messages">The turns, in order.</param>
    /// <param name="context">The generation prompt, special tokens, tools and variables.</param>
    /// <exception cref="ChatTemplateException">GA2203: the template's own <c>raise_exception</c>. GA2204: it failed. GA2205: it went over a limit.</exception>
    public string Render(IReadOnlyList<ChatMessage> messages, ChatTemplateContext context) => throw new NotSupportedException();
}
