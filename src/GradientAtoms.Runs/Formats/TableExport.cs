using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Atoms;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Runs.Formats;

/// <summary>What can be exported as a table.</summary>
public enum ExportTable
{
    /// <summary><c>document,atom,code</c>: a row for each code other than zero.</summary>
    Codes,

    /// <summary>A row for each document of the data, with the columns of <c>documents.parquet</c>.</summary>
    Documents,

    /// <summary>A row for each pole.</summary>
    Atoms,

    /// <summary><c>atom,module,share</c>: a row for each module of each atom.</summary>
    Modules,

    /// <summary>A row for each token of the documents in <c>tokens.jsonl</c>.</summary>
    Tokens,

    /// <summary>A row for each head, part and listed neuron of each atom.</summary>
    Places,

    /// <summary>A row for each two poles that occur together.</summary>
    Pairs,

    /// <summary><c>metric,atom,cosine,share</c>: what each atom explains of the change of the weights.</summary>
    Weights,
}

/// <summary>
/// A run's tables as CSV (RFC 4180, UTF-8, CRLF), JSON Lines or Parquet. Numbers are written so that they read back to the same bits.
/// Ids of documents are written as the data has them: where the data is not trusted, a spreadsheet may take an id that begins
/// with <c>=</c> for a formula.
/// </summary>
public static class TableExport
{
    /// <summary>Writes a table as CSV, with a header.</summary>
    /// <param name="writer">Where to; left open.</param>
    /// <param name="run">The run.</param>
    /// <param name="table">Which.</param>
    /// <returns>Rows written, the header not counted.</returns>
    /// <exception cref="RunFolderException">GA2607 a file of the run is missing; GA2609 it cannot be read.</exception>
    public static int WriteCsv(TextWriter writer, RunFolder run, ExportTable table)
    {
        var (columns, rows) = Read(run, table);
        WriteLine(writer, columns.Select(column => column.Name));
        var count = 0;
        foreach (var row in rows)
        {
            WriteLine(writer, row.Select(Spell));
            count++;
        }

        return count;
    }

    /// <summary>Writes a table as one JSON object a line; what is not computed is absent.</summary>
    /// <param name="writer">Where to; left open.</param>
    /// <param name="run">The run.</param>
    /// <param name="table">Which.</param>
    /// <returns>Rows written.</returns>
    /// <exception cref="RunFolderException">GA2607 a file of the run is missing; GA2609 it cannot be read.</exception>
    public static int WriteJsonLines(TextWriter writer, RunFolder run, ExportTable table)
    {
        var (columns, rows) = Read(run, table);
        var count = 0;
        foreach (var row in rows)
        {
            var line = new JsonObject();
            foreach (var (column, value) in columns.Zip(row))
            {
                // JSON has no NaN: it is told from "not computed" by its name.
                if (value is not null)
                {
                    line[column.Name] = value is double number && !double.IsFinite(number) ? Spell(value) : JsonSerializer.SerializeToNode(value, RunJson.Compact);
                }
            }

            writer.Write(line.ToJsonString(RunJson.Compact));
            writer.Write('\n');
            count++;
        }

        return count;
    }

    /// <summary>Writes a table as Parquet: numbers as numbers, what is not computed as null.</summary>
    /// <param name="stream">Where to; left open.</param>
    /// <param name="run">The run.</param>
    /// <param name="table">Which.</param>
    /// <returns>Rows written.</returns>
    /// <exception cref="RunFolderException">GA2607 a file of the run is missing; GA2609 it cannot be read.</exception>
    public static int WriteParquet(Stream stream, RunFolder run, ExportTable table)
    {
        var (columns, rows) = Read(run, table);
        return ParquetTable.Write(stream, columns, rows);
    }

