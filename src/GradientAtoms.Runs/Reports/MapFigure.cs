using System.Globalization;
using System.Text;
using GradientAtoms.Atoms;

namespace GradientAtoms.Runs.Reports;

/// <summary>The map of the atoms: size is documents, colour is coherence, near is alike.</summary>
internal static class MapFigure
{
    private const double Width = 1000;
    private const double Height = 640;
    private const double Margin = 46;
    private const double LetterWidth = 6.3;
    private const int LabelCount = 60;

    // Dark to bright in both lightness and hue, so that it reads without colour vision and on both backgrounds.
    private static readonly (int Red, int Green, int Blue)[] Scale = [(72, 60, 130), (52, 101, 145), (38, 140, 140), (80, 175, 105), (170, 205, 60), (245, 215, 60)];

    public static void Write(StringBuilder page, ReportData data)
    {
        if (data.Map.Count == 0)
        {
            return;
        }

        if (data.Map.Count != data.Atoms.Count)
        {
            throw new ArgumentException($"{data.Map.Count} points on the map for {data.Atoms.Count} atoms", nameof(data));
        }

        var marks = Marks(data);
        var (low, high) = Range(data);
        page.Append($"""
            <section aria-labelledby="map">
            <h2 id="map">Map</h2>
            <p>Atoms close in direction, or used by the same documents, lie close together. Far distances and the axes mean nothing. Size: documents. Colour: coherence. The table below holds the same atoms.</p>
            <figure>
            <svg viewBox="0 0 {Html.Pixel(Width)} {Html.Pixel(Height + 40)}" width="{Html.Pixel(Width)}" height="{Html.Pixel(Height + 40)}" role="group" aria-label="Map of {Html.Of(data.Atoms.Count, "atom")}">

            """);
        foreach (var mark in marks.OrderByDescending(mark => mark.Radius))
        {
            var colour = mark.Coherence is { } coherence ? Colour((coherence - low) / Math.Max(high - low, 1e-12)) : "rgb(140 140 140)";
            page.Append($"<a href=\"#atom-{Html.Escape(mark.Atom.Id)}\" tabindex=\"-1\"><title>{Title(mark)}</title><circle class=\"a\" cx=\"{Html.Pixel(mark.X)}\" cy=\"{Html.Pixel(mark.Y)}\" r=\"{Html.Pixel(mark.Radius)}\" style=\"fill:{colour}\"/></a>\n");
        }

        WriteLabels(page, marks);
        WriteLegend(page, low, high, data.Atoms.Any(atom => AtomSection.Coherence(atom) is not null));
        page.Append("</svg>\n</figure>\n</section>\n");
    }

    private static List<Mark> Marks(ReportData data)
    {
        var most = Math.Max(data.Atoms.Max(atom => atom.Poles.Sum(pole => pole.Documents)), 1);

        // The drawing is wider than high: the layout's square is stretched, since its axes mean nothing.
        return [.. data.Atoms.Zip(data.Map, (atom, point) => new Mark(
            atom,
            Margin + (point.X * (Width - (2 * Margin))),
            Height - Margin - (point.Y * (Height - (2 * Margin))),
            4 + (15 * Math.Sqrt(atom.Poles.Sum(pole => pole.Documents) / (double)most)),
            AtomSection.Coherence(atom)))];
    }

    private static (double Low, double High) Range(ReportData data)
    {
        var values = data.Atoms.Select(AtomSection.Coherence).OfType<double>().Order().ToArray();
        return values.Length == 0 ? (0, 1) : (Math.Min(values[0], 0), Math.Max(values[^1], values[0] + 1e-6));
    }

