using System.Text;
using System.Text.Json.Nodes;
using GradientAtoms.Atoms;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Stages;
using Parquet.Serialization;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Runs;

public sealed class FormatsTests : IDisposable
{
    private static readonly DocumentRow[] Rows =
    [
        new() { Id = "a,\"1\"", SourceRow = 1, Tokens = 20, TrainedTokens = 7, TruncatedTokens = 2, Loss = 1.1 + 2.2, GradientNorm = double.NaN, Split = "train", Status = "used" },
        new() { Id = "ü\n2", SourceRow = 2, Status = "rejected", Reason = "empty answer" },
        new() { Id = "3", SourceRow = 4, Tokens = 20, TrainedTokens = 7, Loss = -0.0, Split = "held_out", Status = "duplicate", DuplicateOf = "a,\"1\"" },
    ];

    private static readonly Atom[] Atoms =
    [
        new()
        {
            Id = "k7f", Row = 2, Share = 0.1, CoherenceReference = 0.25, Modules = [new("layers.0.q_proj", 0.75), new("layers.1.v_proj", 0.25)],
            Poles =
            [
                new() { Id = "k7f+", Sign = 1, Documents = 5, Coherence = 0.5, CoherenceRaw = 0.4, Top = [new("a,\"1\"", 0.9)], Keywords = ["sorry", "can't"], Label = "refusal" },
                new() { Id = "k7f-", Sign = -1, Documents = 1, Top = [new("3", -0.3)] },
            ],
        },
        new() { Id = "b22", Row = 0, Poles = [new() { Id = "b22+", Sign = 1, Documents = 4, Top = [] }] },
    ];

    private static readonly SparseCodes Codes = new([0, 2, 3], [0, 2, 1], [0.5f, 0.9f, -0.25f], 3);
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static byte[] Bytes(Action<Stream> write)
    {
        using var stream = new MemoryStream();
        write(stream);
        return stream.ToArray();
    }

    [Fact]
    public void Documents_read_back_as_they_were_and_the_same_rows_give_the_same_bytes()
    {
        var bytes = Bytes(stream => DocumentsFile.Write(stream, Rows));
        File.WriteAllBytes(_folder["documents.parquet"], bytes);
        Assert.Equal(Rows, DocumentsFile.Read(_folder["documents.parquet"]));
        Assert.Equal(bytes, Bytes(stream => DocumentsFile.Write(stream, Rows)));
    }

    [Fact]
    public void Documents_of_several_row_groups_keep_their_order()
    {
        var rows = Enumerable.Range(1, 70_000).Select(row => new DocumentRow { Id = $"{row}", SourceRow = row, Status = "used" }).ToArray();
        File.WriteAllBytes(_folder["documents.parquet"], Bytes(stream => DocumentsFile.Write(stream, rows)));
        Assert.Equal(rows, DocumentsFile.Read(_folder["documents.parquet"]));
        File.WriteAllBytes(_folder["none.parquet"], Bytes(stream => DocumentsFile.Write(stream, [])));
        Assert.Empty(DocumentsFile.Read(_folder["none.parquet"]));
    }

    [Fact]
    public void A_damaged_documents_file_is_a_coded_error()
    {
        Assert.Equal("GA2607", Assert.Throws<RunFolderException>(() => DocumentsFile.Read(_folder["absent"])).Code);
        var bytes = Bytes(stream => DocumentsFile.Write(stream, Rows));
        foreach (var length in new[] { 0, 3, 40, bytes.Length / 2, bytes.Length - 9, bytes.Length - 1 })
        {
            File.WriteAllBytes(_folder["cut.parquet"], bytes[..length]);
            Assert.Equal("GA2609", Assert.Throws<RunFolderException>(() => DocumentsFile.Read(_folder["cut.parquet"])).Code);
        }
    }

    [Fact]
    public void A_flipped_byte_in_a_documents_file_is_a_coded_error_or_harmless()
    {
        var bytes = Bytes(stream => DocumentsFile.Write(stream, Rows));
        for (var place = 0; place < bytes.Length; place += 11)
        {
            var damaged = (byte[])bytes.Clone();
            damaged[place] ^= 0xFF;
            File.WriteAllBytes(_folder["damaged.parquet"], damaged);
            try
            {
                DocumentsFile.Read(_folder["damaged.parquet"]);
            }
            catch (RunFolderException exception)
            {
                Assert.Equal("GA2609", exception.Code);
            }
        }
    }

