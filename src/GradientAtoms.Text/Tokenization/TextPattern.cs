using System.Runtime.InteropServices;

namespace GradientAtoms.Text.Tokenization;

/// <summary>A part [From, To) of a piece that a pattern matched, or that lies between its matches.</summary>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct PatternPart(int From, int To, bool IsMatch);

/// <summary>What a text is cut or replaced by: something that finds its matches from left to right.</summary>
internal abstract class TextPattern
{
    /// <summary>Finds the first match at or after a place.</summary>
    /// <param name="text">The code points of a piece.</param>
    /// <param name="from">Where to begin, at most the length.</param>
    /// <returns>The match [Start, End), or (-1, -1) for none.</returns>
    public abstract (int Start, int End) Next(ReadOnlySpan<int> text, int from);

    /// <summary>Parts a text into matches and what lies between; no part but a match is empty.</summary>
    public virtual void Partition(ReadOnlySpan<int> text, List<PatternPart> parts)
    {
        var last = 0;
        var from = 0;
        while (from <= text.Length)
        {
            var (start, end) = Next(text, from);
            if (start < 0)
            {
                break;
            }

            if (start > last)
            {
                parts.Add(new PatternPart(last, start, IsMatch: false));
            }

            parts.Add(new PatternPart(start, end, IsMatch: true));
            last = end;
            from = end == start ? end + 1 : end;
        }

        if (last < text.Length)
        {
            parts.Add(new PatternPart(last, text.Length, IsMatch: false));
        }
    }

    /// <summary>Makes a pattern from <c>{"String": …}</c> or <c>{"Regex": …}</c>.</summary>
    public static TextPattern From(TokenizerNode node)
    {
        if (node.Text("String") is { } literal)
        {
            return new LiteralPattern(literal);
        }

        if (node.Text("Regex") is { } expression)
        {
            return (TextPattern?)WordScanner.ForExpression(expression) ?? new OnigurumaPattern(expression, node.Location);
        }

        throw node.Unknown("a pattern that is neither String nor Regex");
    }
}

/// <summary>Matches a text itself.</summary>
internal sealed class LiteralPattern(string literal) : TextPattern
{
    private readonly int[] _literal = AlignedText.ToCodePoints(literal);

    /// <inheritdoc/>
    public override (int Start, int End) Next(ReadOnlySpan<int> text, int from)
    {
        if (_literal.Length == 0)
        {
            return (-1, -1);
        }

        var found = text[from..].IndexOf(_literal);
        return found < 0 ? (-1, -1) : (from + found, from + found + _literal.Length);
    }
}

/// <summary>Matches single characters of a kind.</summary>
internal sealed class CharacterPattern(Func<int, bool> isMatch) : TextPattern
{
    /// <inheritdoc/>
    public override (int Start, int End) Next(ReadOnlySpan<int> text, int from)
    {
        for (var i = from; i < text.Length; i++)
        {
            if (isMatch(text[i]))
            {
                return (i, i + 1);
            }
        }

        return (-1, -1);
    }
}

/// <summary>Matches runs of word characters, and runs of what is neither that nor blank.</summary>
internal sealed class WordOrMarksPattern : TextPattern
{
    /// <inheritdoc/>
    public override (int Start, int End) Next(ReadOnlySpan<int> text, int from)
    {
        while (from < text.Length && Kind(text[from]) == 0)
        {
            from++;
        }

        var end = from;
        while (end < text.Length && Kind(text[end]) == Kind(text[from]))
        {
            end++;
        }

        return from < text.Length ? (from, end) : (-1, -1);
    }

    private static int Kind(int code) => CharacterClass.IsWord(code) ? 1 : CharacterClass.IsSpace(code) ? 0 : 2;
}

/// <summary>What becomes of matches when a text is cut: the <c>behavior</c> of the <c>tokenizers</c> library.</summary>
internal enum SplitKind
{
    /// <summary>Matches are dropped.</summary>
    Removed,

    /// <summary>Each match is a piece.</summary>
    Isolated,

    /// <summary>A match belongs to the piece before.</summary>
    MergedWithPrevious,

    /// <summary>A match belongs to the piece after.</summary>
    MergedWithNext,

    /// <summary>Matches that touch are one piece.</summary>
    Contiguous,
}

/// <summary>Joins the parts that a pattern makes to pieces.</summary>
internal sealed class SplitBehavior(SplitKind kind)
{
    public static readonly SplitBehavior Isolated = new(SplitKind.Isolated);

    public static SplitBehavior From(TokenizerNode node) => new(node.Text() switch
    {
        "Removed" => SplitKind.Removed,
        "Isolated" => SplitKind.Isolated,
        "MergedWithPrevious" => SplitKind.MergedWithPrevious,
        "MergedWithNext" => SplitKind.MergedWithNext,
        "Contiguous" => SplitKind.Contiguous,
        var other => throw node.Unknown($"the behavior \"{other}\""),
    });

    /// <summary>Adds the pieces, shifted by <paramref name="origin"/>; empty ones are left out.</summary>
    public void Join(List<PatternPart> parts, bool invert, int origin, List<(int From, int To)> pieces)
    {
        var first = pieces.Count;
        switch (kind)
        {
            case SplitKind.MergedWithNext:
                // From the right, so that of several matches in a row the last one joins what follows.
                var nextIsMatch = false;
                for (var i = parts.Count - 1; i >= 0; i--)
                {
                    var isMatch = parts[i].IsMatch != invert;
                    if (isMatch && !nextIsMatch && pieces.Count > first)
                    {
                        pieces[^1] = (origin + parts[i].From, pieces[^1].To);
                    }
                    else
                    {
                        pieces.Add((origin + parts[i].From, origin + parts[i].To));
                    }

                    nextIsMatch = isMatch;
                }

                pieces.Reverse(first, pieces.Count - first);
                break;

            default:
                bool? previous = null;
                foreach (var part in parts)
                {
                    var isMatch = part.IsMatch != invert;
                    var joins = kind switch
                    {
                        SplitKind.MergedWithPrevious => isMatch && previous == false,
                        SplitKind.Contiguous => previous == isMatch,
                        _ => false,
                    };
                    if (joins)
                    {
                        pieces[^1] = (pieces[^1].From, origin + part.To);
                    }
                    else if (kind != SplitKind.Removed || !isMatch)
                    {
                        pieces.Add((origin + part.From, origin + part.To));
                    }

                    previous = isMatch;
                }

                break;
        }

        pieces.RemoveAll(static piece => piece.To <= piece.From);
    }
}