    /// <summary>Labels of the atoms with the most documents, as long as none lies on another.</summary>
    private static void WriteLabels(StringBuilder page, List<Mark> marks)
    {
        var taken = new List<(double Left, double Top, double Right, double Bottom)>();
        foreach (var mark in marks.OrderByDescending(mark => mark.Radius))
        {
            if (taken.Count >= LabelCount)
            {
                break;
            }

            if (Label(mark.Atom) is not { Length: > 0 } label)
            {
                continue;
            }

            var width = label.Length * LetterWidth;
            var free = ((double X, double Y)[])[(mark.X + mark.Radius + 3, mark.Y + 4), (mark.X - mark.Radius - 3 - width, mark.Y + 4), (mark.X - (width / 2), mark.Y - mark.Radius - 4), (mark.X - (width / 2), mark.Y + mark.Radius + 13)];
            var best = free
                .Select(place => (place.X, place.Y, Box: (Left: place.X, Top: place.Y - 11, Right: place.X + width, Bottom: place.Y + 3)))
                .Where(place => place.Box.Left >= 2 && place.Box.Right <= Width - 2 && place.Box.Top >= 2 && !taken.Any(other => Overlap(place.Box, other)))
                .OrderBy(place => marks.Count(other => Overlap(place.Box, (other.X - other.Radius, other.Y - other.Radius, other.X + other.Radius, other.Y + other.Radius))))
                .Take(1);
            foreach (var place in best)
            {
                taken.Add(place.Box);
                page.Append($"<text class=\"halo\" x=\"{Html.Pixel(place.X)}\" y=\"{Html.Pixel(place.Y)}\" aria-hidden=\"true\">{Html.Escape(label)}</text>\n");
            }
        }
    }

    private static void WriteLegend(StringBuilder page, double low, double high, bool hasCoherence)
    {
        var y = Height + 14;
        if (hasCoherence)
        {
            page.Append($"<text x=\"{Html.Pixel(Margin)}\" y=\"{Html.Pixel(y + 10)}\">coherence {Html.Cosine(low)}</text>");
            for (var step = 0; step < 24; step++)
            {
                page.Append($"<rect x=\"{Html.Pixel(Margin + 100 + (step * 8))}\" y=\"{Html.Pixel(y)}\" width=\"8.5\" height=\"12\" style=\"fill:{Colour(step / 23.0)}\"/>");
            }

            page.Append($"<text x=\"{Html.Pixel(Margin + 100 + 200)}\" y=\"{Html.Pixel(y + 10)}\">{Html.Cosine(high)} (the better pole)</text>\n");
        }
    }

    private static string? Label(Atom atom)
    {
        var pole = atom.Poles.MaxBy(pole => pole.Documents);
        var text = pole?.Label ?? (pole?.Keywords is { Count: > 0 } words ? string.Join(' ', words.Take(2)) : null);
        return text is { Length: > 28 } ? text[..27] + "…" : text;
    }

    private static string Title(Mark mark)
    {
        var title = new StringBuilder(Html.Escape(mark.Atom.Id));
        foreach (var pole in mark.Atom.Poles)
        {
            title.Append($"\n{(pole.Sign > 0 ? '+' : '−')} {Html.Of(pole.Documents, "document")}{(pole.Coherence is { } value ? ", coherence " + Html.Cosine(value) : string.Empty)}{(pole.Keywords is { Count: > 0 } words ? ": " + Html.Escape(string.Join(", ", words.Take(6))) : string.Empty)}");
        }

        return title.ToString();
    }

    private static string Colour(double position)
    {
        var place = Math.Clamp(position, 0, 1) * (Scale.Length - 1);
        var index = Math.Min((int)place, Scale.Length - 2);
        var part = place - index;
        int Mix(int from, int to) => (int)Math.Round(from + (part * (to - from)));
        var (from, to) = (Scale[index], Scale[index + 1]);
        return string.Create(CultureInfo.InvariantCulture, $"rgb({Mix(from.Red, to.Red)} {Mix(from.Green, to.Green)} {Mix(from.Blue, to.Blue)})");
    }

    private static bool Overlap((double Left, double Top, double Right, double Bottom) left, (double Left, double Top, double Right, double Bottom) right) =>
        left.Left < right.Right && right.Left < left.Right && left.Top < right.Bottom && right.Top < left.Bottom;

    private sealed record Mark(Atom Atom, double X, double Y, double Radius, double? Coherence);
}
