namespace GradientAtoms.Text.Documents;

/// <summary>What was read of a data file, but for the documents.</summary>
/// <param name="Shape">The layout that was recognised or mapped.</param>
/// <param name="Documents">Rows that can be used, exact duplicates included.</param>
/// <param name="Rejected">The rows that cannot, in file order.</param>
public sealed record DocumentCounts(DocumentShape Shape, int Documents, IReadOnlyList<RejectedRow> Rejected)
{
    /// <summary>As <see cref="DocumentSet.RenamedIds"/>.</summary>
    public IReadOnlyDictionary<string, string> RenamedIds { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Rows that were looked at, blank lines not counted.</summary>
    public int RowCount => Documents + Rejected.Count;
}

/// <summary>What a data file holds.</summary>
/// <param name="File">The file as it was named.</param>
/// <param name="Shape">The layout that was recognised or mapped.</param>
/// <param name="Documents">The rows that can be used, in file order, exact duplicates included.</param>
/// <param name="Rejected">The rows that cannot, in file order.</param>
/// <param name="Duplicates">Id of a document → id of the first one that says exactly the same (same turns, or same text).</param>
public sealed record DocumentSet(
    string File,
    DocumentShape Shape,
    IReadOnlyList<Document> Documents,
    IReadOnlyList<RejectedRow> Rejected,
    IReadOnlyDictionary<string, string> Duplicates)
{
    /// <summary>
    /// Id of a document → the id that its row has, where an earlier row had the same one. Such a document is kept as
    /// <c>id@line</c>, so that codes and labels can be joined by id without a row getting lost.
    /// </summary>
    public IReadOnlyDictionary<string, string> RenamedIds { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Rows that were looked at, blank lines not counted.</summary>
    public int RowCount => Documents.Count + Rejected.Count;

    /// <summary>The documents, each content once: the first of every set of duplicates.</summary>
    public IReadOnlyList<Document> Distinct => [.. Documents.Where(document => !Duplicates.ContainsKey(document.Id))];
}
