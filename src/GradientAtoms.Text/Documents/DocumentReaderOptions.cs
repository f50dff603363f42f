namespace GradientAtoms.Text.Documents;

/// <summary>The layout of a data file's rows.</summary>
public enum DocumentShape
{
    /// <summary><c>messages</c>: a list of turns with <c>role</c> and <c>content</c>.</summary>
    Messages,

    /// <summary>ShareGPT: <c>conversations</c>, a list of turns with <c>from</c> and <c>value</c>.</summary>
    Conversations,

    /// <summary>Preference pairs: <c>chosen</c> and <c>rejected</c>, with or without <c>prompt</c>.</summary>
    Preference,

    /// <summary><c>prompt</c> and <c>completion</c>: strings or lists of turns.</summary>
    PromptCompletion,

    /// <summary><c>instruction</c>, <c>input</c> (may be absent or empty) and <c>output</c>.</summary>
    Instruction,

    /// <summary><c>text</c>: plain text, all of it trained on.</summary>
    Text,
}

/// <summary>The side of a preference pair that is read.</summary>
public enum PreferenceSide
{
    /// <summary>The answer that was preferred.</summary>
    Chosen,

    /// <summary>The other one.</summary>
    Rejected,
}

/// <summary>How a data file is read.</summary>
public sealed record DocumentReaderOptions
{
    /// <summary>
    /// Our field's name → the row's field (<c>prompt</c> → <c>question</c>); the row's field may be a dotted path
    /// (<c>data.dialog</c>). Our names: messages, conversations, prompt, completion, instruction, input, output, chosen, rejected, text, id, system.
    /// </summary>
    public IReadOnlyDictionary<string, string> Map { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Which answer of a preference pair is the document.</summary>
    public PreferenceSide Side { get; init; } = PreferenceSide.Chosen;

    /// <summary>Of a folder: the split that is read, <c>train</c> where null.</summary>
    public string? Split { get; init; }

    /// <summary>At most this many documents: the first ones that can be used. Null for all.</summary>
    public int? Limit { get; init; }

    /// <summary>The longest row that is read, in bytes; a longer line is rejected. At least 1.</summary>
    public int MaxRowBytes { get; init; } = 64 * 1024 * 1024;

    /// <summary>The largest JSON file (not JSON Lines) that is read, in bytes: it is read whole. At least 1.</summary>
    public int MaxJsonBytes { get; init; } = 1024 * 1024 * 1024;

    /// <summary>The fields of a row that are looked at; null for all. Only formats that keep them apart leave out the others.</summary>
    internal IReadOnlySet<string>? Columns { get; init; }

    /// <summary>Reads a map as the command line writes it: <c>prompt=question,completion=answer</c>.</summary>
    /// <param name="text">Pairs with commas between.</param>
    /// <exception cref="DocumentException">GA2005: not of this form, or a name of ours that does not exist.</exception>
    public static IReadOnlyDictionary<string, string> ParseMap(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var pair in text.Split(','))
        {
            if (pair.Split('=', StringSplitOptions.TrimEntries) is not [{ Length: > 0 } ours, { Length: > 0 } theirs] || !map.TryAdd(ours, theirs))
            {
                throw new DocumentException("GA2005", "--map", $"'{pair}' is not of the form ours=theirs, or comes twice", "Write pairs with commas between, as in --map prompt=question,completion=answer.");
            }
        }

        _ = new RowMap(map); // knows which names there are
        return map;
    }
}
