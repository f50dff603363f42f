using CsCheck;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Tests.Documents;

public sealed class DocumentSplitTests
{
    [Fact]
    public void Adding_rows_moves_no_other()
    {
        var documents = Documents(2000);
        var whole = DocumentSplit.Make(documents, 0.2, 7);
        var part = DocumentSplit.Make(documents[..500], 0.2, 7);
        Assert.Equal(part.HeldOut, whole.HeldOut.Where(document => document.Line <= 500));
        Assert.Equal(part.Learning, whole.Learning.Where(document => document.Line <= 500));
    }

    [Fact]
    public void The_share_is_about_what_was_asked_for_and_nothing_is_lost() => Gen.Select(Gen.Double[0, 0.9], Gen.ULong).Sample((share, seed) =>
    {
        var documents = Documents(2000);
        var split = DocumentSplit.Make(documents, share, seed);
        Assert.Equal(documents, split.Learning.Concat(split.HeldOut).OrderBy(document => document.Line));
        Assert.InRange(split.HeldOut.Count / 2000.0, share - 0.06, share + 0.06); // more than five standard deviations
    }, iter: 20);

    [Fact]
    public void Another_seed_holds_out_others()
    {
        var documents = Documents(500);
        Assert.NotEqual(DocumentSplit.Make(documents, 0.5, 1).HeldOut, DocumentSplit.Make(documents, 0.5, 2).HeldOut);
    }

    [Theory]
    [InlineData(-0.1)]
    [InlineData(1)]
    [InlineData(double.NaN)]
    public void A_share_outside_of_its_range_is_the_callers_mistake(double share) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => DocumentSplit.IsHeldOut("a", share, 1));

    private static List<Document> Documents(int count) => [.. Enumerable.Range(1, count).Select(line => new Document($"doc-{line}", line) { Text = "a" })];
}
