namespace GradientAtoms.Cli;

/// <summary>Columns of plain text, as wide as their contents; the last one is cut at the reader's width.</summary>
internal sealed class TextTable(params string[] heads)
{
    private readonly List<string[]> _rows = [heads];
    private readonly HashSet<int> _right = [];

    /// <summary>Numbers stand at the right.</summary>
    public TextTable Right(params int[] columns)
    {
        _right.UnionWith(columns);
        return this;
    }

    public void Add(params string[] cells) => _rows.Add([.. cells.Select(Plain.Line)]);

    /// <summary>Writes it.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="width">Of the reader's screen; null: nothing is cut.</param>
    public void Write(TextWriter writer, int? width = null)
    {
        var widths = Enumerable.Range(0, heads.Length).Select(column => _rows.Max(row => row[column].Length)).ToArray();
        foreach (var row in _rows)
        {
            var line = string.Join("  ", row.Select((cell, column) => _right.Contains(column) ? cell.PadLeft(widths[column]) : cell.PadRight(widths[column]))).TrimEnd();
            writer.WriteLine(width is { } limit && limit > 20 ? Plain.Short(line, limit, trim: false) : line);
        }
    }
}
