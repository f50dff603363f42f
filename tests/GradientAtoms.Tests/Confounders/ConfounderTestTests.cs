using System.Globalization;
using GradientAtoms.Confounders;

namespace GradientAtoms.Tests.Confounders;

public sealed class ConfounderTestTests
{
    private const int DocumentCount = 300;

    [Fact]
    public void A_planted_source_of_long_documents_is_named_and_what_is_independent_is_not()
    {
        var random = new Random(1);
        var sources = Enumerable.Range(0, DocumentCount).Select(_ => random.NextDouble() < 0.15 ? "books" : random.NextDouble() < 0.5 ? "chat" : "mail").ToArray();
        var lengths = sources.Select(source => source == "books" ? random.Next(500, 900) : (double)random.Next(10, 120)).ToArray();
        var members = Enumerable.Range(0, DocumentCount).Where(document => sources[document] == "books").ToArray();
        var finding = ConfounderTest.Weigh(
            members,
            Codes(random, members.Length),
            [Confounder.OfGroups("source", sources), Confounder.OfNumbers("length", lengths), Confounder.OfNumbers("position", [.. Enumerable.Range(0, DocumentCount).Select(place => (double)place)])],
            "planted");
        Assert.Equal(["length", "source"], finding.Only.Order(StringComparer.Ordinal));
        Assert.Equal("books", finding.Shares.Single(share => share.Name == "source").Where);
        Assert.StartsWith("from 5", finding.Shares.Single(share => share.Name == "length").Where, StringComparison.Ordinal);
        Assert.All(finding.Shares, share => Assert.Equal(share.Name != "position", share.Explained > 0.5));
        Assert.Equal("position", finding.Shares[^1].Name);
    }

    [Theory]
    [InlineData(4)]
    [InlineData(12)]
    [InlineData(60)]
    public void Documents_drawn_at_random_are_never_marked_and_explained_by_little(int size)
    {
        var random = new Random(size);
        Confounder[] confounders =
        [
            Confounder.OfGroups("source", [.. Enumerable.Range(0, DocumentCount).Select(document => (document % 25).ToString(CultureInfo.InvariantCulture))]),
            Confounder.OfNumbers("length", [.. Enumerable.Range(0, DocumentCount).Select(_ => random.NextDouble())]),
            Confounder.OfGroups("duplicates", [.. Enumerable.Range(0, DocumentCount).Select(document => document < 60 ? (document / 3).ToString(CultureInfo.InvariantCulture) : null)]),
        ];
        int[] documents = [.. Enumerable.Range(0, DocumentCount)];
        var explained = new List<double>();
        for (var trial = 0; trial < 60; trial++)
        {
            random.Shuffle(documents);
            var finding = ConfounderTest.Weigh(documents.AsSpan(0, size), Codes(random, size), confounders, trial.ToString(CultureInfo.InvariantCulture));
            Assert.Empty(finding.Only);
            explained.AddRange(finding.Shares.Select(share => share.Explained));
        }

        Assert.InRange(explained.Average(), 0, 0.05);
    }

    [Fact]
    public void Groups_explain_what_an_analysis_of_variance_of_all_documents_says()
    {
        var random = new Random(3);
        var groups = Enumerable.Range(0, DocumentCount).Select(_ => "abcdefg"[random.Next(7)].ToString()).ToArray();
        int[] members = [.. Enumerable.Range(0, DocumentCount).Where(document => groups[document][0] <= 'b' && random.NextDouble() < 0.6)];
        var codes = Codes(random, members.Length);
        var share = Assert.Single(ConfounderTest.Weigh(members, codes, [Confounder.OfGroups("group", groups)], "x").Shares);
        var dense = Dense(members, codes);
        var mean = dense.Average();
        var between = groups.Zip(dense).GroupBy(pair => pair.First, StringComparer.Ordinal).Sum(group => group.Count() * Math.Pow(group.Average(pair => pair.Second) - mean, 2));
        var expected = between / dense.Sum(value => Math.Pow(value - mean, 2));
        Assert.Equal(expected, share.Explained + (share.Chance * (1 - share.Explained)), 1e-9);
        Assert.Equal("a, b", string.Join(", ", share.Where!.Split(", ").Order(StringComparer.Ordinal)));
    }

