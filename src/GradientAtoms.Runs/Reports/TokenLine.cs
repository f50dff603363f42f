using System.Globalization;
using System.Text;
using GradientAtoms.Runs.Formats;

namespace GradientAtoms.Runs.Reports;

/// <summary>The tokens that carry a document's projection on a pole, in the words around them.</summary>
/// <remarks>
/// Colour alone tells nobody anything: each marked token has its number as a title and, for readers of the screen, in the text; the
/// line begins with what it shows.
/// </remarks>
internal static class TokenLine
{
    /// <summary>Tokens that are marked.</summary>
    public const int Marked = 6;

    /// <summary>Tokens around a marked one that are shown.</summary>
    private const int Around = 4;

    /// <summary>What a document's line takes of the file, about.</summary>
    public const int Markup = 640;

    /// <summary>By loss token where that is known, since it needs no explanation; else by position.</summary>
    public static void Write(StringBuilder page, TokenEvidence evidence)
    {
        var parts = evidence.Loss ?? evidence.Position;
        int[] marked = [.. Enumerable.Range(0, parts.Count)
            .Where(place => parts[place] != 0 && evidence.Tokens[place].Length > 0)
            .OrderByDescending(place => Math.Abs(parts[place]))
            .Take(Marked)];
        if (marked.Length == 0)
        {
            return;
        }

        // A fiftieth of the strongest would hardly be seen.
        var largest = Math.Abs(parts[marked[0]]);
        marked = [.. marked.Where(place => Math.Abs(parts[place]) >= 0.02 * largest)];
        page.Append(CultureInfo.InvariantCulture, $"<p class=\"tok\"><span class=\"soft\">{(evidence.Loss is null ? "by position" : "by loss token")}, {Number(evidence.Projection)} in all:</span> ");
        var last = -1;
        for (var place = 0; place < parts.Count; place++)
        {
            if (!marked.Any(other => Math.Abs(other - place) <= Around))
            {
                continue;
            }

            page.Append(place > last + 1 ? "… " : string.Empty);
            last = place;
            var text = Html.Escape(evidence.Tokens[place]);
            if (marked.Contains(place))
            {
                var weight = (0.15 + (0.6 * Math.Abs(parts[place]) / largest)).ToString("0.##", CultureInfo.InvariantCulture);
                page.Append(CultureInfo.InvariantCulture, $"<mark class=\"{(parts[place] < 0 ? "n" : "y")}\" style=\"--v:{weight}\" title=\"{Number(parts[place])}\">{text}<span class=\"vh\"> ({Number(parts[place])}) </span></mark>");
            }
            else
            {
                page.Append(text);
            }
        }

        page.Append(last < parts.Count - 1 ? " …</p>" : "</p>");
    }

    private static string Number(double value) => value.ToString("+0.000;−0.000;0.000", CultureInfo.InvariantCulture);
}
