namespace GradientAtoms.Text.Documents;

/// <summary>Reads data files: JSON Lines, and JSON with an array of rows.</summary>
public static class DocumentReader
{
    /// <summary>Reads a file. A row that cannot be used is listed with its reason, and the rest goes on.</summary>
    /// <param name="path">JSON Lines (one row a line), a JSON array, or a JSON object that holds one.</param>
    /// <param name="options">Map, side and limit; null for the defaults.</param>
    /// <param name="cancellationToken">Looked at once a row.</param>
    /// <exception cref="DocumentException">GA2001: missing or unreadable. GA2002: empty. GA2003: not JSON. GA2004: no row can be used. GA2005: a map that fits nothing. GA2006: a folder or a format that is not read here.</exception>
    public static DocumentSet Read(string path, DocumentReaderOptions? options = null, CancellationToken cancellationToken = default) => throw new NotSupportedException();
}