    [Fact]
    public void One_cut_of_a_number_is_the_best_of_all_cuts()
    {
        var random = new Random(4);
        for (var trial = 0; trial < 20; trial++)
        {
            var values = Enumerable.Range(0, 60).Select(_ => (double)random.Next(30)).ToArray(); // with ties
            int[] members = [.. Enumerable.Range(0, 60).Where(document => random.NextDouble() < (values[document] > 18 ? 0.6 : 0.1))];
            var codes = Codes(random, members.Length);
            var share = Assert.Single(ConfounderTest.Weigh(members, codes, [Confounder.OfNumbers("number", values)], "x", new() { Stretches = 2, StretchDocuments = 1, Draws = 5 }).Shares);
            var dense = Dense(members, codes, 60);
            var mean = dense.Average();
            var best = values.Distinct().Order().Skip(1).Max(cut => dense.Zip(values).GroupBy(pair => pair.Second < cut).Sum(side => side.Count() * Math.Pow(side.Average(pair => pair.First) - mean, 2)));
            var expected = best / dense.Sum(value => Math.Pow(value - mean, 2));
            Assert.Equal(Math.Max(0, (expected - share.Chance) / (1 - share.Chance)), share.Explained, 1e-9);
        }
    }

    [Fact]
    public void Middling_numbers_are_found_and_a_transform_changes_nothing()
    {
        var random = new Random(5);
        var values = Enumerable.Range(0, DocumentCount).Select(_ => (double)random.Next(1, 1000)).ToArray();
        int[] members = [.. Enumerable.Range(0, DocumentCount).Where(document => values[document] is >= 400 and < 500)];
        var codes = Codes(random, members.Length);
        var share = ConfounderTest.Weigh(members, codes, [Confounder.OfNumbers("length", values)], "x");
        var logarithm = ConfounderTest.Weigh(members, codes, [Confounder.OfNumbers("length", [.. values.Select(value => Math.Log(value))])], "x");
        Assert.Equal(["length"], share.Only);
        Assert.Matches("^4[0-9]{2} to 4[0-9]{2}$", share.Shares[0].Where);
        Assert.Equal(share.Shares[0].Explained, logarithm.Shares[0].Explained, 1e-12);
    }

    [Fact]
    public void A_part_of_a_group_is_explained_in_part_and_not_marked()
    {
        var random = new Random(6);
        var sources = Enumerable.Range(0, DocumentCount).Select(document => document < 120 ? "books" : "mail").ToArray();
        int[] members = [.. Enumerable.Range(0, 30)]; // a quarter of the books
        var finding = ConfounderTest.Weigh(members, Codes(random, 30), [Confounder.OfGroups("source", sources)], "x");
        Assert.Empty(finding.Only);
        Assert.InRange(finding.Shares[0].Explained, 0.05, 0.35);
    }

    [Fact]
    public void What_does_not_vary_is_not_listed()
    {
        Confounder[] confounders = [Confounder.OfGroups("source", new string?[20]), Confounder.OfNumbers("length", new double[20]), Confounder.OfGroups("alone", [.. Enumerable.Range(0, 20).Select(document => $"row {document}")])];
        var finding = ConfounderTest.Weigh([1, 2, 3, 4], [1, 1, 1, 1], confounders, "x");
        Assert.Empty(finding.Shares);
        Assert.Empty(finding.Only);
    }

    private static float[] Codes(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => 0.2f + (0.3f * random.NextSingle()))];

    private static double[] Dense(int[] members, float[] codes, int count = DocumentCount)
    {
        var dense = new double[count];
        foreach (var (document, code) in members.Zip(codes))
            dense[document] = code;
        return dense;
    }
}
