using GradientAtoms.Text.Documents;

namespace GradientAtoms.Text.ChatTemplates;

/// <summary>
/// A chat template: the program in the Jinja language that turns a conversation into the text a model was trained on.
/// Immutable and safe to share between threads. Templates are a stranger's program: steps, output and recursion are limited.
/// </summary>
/// <remarks>White space, functions and values follow the environment that Python's transformers gives its templates.</remarks>
public sealed class ChatTemplate
{
    private static readonly string[] ReasoningKeys = ["reasoning_content", "thinking", "reasoning"];

    private readonly IReadOnlyList<TemplateStatement> body;

    private ChatTemplate(string source, string location, IReadOnlyList<TemplateStatement> body)
    {
        Source = source;
        Location = location;
        this.body = body;
    }

    /// <summary>The template's text.</summary>
    public string Source { get; }

    /// <summary>Where it comes from, as errors name it.</summary>
    public string Location { get; }

    /// <summary>Reads a template.</summary>
    /// <param name="source">Its text.</param>
    /// <param name="location">Where it comes from (a file, a GGUF key), for error messages.</param>
    /// <exception cref="ChatTemplateException">GA2201: a syntax error, with its line. GA2202: a part of Jinja that is not known here.</exception>
    public static ChatTemplate Parse(string source, string location)
    {
        ArgumentNullException.ThrowIfNull(source);
        return new(source, location, TemplateParser.Parse(source, location));
    }

    /// <summary>Writes a conversation as the model sees it.</summary>
    /// <param name="messages">The turns, in order.</param>
    /// <param name="context">The generation prompt, special tokens, tools and variables.</param>
    /// <exception cref="ChatTemplateException">GA2203: the template's own <c>raise_exception</c>. GA2204: it failed. GA2205: it went over a limit.</exception>
    public string Render(IReadOnlyList<ChatMessage> messages, ChatTemplateContext context)
    {
        ArgumentNullException.ThrowIfNull(messages);
        return RenderValues([.. messages.Select(ToMap)], context).Text;
    }

    /// <summary>As <see cref="Render"/>, for messages as parsed JSON, whatever they hold.</summary>
    internal TemplateRendering RenderValues(IReadOnlyList<object?> messages, ChatTemplateContext context, TemplateLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(context);
        var variables = new Dictionary<string, object?>(StringComparer.Ordinal);
        TemplateFunctions.AddTo(variables, context.Now);
        try
        {
            foreach (var (name, text) in context.SpecialTokens)
            {
                variables[name] = text;
            }

            variables["messages"] = messages.Select(message => WithReasoning(PythonValue.From(message))).ToList();
            variables["tools"] = PythonValue.From(context.Tools);
            variables["documents"] = null;
            variables["add_generation_prompt"] = context.AddGenerationPrompt;
            foreach (var (name, value) in context.Variables)
            {
                variables[name] = PythonValue.From(value);
            }
        }
        catch (TemplateFault fault)
        {
            throw TemplateErrors.From(fault, Location, 0);
        }

        return TemplateEvaluator.Run(body, variables, limits ?? new(), Location);
    }

    private static object ToMap(ChatMessage message)
    {
        var map = new TemplateMap { ["role"] = message.Role, ["content"] = message.Content };
        foreach (var (key, value) in message.Extra)
        {
            map[key] = PythonValue.From(value, 1);
        }

        return map;
    }

    /// <summary>Reasoning has two names among templates; a message that has one of them (or <c>reasoning</c>) is given both.</summary>
    private static object? WithReasoning(object? message)
    {
        if (message is not TemplateMap map || ReasoningKeys.Select(key => map.GetValueOrDefault(key)).FirstOrDefault(value => value is not null) is not { } reasoning)
        {
            return message;
        }

        var both = new TemplateMap();
        foreach (var (key, value) in map)
        {
            both[key] = value;
        }

        both["thinking"] = reasoning;
        both["reasoning_content"] = reasoning;
        return both;
    }
}
