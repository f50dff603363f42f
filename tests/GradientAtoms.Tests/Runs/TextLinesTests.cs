using System.Text.Json;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Tests.Runs;

/// <summary>Texts and tokens that are read when they are asked for are those that were written.</summary>
public sealed class TextLinesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("gatoms-lines").FullName;

    [Fact]
    public void Texts_by_place_and_in_order_are_those_that_were_written()
    {
        // Rows longer than what is read at once, and letters of several bytes.
        var rows = Enumerable.Range(0, 40).Select(index => new TextRow($"d{index}", index + 1, new string('é', index * 4000), "line\nend ✓", index % 3 == 0) { Source = index % 2 == 0 ? null : "s" }).ToList();
        var path = Path.Combine(_folder, "texts.jsonl");
        File.WriteAllText(path, string.Concat(rows.Select(row => JsonSerializer.Serialize(row, RunJson.Compact) + "\n")));
        var lines = new TextLines(path);
        Assert.Equal(rows.Count, lines.Count);
        Assert.Equal(rows, lines);
        Assert.All(rows.Index().Reverse(), row => Assert.Equal(row.Item, lines[row.Index]));
    }

    [Fact]
    public void Packed_documents_are_those_that_were_packed()
    {
        var random = new Random(3);
        var documents = Enumerable.Range(0, 25).Select(index =>
        {
            int[] tokens = [.. Enumerable.Range(0, random.Next(1, 30)).Select(_ => random.Next(1000))];
            return new TokenizedDocument($"d{index}", index + 1, tokens, [.. tokens.Select(token => token % 3 == 0)], index % 4);
        }).ToList();
        var texts = documents.Select(document => new TextRow(document.Id, document.Line, "", "", HeldOut: false)).ToList();
        var path = Path.Combine(_folder, "tokens.safetensors");
        var builder = new PackedDocuments.Builder();
        documents.ForEach(builder.Add);
        Assert.Equal((documents.Count, documents.Sum(document => document.Tokens.Length)), (builder.Count, (int)builder.TokenCount));
        builder.Build().Write(path);
        var packed = TokenFile.Read(path, texts);
        Assert.Equal(documents.Count, packed.Count);
        foreach (var (expected, found, again) in documents.Zip(packed, packed.Index().Select(entry => packed[entry.Index])))
        {
            Assert.Equal((expected.Id, expected.Line, expected.TruncatedTokens, expected.TrainedCount), (found.Id, found.Line, found.TruncatedTokens, found.TrainedCount));
            Assert.Equal(expected.Tokens, found.Tokens);
            Assert.Equal(expected.Trained, again.Trained);
        }
    }

    [Fact]
    public void A_block_of_long_gradients_has_fewer_documents()
    {
        Assert.Equal(125, CurvaturePass.BlockDocuments(5000, 460_800));
        var most = CurvaturePass.BlockDocuments(1_000_000, 460_800);
        Assert.InRange(most * 460_800L * 4, 200L << 20, 256L << 20);
        Assert.Equal(1024, CurvaturePass.BlockDocuments(1_000_000, 1000));
        Assert.Equal(16, CurvaturePass.BlockDocuments(1_000_000, 100_000_000));
    }

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
