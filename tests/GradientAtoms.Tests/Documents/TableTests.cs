using System.IO.Compression;
using System.Text;
using System.Text.Json.Serialization;
using CsCheck;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.Documents;
using Parquet;
using Parquet.Serialization;

namespace GradientAtoms.Tests.Documents;

/// <summary>CSV, Parquet and gzip: the same documents as the same rows in JSON Lines.</summary>
public sealed class TableTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("gatoms-tables").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData("prompt,completion\nq,a\n")]
    [InlineData("prompt,completion\r\nq,a\r\n")]
    [InlineData("prompt,completion\rq,a\r")]
    [InlineData("\uFEFFprompt,completion\nq,a")]
    [InlineData("prompt;completion\nq;a\n")]
    [InlineData("prompt\tcompletion\nq\ta\n")]
    [InlineData(",prompt, completion ,other\n0,q,a,\n")] // row numbers without a name, blanks around names, other columns
    [InlineData("\"prompt\",\"completion\"\n\n\"q\",\"a\"\n\n")]
    [InlineData("instruction,input,output\nq,,a\n")]
    [InlineData("messages\n\"[{\"\"role\"\": \"\"user\"\", \"\"content\"\": \"\"q\"\"}, {\"\"role\"\": \"\"assistant\"\", \"\"content\"\": \"\"a\"\"}]\"\n")]
    [InlineData("conversations\n\"[{\"\"from\"\": \"\"human\"\", \"\"value\"\": \"\"q\"\"}, {\"\"from\"\": \"\"gpt\"\", \"\"value\"\": \"\"a\"\"}]\"\n")]
    [InlineData("prompt,chosen,rejected\nq,a,b\n")]
    [InlineData("prompt,chosen,rejected\nq,\"[{\"\"role\"\": \"\"assistant\"\", \"\"content\"\": \"\"a\"\"}]\",[]\n")]
    public void Every_layout_can_be_a_table(string csv)
    {
        var document = Assert.Single(DocumentReader.Read(Write("data.csv", Encoding.UTF8.GetBytes(csv))).Documents);
        Assert.Equal([("user", "q"), ("assistant", "a")], document.Messages.Select(turn => (turn.Role, turn.Content)));
    }

    [Fact]
    public void Quoted_fields_hold_delimiters_breaks_and_quotes_and_lines_count_breaks()
    {
        var set = DocumentReader.Read(Write("data.csv", "id,text\n1,\"a, \"\"b\"\"\nc\"\n2,5\" pipe\n3,\"\"\n4,\n5,\"x\"y\n"u8.ToArray()));
        Assert.Equal(["a, \"b\"\nc", "5\" pipe", "xy"], set.Documents.Select(document => document.Text));
        Assert.Equal(["1", "2", "5"], set.Documents.Select(document => document.Id));
        Assert.Equal([2, 4, 7], set.Documents.Select(document => document.Line));
        Assert.Equal([(5, "'text' is empty"), (6, "none of the known layouts: the row has 'id'")], set.Rejected.Select(row => (row.Line, row.Reason)));
    }

    [Fact]
    public void A_record_that_cannot_be_read_costs_only_itself()
    {
        byte[] bytes = [.. "text,other\na,1\nb\nc,2,3\n"u8, 0xC3, 0x28, .. ",1\n"u8, .. Encoding.UTF8.GetBytes(new string('x', 200)), .. ",1\nd,4\n\"open,5\n"u8];
        var set = DocumentReader.Read(Write("data.csv", bytes), new() { MaxRowBytes = 100 });
        Assert.Equal(["a", "d"], set.Documents.Select(document => document.Text));
        Assert.Equal(
            [(3, "the row has 1 fields, and the first line names 2"), (4, "the row has 3 fields, and the first line names 2"), (5, "the row is not UTF-8"), (6, "the row has more than 100 bytes"), (8, "a quote is opened and never closed")],
            set.Rejected.Select(row => (row.Line, row.Reason)));
    }

    [Fact]
    public void Tables_take_maps_like_any_data()
    {
        var path = Write("data.tsv", "question\tanswer\tkey\nq\ta\tk\n"u8.ToArray());
        var document = Assert.Single(DocumentReader.Read(path, new() { Map = DocumentReaderOptions.ParseMap("prompt=question,completion=answer,id=key") }).Documents);
        Assert.Equal(("k", "q", "a"), (document.Id, document.PromptText, document.AnswerText));
    }

    [Fact]
    public void What_is_written_with_quotes_comes_back() => Gen.Char["a,;\t\"\n\r é"].Array[1, 12].Select(text => new string(text)).Array[1, 6].Sample(texts =>
    {
        var csv = "id,text\r\n" + string.Concat(texts.Select((text, i) => $"{i},\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"\r\n"));
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(csv));
        var reader = new CsvReader(stream, (byte)',', 1000);
        Assert.True(reader.TryRead());
        var found = new List<string>();
        while (reader.TryRead())
        {
            found.Add(Encoding.UTF8.GetString(reader.Field(1)));
        }

        Assert.Equal(texts, found);
    });

    [Fact]
    public void A_compressed_file_is_read_as_it_is_without()
    {
        foreach (var (name, content) in new[] { ("a.jsonl", "{\"text\":\"x\"}\n{\"text\":\"y\"}\n"), ("a.json", "[{\"text\":\"x\"},{\"text\":\"y\"}]"), ("a.csv", "text\nx\ny\n") })
        {
            Assert.Equal(["x", "y"], DocumentReader.Read(Write(name + ".gz", Zip(content))).Documents.Select(document => document.Text));
        }
    }

    [Fact]
    public void Compressed_rubbish_gets_a_code()
    {
        var whole = Zip(string.Concat(Enumerable.Range(0, 2000).Select(i => $"{{\"text\":\"{i * 7919}\"}}\n")));
        Assert.Equal("GA2009", Assert.Throws<DocumentException>(() => DocumentReader.Read(Write("cut.jsonl.gz", whole[..(whole.Length / 2)]))).Code);
        whole[whole.Length / 2] ^= 0xFF;
        Assert.Equal("GA2009", Assert.Throws<DocumentException>(() => DocumentReader.Read(Write("bad.jsonl.gz", whole))).Code);
    }

    [Fact]
    public async Task Nested_lists_of_turns_are_read_as_the_Hub_writes_them()
    {
        List<ChatRow> rows =
        [
            new("one", 1.5, ["x", "y"], [new("user", "q", null), new("assistant", "a", null)]),
            new("two", null, [], [new("user", "q2", null), new("assistant", "not trained", false), new("user", "more", null), new("assistant", "a2", true)]),
            new("three", double.NaN, null, []),
            new("four", 2, ["z"], [new("assistant", "é😀", null)]),
        ];
        var path = Path.Combine(folder, "data.parquet");
        await using (var stream = File.Create(path))
        {
            await ParquetSerializer.SerializeAsync(rows, stream, new ParquetOptions { RowGroupSize = 3 }, cancellationToken: TestContext.Current.CancellationToken);
        }

        var set = DocumentReader.Read(path);
        Assert.Equal(["one", "two", "four"], set.Documents.Select(document => document.Id));
        Assert.Equal([1, 2, 4], set.Documents.Select(document => document.Line));
        Assert.Equal([("user", "q2", true), ("assistant", "not trained", false), ("user", "more", true), ("assistant", "a2", true)], set.Documents[1].Messages.Select(turn => (turn.Role, turn.Content, turn.Train)));
        Assert.Equal("é😀", set.Documents[2].AnswerText);
        Assert.Equal((3, "'messages' is empty"), (set.Rejected.Single().Line, set.Rejected.Single().Reason));

        using var output = new MemoryStream();
        var result = DocumentFilter.Copy(path, output, line => line != 2, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal((3, 1, "json lines"), (result.Copied, result.Dropped, result.Format));
        var lines = Encoding.UTF8.GetString(output.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("""{"id":"one","score":1.5,"tags":["x","y"],"messages":[{"role":"user","content":"q","train":null},{"role":"assistant","content":"a","train":null}]}""", lines[0]);
        Assert.Equal(3, lines.Length);
    }

    [Theory]
    [InlineData("snappy")]
    [InlineData("zstd")]
    [InlineData("plain")]
    public void Files_that_Arrow_wrote_are_read(string compression)
    {
        // tools/make_parquet_cases.mjs
        var path = Path.Combine(Fixtures.RepositoryRoot, "tests", "GradientAtoms.Tests", "Documents", "Cases", $"arrow-{compression}.parquet");
        var set = DocumentReader.Read(path);
        Assert.Equal([("one", 1, "q", "a"), ("four", 4, "", "é😀")], set.Documents.Select(document => (document.Id, document.Line, document.PromptText, document.AnswerText)));
        Assert.Equal([(2, "'messages' is empty"), (3, "none of the known layouts: the row has 'id', 'messages', 'n'"), (5, "turn 1 has no content")], set.Rejected.Select(row => (row.Line, row.Reason)));
        using var output = new MemoryStream();
        DocumentFilter.Copy(path, output, _ => true, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(
            [
                """{"id":"one","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"n":1.5}""",
                """{"id":"two","messages":[],"n":null}""",
                """{"id":"three","messages":null,"n":2}""",
                """{"id":"four","messages":[{"role":"assistant","content":"é\uD83D\uDE00"}],"n":3}""",
                """{"id":"five","messages":[{"role":"user","content":null},{"role":"assistant","content":"x"}],"n":4}""",
            ],
            Encoding.UTF8.GetString(output.ToArray()).Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public async Task Plain_columns_are_read_and_damage_gets_a_code()
    {
        var rows = Enumerable.Range(0, 200).Select(i => new PairRow($"q{i}", $"a{i * 7919}", i + 100, [1, 2])).ToList();
        var path = Path.Combine(folder, "data.parquet");
        await using (var stream = File.Create(path))
        {
            await ParquetSerializer.SerializeAsync(rows, stream, cancellationToken: TestContext.Current.CancellationToken);
        }

        var set = DocumentReader.Read(path, new() { Limit = 150 });
        Assert.Equal(150, set.Documents.Count);
        Assert.Equal(("100", "q0", "a0"), (set.Documents[0].Id, set.Documents[0].PromptText, set.Documents[0].AnswerText));
        var bytes = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
        Gen.Select(Gen.Int[0, bytes.Length - 1], Gen.Byte, Gen.Int[0, bytes.Length]).Sample(
            (at, value, end) =>
            {
                byte[] damaged = [.. bytes.AsSpan(0, end == 0 ? bytes.Length : end)];
                if (at < damaged.Length)
                {
                    damaged[at] = value;
                }

                try
                {
                    DocumentReader.Read(Write("damaged.parquet", damaged));
                }
                catch (DocumentException error)
                {
                    Assert.StartsWith("GA20", error.Code, StringComparison.Ordinal);
                }
            },
            iter: 150,
            threads: 1);
    }

    [Theory]
    [InlineData("snappy")]
    [InlineData("zstd")]
    [InlineData("plain")]
    public void No_damaged_byte_of_a_parquet_file_asks_for_much_memory(string compression)
    {
        var bytes = File.ReadAllBytes(Path.Combine(Fixtures.RepositoryRoot, "tests", "GradientAtoms.Tests", "Documents", "Cases", $"arrow-{compression}.parquet"));
        var greedy = new List<string>();
        var refused = 0;
        for (var at = 4; at < bytes.Length; at += 1 + (at % 3))
        {
            // The sizes of page headers and footers are numbers of seven bits a byte: these are the largest there are.
            byte[] damaged = [.. bytes];
            damaged.AsSpan(at, Math.Min(4, bytes.Length - at)).Fill(0xFF);
            if (at + 4 < bytes.Length)
            {
                damaged[at + 4] = 0x0F;
            }

            var path = Write("damaged.parquet", damaged);
            var before = GC.GetTotalAllocatedBytes(precise: true);
            try
            {
                DocumentReader.Read(path);
            }
            catch (DocumentException error)
            {
                Assert.StartsWith("GA20", error.Code, StringComparison.Ordinal);
                refused++;
            }

            var asked = GC.GetTotalAllocatedBytes(precise: true) - before;
            if (asked > 64 << 20)
            {
                greedy.Add($"byte {at}: {asked >> 20} MiB");
            }
        }

        Assert.True(greedy.Count == 0, string.Join('\n', greedy));
        Assert.True(refused > bytes.Length / 4);
    }

    private string Write(string name, byte[] content)
    {
        var path = Path.Combine(folder, name);
        File.WriteAllBytes(path, content);
        return path;
    }

    private static byte[] Zip(string content)
    {
        using var output = new MemoryStream();
        using (var zip = new GZipStream(output, CompressionLevel.Optimal))
        {
            zip.Write(Encoding.UTF8.GetBytes(content));
        }

        return output.ToArray();
    }

    private sealed record Turn(
        [property: JsonPropertyName("role")] string? Role,
        [property: JsonPropertyName("content")] string? Content,
        [property: JsonPropertyName("train")] bool? Train)
    {
        public Turn()
            : this(null, null, null)
        {
        }
    }

    private sealed record ChatRow(
        [property: JsonPropertyName("id")] string? Id,
        [property: JsonPropertyName("score")] double? Score,
        [property: JsonPropertyName("tags")] List<string>? Tags,
        [property: JsonPropertyName("messages")] List<Turn>? Messages)
    {
        public ChatRow()
            : this(null, null, null, null)
        {
        }
    }

    private sealed record PairRow(
        [property: JsonPropertyName("prompt")] string? Prompt,
        [property: JsonPropertyName("completion")] string? Completion,
        [property: JsonPropertyName("id")] long Id,
        [property: JsonPropertyName("picture")] byte[]? Picture)
    {
        public PairRow()
            : this(null, null, 0, null)
        {
        }
    }
}
