using System.Text;
using CsCheck;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Tests.Documents;

public sealed class DocumentReaderTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("gatoms-documents").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData("""{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}""", DocumentShape.Messages)]
    [InlineData("""{"messages":[{"role":"user","content":[{"type":"text","text":"q"}]},{"role":"assistant","content":["a"]}]}""", DocumentShape.Messages)]
    [InlineData("""{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]}""", DocumentShape.Conversations)]
    [InlineData("""{"prompt":"q","completion":"a"}""", DocumentShape.PromptCompletion)]
    [InlineData("""{"prompt":[{"role":"user","content":"q"}],"completion":[{"role":"assistant","content":"a"}]}""", DocumentShape.PromptCompletion)]
    [InlineData("""{"instruction":"q","output":"a"}""", DocumentShape.Instruction)]
    [InlineData("""{"instruction":"q","input":"","output":"a"}""", DocumentShape.Instruction)]
    [InlineData("""{"prompt":"q","chosen":"a","rejected":"b"}""", DocumentShape.Preference)]
    [InlineData("""{"chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":[{"role":"user","content":"q"},{"role":"assistant","content":"b"}]}""", DocumentShape.Preference)]
    [InlineData("""{"prompt":"q","chosen":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"rejected":[]}""", DocumentShape.Preference)]
    [InlineData("""{"prompt":[{"role":"user","content":"q"}],"chosen":[{"role":"assistant","content":"a"}],"rejected":[]}""", DocumentShape.Preference)]
    [InlineData("""{"chosen":"\n\nHuman: q\n\nAssistant: a","rejected":"\n\nHuman: q\n\nAssistant: b"}""", DocumentShape.Preference)]
    [InlineData("""{"row_idx":0,"row":{"prompt":"q","completion":"a"}}""", DocumentShape.PromptCompletion)]
    public void Every_layout_gives_the_same_chat(string row, DocumentShape shape)
    {
        var set = Read(row);
        Assert.Equal(shape, set.Shape);
        Assert.Equal([("user", "q"), ("assistant", "a")], Turns(set.Documents.Single()));
    }

    [Fact]
    public void Plain_text_is_a_document_without_turns()
    {
        var document = Read("""{"text":"Once."}""").Documents.Single();
        Assert.Equal("Once.", document.Text);
        Assert.Empty(document.Messages);
    }

    [Fact]
    public void The_other_side_of_a_pair_can_be_read()
    {
        var set = Read("""{"prompt":"q","chosen":"a","rejected":"b"}""", new() { Side = PreferenceSide.Rejected });
        Assert.Equal("b", set.Documents.Single().AnswerText);
    }

    [Fact]
    public void An_input_stands_below_its_instruction() =>
        Assert.Equal("Sum up.\n\nA text.", Read("""{"instruction":"Sum up.","input":"A text.","output":"a"}""").Documents.Single().PromptText);

    [Theory]
    [InlineData("""{"text":"Once.","source":"books"}""", "books")]
    [InlineData("""{"text":"Once.","dataset":7}""", "7")]
    [InlineData("""{"text":"Once.","metadata":{"dataset":"wiki"}}""", "wiki")]
    [InlineData("""{"text":"Once.","source":{"a":1},"subset":"b"}""", "b")]
    [InlineData("""{"text":"Once.","source":"a passage\nof two lines"}""", null)]
    [InlineData("""{"text":"Once.","metadata":"none"}""", null)]
    public void A_row_says_what_it_comes_from(string row, string? source) => Assert.Equal(source, Read(row).Documents.Single().Source);

    [Fact]
    public void A_map_says_where_the_source_stands() =>
        Assert.Equal("b", Read("""{"text":"Once.","source":"a","kind":"b"}""", Map("source=kind")).Documents.Single().Source);

    [Fact]
    public void A_map_renames_fields_and_steps_down_through_dots()
    {
        Assert.Equal([("user", "q"), ("assistant", "a")], Turns(Read("""{"question":"q","extra":{"answer":"a"}}""", Map("prompt=question,completion=extra.answer")).Documents.Single()));
        Assert.Equal([("user", "q"), ("assistant", "a")], Turns(Read("""{"data.dialog":[{"role":"human","content":"q"},{"role":"bot","content":"a"}]}""", Map("messages=data.dialog")).Documents.Single()));
        Assert.Equal("k7", Read("""{"text":"Once.","meta":{"key":"k7"}}""", Map("id=meta.key")).Documents.Single().Id);
    }

    [Theory]
    [InlineData("prompt")]
    [InlineData("")]
    [InlineData("prompt=")]
    [InlineData("=x")]
    [InlineData("prompt=a,prompt=b")]
    [InlineData("question=prompt")]
    [InlineData("messages=a,text=b")]
    public void A_map_that_makes_no_sense_is_refused(string map) =>
        Assert.Equal("GA2005", Assert.Throws<DocumentException>(() => Read("""{"text":"a"}""", new() { Map = DocumentReaderOptions.ParseMap(map) })).Code);

    [Fact]
    public void A_row_that_cannot_be_used_is_listed_with_its_line_and_the_rest_goes_on()
    {
        var rows = new (string Row, string Reason)[]
        {
            ("""{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}""", ""),
            ("{nonsense", "not JSON"),
            ("[1]", "a list, not an object"),
            ("7", "a number, not an object"),
            ("""{"messages":[{"role":"user","content":"q"}]}""", "no turn is the assistant's"),
            ("""{"messages":[{"role":"assistant","content":" \n"}]}""", "answer of turn 1 is empty"),
            ("""{"messages":[{"role":"assistant","content":"a","train":false}]}""", "no assistant turn is trained on"),
            ("""{"messages":[{"role":"assistant","content":"a","weight":0}]}""", "no assistant turn is trained on"),
            ("""{"messages":[{"role":"assistant","content":"a","weight":"much"}]}""", "'weight' of turn 1 is a string"),
            ("""{"messages":[{"role":"assistant","content":"a","train":1}]}""", "'train' of turn 1 is a number"),
            ("""{"messages":[]}""", "'messages' is empty"),
            ("""{"messages":"hello"}""", "'messages' is a string, not a list of turns"),
            ("""{"messages":[3]}""", "turn 1 is a number, not an object"),
            ("""{"messages":[{"content":"a"}]}""", "turn 1 has no role"),
            ("""{"messages":[{"role":"assistant"}]}""", "turn 1 has no content"),
            ("""{"messages":[{"role":"assistant","content":7}]}""", "content of turn 1 is a number"),
            ("""{"messages":[{"role":"assistant","content":[{"type":"image"}]}]}""", "a part of type 'image'"),
            ("""{"id":[1],"messages":[{"role":"assistant","content":"a"}]}""", "'id' is neither a string nor a number"),
            ("""{"prompt":"q","completion":"a"}""", "the file is read as 'messages'"),
            ("""{"color":"red"}""", "the row has 'color'"),
            ("{}", "the row has no fields"),
            ("""{"messages":[{"role":"assistant","content":"\ud800"}]}""", "surrogate"),
            (new string('[', 100), "not JSON"),
            ("""{"messages":[{"role":"assistant","content":"last"}]}""", ""),
        };
        var set = Read(string.Join('\n', rows.Select(row => row.Row)));
        Assert.Equal(["a", "last"], set.Documents.Select(document => document.AnswerText));
        var expected = rows.Select((row, index) => (Line: index + 1, row.Reason)).Where(row => row.Reason.Length > 0).ToList();
        Assert.Equal(expected.Select(row => row.Line), set.Rejected.Select(row => row.Line));
        foreach (var (row, rejected) in expected.Zip(set.Rejected))
        {
            Assert.Contains(row.Reason, rejected.Reason, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_line_that_is_no_utf8_costs_only_itself()
    {
        byte[] bytes = [.. """{"text":"a"}"""u8, (byte)'\n', .. """{"text":" """u8, 0xC3, 0x28, .. "\"}\n"u8, .. """{"text":"b"}"""u8];
        var set = DocumentReader.Read(Write("data.jsonl", bytes));
        Assert.Equal(["a", "b"], set.Documents.Select(document => document.Text));
        Assert.Equal((2, "the line is not UTF-8"), (set.Rejected.Single().Line, set.Rejected.Single().Reason));
    }

    [Fact]
    public void Byte_order_marks_carriage_returns_and_blank_lines_do_no_harm()
    {
        var set = Read("\uFEFF\r\n{\"text\":\"a\"}\r\n\r\n  \n{\"text\":\"b\"}\r\n");
        Assert.Equal(["a", "b"], set.Documents.Select(document => document.Text));
        Assert.Equal([2, 5], set.Documents.Select(document => document.Line));
        Assert.Empty(set.Rejected);
    }

    [Theory]
    [InlineData("""[{"text":"a"},{"text":"b"}]""", "data.json")]
    [InlineData("""{"data":[{"text":"a"},{"text":"b"}]}""", "data.json")]
    [InlineData("""{"version":1,"rows":[{"row_idx":0,"row":{"text":"a"}},{"row_idx":1,"row":{"text":"b"}}]}""", "data.json")]
    [InlineData("{\n \"train\": [\n  {\"text\":\"a\"},\n  {\"text\":\"b\"}\n ]\n}", "data.json")]
    [InlineData("{\"text\":\"a\"}\n{\"text\":\"b\"}\n", "data.json")]
    [InlineData("{\"text\":\"a\"}\n{\"text\":\"b\"}", "data")]
    [InlineData("\n [\n{\"text\":\"a\"},\n{\"text\":\"b\"}]", "data.jsonl")]
    public void Json_and_json_lines_are_told_apart_by_what_they_hold(string text, string name)
    {
        var set = DocumentReader.Read(Write(name, Encoding.UTF8.GetBytes(text)));
        Assert.Equal(["a", "b"], set.Documents.Select(document => document.Text));
        Assert.Equal(["1", "2"], set.Documents.Select(document => document.Id));
    }

    [Fact]
    public void A_row_keeps_its_id_and_an_id_that_comes_twice_is_made_unique()
    {
        var set = Read("{\"id\":\"x\",\"text\":\"a\"}\n{\"id\":7,\"text\":\"b\"}\n{\"id\":\"x\",\"text\":\"c\"}\n{\"text\":\"d\"}\n{\"id\":\"4\",\"text\":\"e\"}");
        Assert.Equal(["x", "7", "x@3", "4", "4@5"], set.Documents.Select(document => document.Id));
        Assert.Equal("x", set.RenamedIds["x@3"]);
        Assert.Equal(set.Documents.Count, set.Documents.DistinctBy(document => document.Id, StringComparer.Ordinal).Count());
    }

    [Fact]
    public void Exact_duplicates_point_to_the_first_and_near_ones_do_not()
    {
        var set = Read("""
            {"id":"a","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}
            {"id":"b","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a "}]}
            {"id":"c","messages":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]}
            {"id":"d","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a","name":"n"}]}
            {"id":"e","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}
            """);
        Assert.Equal(new Dictionary<string, string> { ["c"] = "a", ["e"] = "a" }, set.Duplicates);
        Assert.Equal(["a", "b", "d"], set.Distinct.Select(document => document.Id));
    }

    [Fact]
    public void A_limit_counts_the_rows_that_can_be_used()
    {
        var set = Read("{\"text\":\"a\"}\nrubbish\n{\"text\":\"b\"}\nrubbish\n{\"text\":\"c\"}", new() { Limit = 2 });
        Assert.Equal(["a", "b"], set.Documents.Select(document => document.Text));
        Assert.Single(set.Rejected);
    }

    [Fact]
    public void A_turn_keeps_its_other_fields_and_a_row_its_tools_and_system_text()
    {
        var document = Read("""{"system":"Be kind.","tools":"[{\"name\":\"t\"}]","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":1.0}]}]}""").Documents.Single();
        Assert.Equal([("system", "Be kind."), ("assistant", "")], Turns(document));
        Assert.IsType<List<object?>>(document.Messages[1].Extra["tool_calls"]);
        Assert.Single(document.Tools!);
    }

    [Fact]
    public void A_line_longer_than_allowed_is_rejected_without_being_held()
    {
        var set = Read($"{{\"text\":\"{new string('a', 300_000)}\"}}\n{{\"text\":\"b\"}}\n{{\"text\":\"{new string('c', 80)}\"}}", new() { MaxRowBytes = 50 });
        Assert.Equal("b", set.Documents.Single().Text);
        Assert.Equal([1, 3], set.Rejected.Select(row => row.Line));
    }

    [Fact]
    public void Lines_longer_than_the_buffer_are_read_whole()
    {
        var texts = Enumerable.Range(0, 6).Select(index => new string((char)('a' + index), 40_000 * (index + 1))).ToList();
        var set = Read(string.Join('\n', texts.Select(text => $"{{\"text\":\"{text}\"}}")));
        Assert.Equal(texts, set.Documents.Select(document => document.Text));
    }

    [Theory]
    [InlineData("", "GA2002", "data.jsonl")]
    [InlineData(" \n\n", "GA2002", "data.jsonl")]
    [InlineData("\uFEFF", "GA2002", "data.json")]
    [InlineData("rubbish\nrubbish", "GA2004", "data.jsonl")]
    [InlineData("{\"color\":1}", "GA2004", "data.json")]
    [InlineData("[]", "GA2004", "data.json")]
    [InlineData("[{\"text\":\"a\"},", "GA2003", "data.json")]
    [InlineData("{\n\"data\": [", "GA2003", "data.json")]
    [InlineData("", "GA2002", "data.csv")]
    [InlineData("\n\n", "GA2002", "data.csv")]
    [InlineData("a,a\n1,2", "GA2007", "data.csv")]
    [InlineData(",\n1,2", "GA2007", "data.csv")]
    [InlineData("\"a", "GA2007", "data.csv")]
    [InlineData("color\nred", "GA2004", "data.csv")]
    [InlineData("", "GA2002", "data.parquet")]
    [InlineData("PAR1", "GA2008", "data.parquet")]
    [InlineData("PAR1 and nothing that is Parquet PAR1", "GA2008", "data.parquet")]
    [InlineData("no gzip", "GA2009", "data.jsonl.gz")]
    [InlineData("ARROW1", "GA2006", "data.arrow")]
    [InlineData("PAR1", "GA2006", "data.parquet.gz")]
    public void A_file_that_gives_nothing_is_a_coded_error(string text, string code, string name)
    {
        var error = Assert.Throws<DocumentException>(() => DocumentReader.Read(Write(name, Encoding.UTF8.GetBytes(text))));
        Assert.Equal(code, error.Code);
        Assert.NotEmpty(error.Remedy);
    }

    [Fact]
    public void A_missing_file_and_a_folder_are_coded_errors()
    {
        Assert.Equal("GA2001", Assert.Throws<DocumentException>(() => DocumentReader.Read(Path.Combine(folder, "none.jsonl"))).Code);
        Assert.Equal("GA2001", Assert.Throws<DocumentException>(() => DocumentReader.Read("")).Code);
        Assert.Equal("GA2001", Assert.Throws<DocumentException>(() => DocumentReader.Read("a\0b")).Code);
        Assert.Equal("GA2010", Assert.Throws<DocumentException>(() => DocumentReader.Read(folder)).Code);
    }

    [Fact]
    public void Whatever_a_file_holds_the_reader_gives_documents_or_a_coded_error()
    {
        string[] pieces =
        [
            "{", "}", "[", "]", ":", ",", "\n", "\"", "\\", "\\ud800", "\"messages\"", "\"role\"", "\"content\"", "\"assistant\"", "\"chosen\"", "\"rejected\"", "\"prompt\"",
            "\"completion\"", "\"text\"", "\"id\"", "\"tools\"", "\"data\"", "null", "true", "1e999", "-0", "99999999999999999999999", "\uFEFF", "\0", "é", "{\"text\":\"a\"}",
            "{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"}]}", "{\"chosen\":[],\"rejected\":1}", "{\"data\":[{}]}",
        ];
        Gen.Select(Gen.OneOf(pieces).Array[0, 30], Gen.Byte.Array[0, 3], Gen.OneOf("data.json", "data.jsonl", "data")).Sample((parts, noise, name) =>
        {
            byte[] bytes = [.. Encoding.UTF8.GetBytes(string.Concat(parts)), .. noise];
            try
            {
                var set = DocumentReader.Read(Write(name, bytes), new() { MaxRowBytes = 200 });
                Assert.NotEmpty(set.Documents);
            }
            catch (DocumentException error)
            {
                Assert.StartsWith("GA20", error.Code, StringComparison.Ordinal);
            }
        }, iter: 500, threads: 1);
    }

    private static DocumentReaderOptions Map(string map) => new() { Map = DocumentReaderOptions.ParseMap(map) };

    private static IEnumerable<(string, string)> Turns(Document document) => document.Messages.Select(message => (message.Role, message.Content));

    private DocumentSet Read(string text, DocumentReaderOptions? options = null) => DocumentReader.Read(Write("data.jsonl", Encoding.UTF8.GetBytes(text)), options);

    private string Write(string name, byte[] bytes)
    {
        var path = Path.Combine(folder, name);
        File.WriteAllBytes(path, bytes);
        return path;
    }
}