    private static (TableColumn[] Columns, IEnumerable<object?[]> Rows) Read(RunFolder run, ExportTable table) => table switch
    {
        ExportTable.Codes => ([Text("document"), Text("atom"), new("code", typeof(float))], Codes(run)),
        ExportTable.Documents => (
            [
                Text("id"), Count("source_row"), Count("tokens"), Count("trained_tokens"), Count("truncated_tokens"), Number("loss"), Number("gradient_norm"),
                Text("split", isNullable: true), Text("status"), Text("reason", isNullable: true), Text("duplicate_of", isNullable: true),
            ],
            DocumentsFile.Read(run.Need(RunFiles.Documents)).Select(row => new object?[]
            {
                row.Id, row.SourceRow, row.Tokens, row.TrainedTokens, row.TruncatedTokens, row.Loss, row.GradientNorm, row.Split, row.Status, row.Reason, row.DuplicateOf,
            })),
        ExportTable.Atoms => (
            [
                Text("atom"), Text("pole"), Count("sign"), Count("documents"), new("supported", typeof(bool)), Number("share"), Number("coherence"), Number("coherence_raw"), Number("coherence_reference"),
                Text("keywords", isNullable: true), Text("label", isNullable: true),
                new("certified", typeof(bool), IsNullable: true), Text("reasons", isNullable: true), Number("fdr"), Number("family_wise"), Number("separation"), Number("separation_null"), Number("coherence_null"),
                Number("recurrence"), Number("recurrence_bar"), Number("resampled"), Number("agreement"), Number("agreement_null"), Number("coding_gain"), Number("coding_gain_null"),
                Text("only", isNullable: true), Text("confounder", isNullable: true), Number("confounder_share"),
            ],
            RunReader.ReadAtoms(run).SelectMany(atom => atom.Poles.Select(pole => new object?[]
            {
                atom.Id, pole.Id, pole.Sign, pole.Documents, pole.Supported, atom.Share, pole.Coherence, pole.CoherenceRaw, atom.CoherenceReference, pole.Keywords is null ? null : string.Join(' ', pole.Keywords), pole.Label,
                pole.Certified, pole.Reasons is null ? null : string.Join(' ', pole.Reasons), pole.Fdr, pole.FamilyWise, pole.Separation, pole.SeparationNull, pole.CoherenceNull,
                pole.Recurrence, pole.RecurrenceBar, pole.Resampled, pole.Agreement, pole.AgreementNull, pole.CodingGain, pole.CodingGainNull,
                pole.Only is null ? null : string.Join(' ', pole.Only), pole.Confounders is [var confounder, ..] ? confounder.Name : null, pole.Confounders is [var strongest, ..] ? strongest.Explained : null,
            }))),
        ExportTable.Modules => (
            [Text("atom"), Text("module"), new("share", typeof(double))],
            AtomsFile.Read(run.Need(RunFiles.Atoms)).SelectMany(atom => (atom.Modules ?? []).Select(module => new object?[] { atom.Id, module.Name, module.Share }))),
        ExportTable.Tokens => (
            [Text("pole"), Text("document"), Count("place"), Text("token"), new("trained", typeof(bool)), new("position", typeof(float)), new("loss", typeof(float), IsNullable: true)],
            (TokensFile.IsThere(run) ? TokensFile.Read(run) : []).SelectMany(line => line.Tokens.Select((token, place) => new object?[]
            {
                line.Pole, line.Document, place, token, line.Trained[place] != 0, line.Position[place], line.Loss?[place],
            }))),
        ExportTable.Places => (
            [Text("atom"), Text("kind"), Text("module"), Text("side"), Text("part", isNullable: true), new("head", typeof(int), IsNullable: true), new("row", typeof(int), IsNullable: true), new("share", typeof(double))],
            PlacesFile.Read(run) is { } places
                ? places.Atoms.SelectMany(atom => places.Segments.Zip(atom.Segments, (segment, share) => new object?[] { atom.Atom, segment.Head is null ? "part" : "head", segment.Module, segment.Side, segment.Part, segment.Head, null, share })
                    .Concat(atom.Neurons.Select(neuron => new object?[] { atom.Atom, "neuron", neuron.Module, "writes", neuron.Part, neuron.Head, neuron.Row, neuron.Value })))
                : []),
        ExportTable.Pairs => (
            [Text("first"), Text("second"), Count("together"), new("lift", typeof(double)), new("jaccard", typeof(double)), new("p", typeof(double)), new("adjusted", typeof(double))],
            (StructureFile.Read(run)?.Pairs ?? []).Select(pair => new object?[] { pair.First, pair.Second, pair.Together, pair.Lift, pair.Jaccard, pair.P, pair.Adjusted })),
        ExportTable.Weights => (
            [Text("metric"), Text("atom"), new("cosine", typeof(double)), new("share", typeof(double))],
            (AtomsStage.ReadLedger(run)?.Weights?.Metrics ?? []).SelectMany(metric => metric.Atoms.Select(atom => new object?[] { metric.Name, atom.Atom, atom.Cosine, atom.Share }))),
        _ => throw new ArgumentOutOfRangeException(nameof(table), table, "no such table"),
    };

    private static TableColumn Text(string name, bool isNullable = false) => new(name, typeof(string), isNullable);

    private static TableColumn Count(string name) => new(name, typeof(int));

    private static TableColumn Number(string name) => new(name, typeof(double), IsNullable: true);

    private static IEnumerable<object?[]> Codes(RunFolder run)
    {
        var path = run.Need(RunFiles.Codes);
        var file = CodesFile.Read(path);
        var documents = DocumentsFile.Read(run.Need(RunFiles.Documents));
        var ids = AtomIds(AtomsFile.Read(run.Need(RunFiles.Atoms)), file.Codes.AtomCount, path);
        if (file.DocumentRows.Any(row => row >= documents.Count))
        {
            throw FormatGuard.Damaged(path, $"names a row beyond the {documents.Count} of {RunFiles.Documents}");
        }

        return Rows();

        IEnumerable<object?[]> Rows()
        {
            for (var document = 0; document < file.Codes.DocumentCount; document++)
            {
                var id = documents[file.DocumentRows[document]].Id;
                for (var entry = file.Codes.RowPointers[document]; entry < file.Codes.RowPointers[document + 1]; entry++)
                {
                    yield return [id, ids[file.Codes.Columns[entry]], file.Codes.Values[entry]];
                }
            }
        }
    }

    /// <summary>Atoms that <c>atoms.json</c> does not list go by their row in the dictionary.</summary>
    private static string[] AtomIds(IReadOnlyList<Atom> atoms, int atomCount, string path)
    {
        var ids = Enumerable.Range(0, atomCount).Select(row => string.Create(CultureInfo.InvariantCulture, $"row-{row}")).ToArray();
        foreach (var atom in atoms)
        {
            if (atom.Row < 0 || atom.Row >= atomCount)
            {
                throw FormatGuard.Damaged(path, $"has {atomCount} atoms, {RunFiles.Atoms} names row {atom.Row}");
            }

            ids[atom.Row] = atom.Id;
        }

        return ids;
    }

    private static string Spell(object? value) => value switch
    {
        null => "",
        double number => number.ToString("R", CultureInfo.InvariantCulture),
        float number => number.ToString("R", CultureInfo.InvariantCulture),
        bool yes => yes ? "true" : "false",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString() ?? "",
    };

    private static void WriteLine(TextWriter writer, IEnumerable<string> fields)
    {
        var first = true;
        foreach (var field in fields)
        {
            if (!first)
            {
                writer.Write(',');
            }

            first = false;
            writer.Write(field.AsSpan().IndexOfAny("\",\r\n") >= 0 ? $"\"{field.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : field);
        }

        writer.Write("\r\n");
    }
}
