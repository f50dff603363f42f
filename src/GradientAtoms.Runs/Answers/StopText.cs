using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Runs.Answers;

/// <summary>Tokens to the text that may be shown: whole characters, up to the first stop text, and nothing that may yet become one.</summary>
internal sealed class StopText(Tokenizer tokenizer, IReadOnlyList<string> stops)
{
    private readonly IncrementalDecoder _decoder = tokenizer.NewDecoder(skipSpecialTokens: true);
    private string _held = string.Empty;

    /// <summary>Whether a stop text has come; nothing is shown after it.</summary>
    public bool IsStopped { get; private set; }

    /// <summary>Takes the next token.</summary>
    /// <returns>The text that can be shown now, often empty.</returns>
    public string Append(int token) => Show(_decoder.Append(token), atEnd: false);

    /// <summary>Ends the answer.</summary>
    /// <returns>What was held back.</returns>
    public string Finish() => Show(_decoder.Flush(), atEnd: true);

    private string Show(string fresh, bool atEnd)
    {
        if (IsStopped)
        {
            return string.Empty;
        }

        var text = _held + fresh;
        var end = stops.Select(stop => text.IndexOf(stop, StringComparison.Ordinal)).Where(place => place >= 0).DefaultIfEmpty(-1).Min();
        if (end >= 0)
        {
            (IsStopped, _held) = (true, string.Empty);
            return text[..end];
        }

        var kept = atEnd ? 0 : stops.Select(stop => Overlap(text, stop)).DefaultIfEmpty(0).Max();
        _held = text[^kept..];
        return text[..^kept];
    }

    /// <summary>Characters at the end of a text that a stop text, not all of it, begins with.</summary>
    private static int Overlap(string text, string stop)
    {
        for (var length = Math.Min(text.Length, stop.Length - 1); length > 0; length--)
        {
            if (text.AsSpan(text.Length - length).SequenceEqual(stop.AsSpan(0, length)))
            {
                return length;
            }
        }

        return 0;
    }
}
