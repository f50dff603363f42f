using System.Runtime.ExceptionServices;

namespace GradientAtoms.Text.Documents;

/// <summary>Reads data: JSON Lines, JSON, CSV and Parquet, each also with gzip around it but Parquet; and folders of them as the Hub keeps data sets.</summary>
/// <remarks>
/// JSON Lines and CSV are read row by row, Parquet a row group at a time, JSON whole. The layout is that of the first row that
/// can be used (or the map's); a row of another layout is rejected. In a CSV file every value is a string; where turns are
/// expected, a string that holds them as JSON is read as turns.
/// </remarks>
public static class DocumentReader
{
    /// <summary>Reads a file, or the files of a folder. A row that cannot be used is listed with its reason, and the rest goes on.</summary>
    /// <param name="path">A file (<c>.jsonl</c>, <c>.json</c>, <c>.csv</c>, <c>.tsv</c>, each also with <c>.gz</c>; <c>.parquet</c>), or a folder of them.</param>
    /// <param name="options">Map, side, split and limits; null for the defaults.</param>
    /// <param name="cancellationToken">Looked at once a row.</param>
    /// <exception cref="DocumentException">GA2001: missing or unreadable. GA2002: empty. GA2003: not JSON. GA2004: no row can be used. GA2005: a map that makes no sense. GA2006: a format that is not read here. GA2007: a CSV file without names of fields. GA2008: no Parquet. GA2009: damaged gzip. GA2010: a folder without such data.</exception>
    public static DocumentSet Read(string path, DocumentReaderOptions? options = null, CancellationToken cancellationToken = default)
    {
        var documents = new List<Document>();
        var duplicates = new Dictionary<string, string>(StringComparer.Ordinal);
        var counts = Stream(
            path,
            options,
            (document, first) =>
            {
                documents.Add(document);
                if (first is not null)
                {
                    duplicates[document.Id] = first;
                }
            },
            cancellationToken);
        return new(path, counts.Shape, documents, counts.Rejected, duplicates) { RenamedIds = counts.RenamedIds };
    }

    /// <summary>Reads like <see cref="Read"/>, and hands each document on instead of keeping it: for more documents than should be in memory.</summary>
    /// <param name="path">A file or a folder.</param>
    /// <param name="options">Map, side, split and limits; null for the defaults.</param>
    /// <param name="each">Gets each document as it is read, and the id of the first that says exactly the same, or null where it is the first.</param>
    /// <param name="cancellationToken">Looked at once a row.</param>
    /// <exception cref="DocumentException">As <see cref="Read"/>; GA2004, where no row can be used, when all rows have been read.</exception>
    public static DocumentCounts Stream(string path, DocumentReaderOptions? options, Action<Document, string?> each, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(each);
        options ??= new();
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxRowBytes, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxJsonBytes, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Limit ?? 1, 1, nameof(options));
        var map = new RowMap(options.Map);
        var rows = new DocumentCollector(path, options, map, (document, first) =>
        {
            try
            {
                each(document, first);
            }
            catch (Exception failure)
            {
                throw new ReceiverFailure(failure);
            }
        });
        try
        {
            RowSource.Read(path, options with { Columns = map.Columns }, rows, cancellationToken);
        }
        catch (ReceiverFailure failure)
        {
            ExceptionDispatchInfo.Throw(failure.InnerException!);
        }

        return rows.Finish();
    }

    // What the receiver throws is no fault of the data: a full disk there must not be told as a file here that cannot be read.
    private sealed class ReceiverFailure(Exception failure) : Exception(failure.Message, failure);

    /// <summary>The files that <see cref="Read"/> reads for a path, in their order: the file itself, or the split's files of a folder.</summary>
    /// <param name="path">A file or a folder.</param>
    /// <param name="split">Of a folder: <c>train</c> where null.</param>
    /// <exception cref="DocumentException">GA2001: missing. GA2006: a format that is not read. GA2010: a folder without such data.</exception>
    public static IReadOnlyList<string> FilesOf(string path, string? split = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        return [.. DataFolder.FilesOf(path, split).Select(file => file.Path)];
    }

    /// <summary>Whether a folder holds data files.</summary>
    /// <param name="folder">The folder.</param>
    public static bool IsDataFolder(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return DataFolder.HasData(folder);
    }
}
