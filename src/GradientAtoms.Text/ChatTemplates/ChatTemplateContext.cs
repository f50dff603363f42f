namespace GradientAtoms.Text.ChatTemplates;

/// <summary>What a chat template is given beside the messages.</summary>
public sealed record ChatTemplateContext
{
    /// <summary>True: the text ends where the assistant's answer would begin.</summary>
    public bool AddGenerationPrompt { get; init; }

    /// <summary>The tokenizer's special tokens by name (<c>bos_token</c>, <c>eos_token</c>, …). A name that is absent is undefined in the template.</summary>
    public IReadOnlyDictionary<string, string> SpecialTokens { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Tools offered to the model, as parsed JSON (dictionaries, lists, strings, numbers, booleans, null); null for none.</summary>
    public IReadOnlyList<object?>? Tools { get; init; }

    /// <summary>More variables of the template (<c>enable_thinking</c>, <c>date_string</c>), values as in <see cref="Tools"/>.</summary>
    public IReadOnlyDictionary<string, object?> Variables { get; init; } = new Dictionary<string, object?>(StringComparer.Ordinal);

    /// <summary>The local time that <c>strftime_now</c> tells; null leaves that function undefined, so that a rendering never depends on the day.</summary>
    public DateTime? Now { get; init; }
}