    [Fact]
    public void Atoms_are_spelt_as_the_format_says_and_what_is_not_computed_is_absent()
    {
        var text = Encoding.UTF8.GetString(Bytes(stream => AtomsFile.Write(stream, Atoms)));
        var expected = """
            {"schema":"gatoms/atoms","version":1,"atoms":[
              {"id":"k7f","row":2,"share":0.1,"coherence_reference":0.25,"modules":[{"name":"layers.0.q_proj","share":0.75},{"name":"layers.1.v_proj","share":0.25}],
               "poles":[
                {"id":"k7f+","sign":1,"documents":5,"supported":true,"coherence":0.5,"coherence_raw":0.4,"top":[{"id":"a,\"1\"","code":0.9}],"keywords":["sorry","can't"],"label":"refusal"},
                {"id":"k7f-","sign":-1,"documents":1,"supported":true,"top":[{"id":"3","code":-0.3}]}]},
              {"id":"b22","row":0,"poles":[{"id":"b22+","sign":1,"documents":4,"supported":true,"top":[]}]}]}
            """;
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(expected), JsonNode.Parse(text)), text);
        Assert.EndsWith("}\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Atoms_read_back_as_they_were()
    {
        var bytes = Bytes(stream => AtomsFile.Write(stream, Atoms));
        File.WriteAllBytes(_folder["atoms.json"], bytes);
        var read = AtomsFile.Read(_folder["atoms.json"]);
        Assert.Equal(bytes, Bytes(stream => AtomsFile.Write(stream, read)));
        Assert.Equal("refusal", read[0].Poles[0].Label);
        Assert.Null(read[1].Share);
    }

    [Theory]
    [InlineData("", "GA2609")]
    [InlineData("null", "GA2609")]
    [InlineData("""{"schema":"x","version":1,"atoms":[]}""", "GA2609")]
    [InlineData("""{"schema":"gatoms/atoms","version":1,"atoms":[null]}""", "GA2609")]
    [InlineData("""{"schema":"gatoms/atoms","version":1,"atoms":[{"id":"a"}]}""", "GA2609")]
    [InlineData("""{"schema":"gatoms/atoms","version":1,"atoms":[{"id":"a","row":0,"poles":[{"id":"a+","sign":3,"documents":1,"top":[]}]}]}""", "GA2609")]
    [InlineData("""{"schema":"gatoms/atoms","version":9,"atoms":[]}""", "GA2605")]
    public void A_damaged_or_newer_atoms_file_is_a_coded_error(string text, string code)
    {
        _folder.Write("atoms.json", text);
        Assert.Equal(code, Assert.Throws<RunFolderException>(() => AtomsFile.Read(_folder["atoms.json"])).Code);
    }

    [Fact]
    public void An_atom_with_a_figure_that_is_no_number_is_not_written()
    {
        var error = Assert.Throws<NumericalException>(() => AtomsFile.Write(Stream.Null, [Atoms[0] with { Share = double.NaN }]));
        Assert.Equal("atom k7f", error.Location);
    }

    [Fact]
    public void Codes_and_the_dictionary_read_back_as_they_were()
    {
        CodesFile.Write(_folder["codes.safetensors"], Codes, [0, 2]);
        var read = CodesFile.Read(_folder["codes.safetensors"]);
        Assert.Equal((Codes.AtomCount, Codes.DocumentCount), (read.Codes.AtomCount, read.Codes.DocumentCount));
        Assert.Equal(Codes.RowPointers, read.Codes.RowPointers);
        Assert.Equal(Codes.Columns, read.Codes.Columns);
        Assert.Equal(Codes.Values, read.Codes.Values);
        Assert.Equal([0, 2], read.DocumentRows);

        using var atoms = arange(6, ScalarType.Float32).reshape(2, 3);
        using var mean = ones(3);
        DictionaryFile.Write(_folder["dictionary.safetensors"], atoms, [("mean", mean)], new Dictionary<string, string>(StringComparer.Ordinal) { ["coordinates"] = "exact" });
        using var dictionary = DictionaryFile.Read(_folder["dictionary.safetensors"]);
        Assert.True(dictionary.Atoms.Equals(atoms));
        Assert.True(dictionary.Tensors["mean"].Equals(mean));
        Assert.Equal("exact", dictionary.Metadata["coordinates"]);
    }

    [Fact]
    public void A_file_without_codes_has_none()
    {
        CodesFile.Write(_folder["codes.safetensors"], new([0, 0], [], [], 3), [0]);
        Assert.Empty(CodesFile.Read(_folder["codes.safetensors"]).Codes.Values);
    }

    [Fact]
    public void A_damaged_tensor_file_is_a_coded_error_of_the_run()
    {
        CodesFile.Write(_folder["codes.safetensors"], Codes, [0, 2]);
        var bytes = File.ReadAllBytes(_folder["codes.safetensors"]);
        foreach (var length in new[] { 0, 7, 50, bytes.Length - 1 })
        {
            File.WriteAllBytes(_folder["cut.safetensors"], bytes[..length]);
            Assert.Equal("GA2609", Assert.Throws<RunFolderException>(() => CodesFile.Read(_folder["cut.safetensors"])).Code);
            Assert.Equal("GA2609", Assert.Throws<RunFolderException>(() => DictionaryFile.Read(_folder["cut.safetensors"])).Code);
        }

        Assert.Equal("GA2609", Assert.Throws<RunFolderException>(() => DictionaryFile.Read(_folder["codes.safetensors"])).Code);
        Assert.Equal("GA2607", Assert.Throws<RunFolderException>(() => CodesFile.Read(_folder["absent"])).Code);
    }

    [Fact]
    public void Tables_are_written_as_csv_and_as_json_lines()
    {
        using var run = WithTables();
        Assert.Equal("document,atom,code\r\n\"a,\"\"1\"\"\",b22,0.5\r\n\"a,\"\"1\"\"\",k7f,0.9\r\n3,row-1,-0.25\r\n", Text(TableExport.WriteCsv, ExportTable.Codes));
        Assert.Equal("""{"document":"a,\"1\"","atom":"b22","code":0.5}""", Text(TableExport.WriteJsonLines, ExportTable.Codes).Split('\n')[0]);
        Assert.Equal(
            "id,source_row,tokens,trained_tokens,truncated_tokens,loss,gradient_norm,split,status,reason,duplicate_of\r\n"
            + "\"a,\"\"1\"\"\",1,20,7,2,3.3000000000000003,NaN,train,used,,\r\n"
            + "\"ü\n2\",2,0,0,0,,,,rejected,empty answer,\r\n"
            + "3,4,20,7,0,-0,,held_out,duplicate,,\"a,\"\"1\"\"\"\r\n",
            Text(TableExport.WriteCsv, ExportTable.Documents));
        Assert.Equal("""{"id":"ü\n2","source_row":2,"tokens":0,"trained_tokens":0,"truncated_tokens":0,"status":"rejected","reason":"empty answer"}""", Text(TableExport.WriteJsonLines, ExportTable.Documents).Split('\n')[1]);
        Assert.Equal(
            "atom,pole,sign,documents,supported,share,coherence,coherence_raw,coherence_reference,keywords,label,certified,reasons,fdr,family_wise,separation,separation_null,coherence_null,recurrence,recurrence_bar,resampled,agreement,agreement_null,coding_gain,coding_gain_null,only,confounder,confounder_share\r\n"
            + "k7f,k7f+,1,5,true,0.1,0.5,0.4,0.25,sorry can't,refusal,,,,,,,,,,,,,,,,,\r\nk7f,k7f-,-1,1,true,0.1,,,0.25,,,,,,,,,,,,,,,,,,,\r\nb22,b22+,1,4,true,,,,,,,,,,,,,,,,,,,,,,,\r\n",
            Text(TableExport.WriteCsv, ExportTable.Atoms));
        Assert.Equal("atom,module,share\r\nk7f,layers.0.q_proj,0.75\r\nk7f,layers.1.v_proj,0.25\r\n", Text(TableExport.WriteCsv, ExportTable.Modules));

        string Text(Func<TextWriter, RunFolder, ExportTable, int> write, ExportTable table)
        {
            using var writer = new StringWriter();
            write(writer, run, table);
            return writer.ToString();
        }
    }

    [Fact]
    public void A_parquet_table_of_documents_is_one_that_a_run_has()
    {
        using var run = WithTables();
        var path = _folder["exported.parquet"];
        using (var stream = File.Create(path))
        {
            Assert.Equal(Rows.Length, TableExport.WriteParquet(stream, run, ExportTable.Documents));
        }

        Assert.Equal(Rows, DocumentsFile.Read(path));
    }

    [Theory]
    [InlineData(ExportTable.Codes)]
    [InlineData(ExportTable.Atoms)]
    [InlineData(ExportTable.Modules)]
    public async Task A_parquet_table_has_the_cells_of_the_json_lines_with_their_types(ExportTable table)
    {
        using var run = WithTables();
        using var text = new StringWriter();
        TableExport.WriteJsonLines(text, run, table);
        JsonNode[] lines = [.. text.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonNode.Parse(line)!)];
        using var stream = new MemoryStream();
        Assert.Equal(lines.Length, TableExport.WriteParquet(stream, run, table));
        stream.Position = 0;

        var read = await ParquetSerializer.DeserializeUntypedAsync(stream, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(lines.Length, read.Data.Count);
        foreach (var (line, row) in lines.Zip(read.Data))
        {
            foreach (var (column, value) in row)
            {
                Assert.True(JsonNode.DeepEquals(line[column], value is null ? null : JsonValue.Create(value)), $"{column}: {value} is {line[column]} in {line.ToJsonString()}");
            }
        }
    }

    private RunFolder WithTables()
    {
        var run = RunFolder.Create(_folder["run"]);
        new StageRunner(run).Run(new Stage
        {
            Name = "all",
            Run = context =>
            {
                context.Write(RunFiles.Documents, stream => DocumentsFile.Write(stream, Rows));
                context.Write(RunFiles.Atoms, stream => AtomsFile.Write(stream, Atoms));
                context.WriteFile(RunFiles.Codes, path => CodesFile.Write(path, Codes, [0, 2]));
            },
        });
        return run;
    }
}
