using System.Text;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Tests.Documents;

public sealed class DataFolderTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("gatoms-data-folder").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Theory]
    [InlineData("train", "data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl")]
    [InlineData(null, "data/train-00000-of-00002.jsonl", "data/train-00001-of-00002.jsonl")]
    [InlineData("test", "data/test-00000-of-00001.jsonl")]
    [InlineData("validation", "data/val.jsonl")]
    public void A_split_is_the_files_whose_names_hold_it(string? split, params string[] expected)
    {
        foreach (var name in new[] { "data/train-00001-of-00002.jsonl", "data/train-00000-of-00002.jsonl", "data/test-00000-of-00001.jsonl", "data/val.jsonl", "data/contrails.jsonl", "dataset_infos.json", ".cache/train.jsonl", "train.csv" })
        {
            Write(name, "{}");
        }

        Assert.Equal(expected, Files(split));
    }

    [Fact]
    public void Without_names_of_splits_all_files_are_the_training_split()
    {
        Write("b.csv", "text\nb\n");
        Write("a.csv", "text\na\n");
        Assert.Equal(["a.csv", "b.csv"], Files(null));
        Assert.Contains("'test'", Refused("test").Problem, StringComparison.Ordinal);
        Assert.Equal(["a", "b"], DocumentReader.Read(folder).Documents.Select(document => document.Text));
    }

    [Fact]
    public void Rows_are_counted_over_all_files_and_a_rejected_one_names_its_file()
    {
        Write("a-train.jsonl", "{\"text\":\"1\"}\nrubbish\n");
        Write("b-train.jsonl", "{\"text\":\"3\"}\n\nrubbish\n{\"text\":\"6\"}\n");
        var set = DocumentReader.Read(folder);
        Assert.Equal([1, 3, 6], set.Documents.Select(document => document.Line));
        Assert.Equal(["a-train.jsonl", "b-train.jsonl"], set.Rejected.Select(row => Path.GetFileName(row.File)));
        Assert.Equal([2, 5], set.Rejected.Select(row => row.Line));
        Assert.Contains("b-train.jsonl, row 3: ", set.Rejected[1].Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Documents_that_are_handed_on_are_those_that_are_read_at_once()
    {
        Write("a-train.jsonl", "{\"text\":\"1\",\"id\":\"x\"}\nrubbish\n{\"text\":\"2\",\"id\":\"x\"}\n");
        Write("b-train.jsonl", "{\"text\":\"1\"}\n{\"text\":\"\\ud800\"}\n{\"text\":\"3\",\"source\":\"own\"}\n");
        var set = DocumentReader.Read(folder);
        var (documents, copies) = (new List<Document>(), new Dictionary<string, string>(StringComparer.Ordinal));
        var counts = DocumentReader.Stream(folder, null, (document, first) =>
        {
            documents.Add(document);
            if (first is not null)
            {
                copies.Add(document.Id, first);
            }
        });
        Assert.Equal(["1", "2", "1", "3"], documents.Select(document => document.Text));
        Assert.Equal(["a-train.jsonl", "a-train.jsonl", "b-train.jsonl", "own"], documents.Select(document => document.Source));
        Assert.Equal(set.Documents.Select(document => (document.Id, document.Line, document.Text, document.Source)), documents.Select(document => (document.Id, document.Line, document.Text, document.Source)));
        Assert.Equal(set.Duplicates, copies);
        Assert.Equal("x", Assert.Single(copies).Value);
        Assert.Equal(set.Rejected, counts.Rejected);
        Assert.Equal(set.RenamedIds, counts.RenamedIds);
        Assert.Equal((4, 6), (counts.Documents, counts.RowCount));

        // What the receiver throws is its own failure, and no rejected row.
        Assert.Throws<InvalidOperationException>(() => DocumentReader.Stream(folder, null, (_, _) => throw new InvalidOperationException()));
    }

    [Fact]
    public void The_card_of_a_data_set_says_which_files_a_split_is()
    {
        Write("README.md", "---\nlicense: mit\nconfigs:\n- config_name: small\n  data_files: small.jsonl\n- config_name: default\n  data_files:\n  - split: train\n    path: \"parts/a-*\"\n  - split: held\n    path:\n    - parts/b.jsonl\n    - parts/c.jsonl\ntags:\n- x\n---\n# Card\n");
        foreach (var name in new[] { "small.jsonl", "parts/a-1.jsonl", "parts/a-2.jsonl", "parts/b.jsonl", "parts/c.jsonl", "parts/deep/a-3.jsonl" })
        {
            Write(name, "{}");
        }

        Assert.Equal(["parts/a-1.jsonl", "parts/a-2.jsonl"], Files(null));
        Assert.Equal(["parts/b.jsonl", "parts/c.jsonl"], Files("held"));
        Assert.Contains("train, held", Refused("test").Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Several_configurations_without_a_default_are_refused_by_name()
    {
        Write("README.md", "---\nconfigs:\n- config_name: en\n  data_files: en.jsonl\n- config_name: de\n  data_files: de.jsonl\n---\n");
        Write("en.jsonl", "{}");
        Assert.Contains("en, de", Refused(null).Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_without_data_is_refused_and_Arrow_is_named()
    {
        Assert.Equal("GA2010", Refused(null).Code);
        Write("data-00000-of-00001.arrow", "ARROW1");
        Assert.Contains("Arrow", Refused(null).Problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a.jsonl", "\uFEFF{\"text\":\"1\"}\r\n\r\nrubbish\r\n{\"text\":\"4\"}", "{\"text\":\"1\"}\r\nrubbish\r\n{\"text\":\"4\"}\n", "json lines")]
    [InlineData("a.jsonl", "{\"text\":\"1\"}\n{\"text\": \"2\"}\n", "{\"text\":\"1\"}\n", "json lines")]
    [InlineData("a.json", "[\n  {\"text\": \"1\"},\n  {\"text\": \"2\"},\n  {\"text\": \"3\"}\n]\n", "[\n{\"text\": \"1\"},\n{\"text\": \"3\"}\n]\n", "json")]
    [InlineData("a.csv", "text\r\n2\r\n\"two\nlines\"\r\n5\r\n", "text\r\n\"two\nlines\"\r\n5\r\n", "csv")]
    [InlineData("a.csv", "text\n\"2\"\n3\n4", "text\n3\n4\n", "csv")]
    public void A_filter_copies_rows_byte_for_byte(string name, string content, string expected, string format)
    {
        Write(name, content);
        using var output = new MemoryStream();
        var result = DocumentFilter.Copy(Path.Combine(folder, name), output, line => line != 2, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(expected, Encoding.UTF8.GetString(output.ToArray()));
        Assert.Equal(format, result.Format);
    }

    [Fact]
    public void A_filter_of_a_mixed_folder_writes_json_lines()
    {
        Write("a.csv", "text,n\n1,\n2,x\n");
        Write("b.csv", "text\n3\n");
        using var output = new MemoryStream();
        var result = DocumentFilter.Copy(folder, output, line => line != 2, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal("{\"text\":\"2\",\"n\":\"x\"}\n{\"text\":\"3\"}\n", Encoding.UTF8.GetString(output.ToArray()));
        Assert.Equal((2, 1, "json lines"), (result.Copied, result.Dropped, result.Format));
    }

    private string[] Files(string? split) => [.. DocumentReader.FilesOf(folder, split).Select(file => Path.GetRelativePath(folder, file))];

    private DocumentException Refused(string? split)
    {
        var error = Assert.Throws<DocumentException>(() => DocumentReader.FilesOf(folder, split));
        Assert.Equal("GA2010", error.Code);
        return error;
    }

    private void Write(string name, string content)
    {
        var path = Path.Combine(folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, content);
    }
}
