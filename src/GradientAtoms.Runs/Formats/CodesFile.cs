using System.Globalization;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Formats;

/// <summary>The codes, and which documents they are of.</summary>
/// <param name="Codes"><c>[N, K]</c>.</param>
/// <param name="DocumentRows"><c>[N]</c>: the row of <c>documents.parquet</c>, from 0, of each row of the codes.</param>
public sealed record StoredCodes(SparseCodes Codes, int[] DocumentRows);

/// <summary>
/// <c>codes.safetensors</c>: <c>values</c> float32 <c>[non-zeros]</c>, <c>columns</c> int32 <c>[non-zeros]</c>,
/// <c>row_pointers</c> int32 <c>[N + 1]</c>, <c>document_rows</c> int32 <c>[N]</c>; the number of atoms is in the metadata.
/// </summary>
public static class CodesFile
{
    private const string SchemaName = "gatoms/codes";

    /// <summary>Writes the file: the same codes give the same bytes.</summary>
    /// <param name="path">Replaced where it is there.</param>
    /// <param name="codes"><c>[N, K]</c>.</param>
    /// <param name="documentRows"><c>[N]</c>: the row of <c>documents.parquet</c>, from 0, of each row of the codes.</param>
    public static void Write(string path, SparseCodes codes, int[] documentRows)
    {
        if (documentRows.Length != codes.DocumentCount)
        {
            throw new ArgumentException($"{documentRows.Length} rows for {codes.DocumentCount} documents", nameof(documentRows));
        }

        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(
            path,
            [("values", tensor(codes.Values)), ("columns", tensor(codes.Columns)), ("row_pointers", tensor(codes.RowPointers)), ("document_rows", tensor(documentRows))],
            new Dictionary<string, string>(StringComparer.Ordinal)
            {
                ["schema"] = SchemaName,
                ["version"] = "1",
                ["atoms"] = codes.AtomCount.ToString(CultureInfo.InvariantCulture),
            });
    }

    /// <summary>Reads the file.</summary>
    /// <param name="path">Of a run's <c>codes.safetensors</c>.</param>
    /// <exception cref="RunFolderException">GA2607 it is missing; GA2609 it cannot be read.</exception>
    public static StoredCodes Read(string path)
    {
        using var file = TensorFile.Open(path, SchemaName);
        if (!file.Metadata.TryGetValue("atoms", out var text) || !int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var atoms))
        {
            throw FormatGuard.Damaged(path, "does not say how many atoms there are");
        }

        try
        {
            var codes = new SparseCodes(TensorFile.Integers(file, "row_pointers"), TensorFile.Integers(file, "columns"), TensorFile.Numbers(file, "values"), atoms);
            var rows = TensorFile.Integers(file, "document_rows");
            return rows.Length == codes.DocumentCount && rows.All(row => row >= 0)
                ? new(codes, rows)
                : throw FormatGuard.Damaged(path, $"{rows.Length} document rows for {codes.DocumentCount} documents");
        }
        catch (ArgumentException exception)
        {
            throw FormatGuard.Damaged(path, exception.Message, exception);
        }
    }
}
