using System.Text;
using System.Text.RegularExpressions;
using System.Xml;
using System.Xml.Linq;
using GradientAtoms.Runs.Reports;

namespace GradientAtoms.Tests.Reports;

public class ReportPageTests
{
    [Fact]
    public void The_page_is_well_formed_and_every_id_is_there_once()
    {
        var page = Parse(ReportPage.Render(SomeReport.Of(atomCount: 9, documentCount: 60)));
        var ids = page.Descendants().Select(element => (string?)element.Attribute("id")).OfType<string>().ToArray();
        Assert.Equal(ids.Distinct(StringComparer.Ordinal), ids, StringComparer.Ordinal);
        foreach (var target in page.Descendants("a").Select(link => (string)link.Attribute("href")!))
        {
            Assert.Contains(target.TrimStart('#'), ids, StringComparer.Ordinal);
        }
    }

    [Fact]
    public void Nothing_is_loaded_from_anywhere()
    {
        var html = ReportPage.Render(SomeReport.Of(atomCount: 5, documentCount: 40));
        Assert.DoesNotMatch(new Regex("(https?:|//)[a-z0-9]", RegexOptions.IgnoreCase | RegexOptions.ExplicitCapture), html);
        var page = Parse(html);
        Assert.Empty(page.Descendants().Attributes("src"));
        Assert.Empty(page.Descendants("link"));
        Assert.All(page.Descendants("a").Select(link => (string)link.Attribute("href")!), target => Assert.StartsWith("#", target, StringComparison.Ordinal));
        Assert.DoesNotContain("url(", html, StringComparison.OrdinalIgnoreCase);
    }

    [Theory]
    [InlineData("<script>alert(1)</script>")]
    [InlineData("\"><img src=x onerror=alert(1)>")]
    [InlineData("]]></style><b>& &amp; ' \u0001 \u202e \ud800 end")]
    public void What_documents_and_names_say_stays_text(string evil)
    {
        var sample = SomeReport.Of(atomCount: 2, documentCount: 30);
        var plainElements = Parse(ReportPage.Render(sample)).Descendants().Count();
        var evilData = sample with
        {
            Name = evil,
            Model = sample.Model with { Name = evil, Architecture = evil, Format = evil, AdapterName = evil },
            Reading = sample.Reading with { File = evil, Shape = evil, Rejected = [.. sample.Reading.Rejected.Select(row => row with { Reason = evil })] },
            Documents = sample.Documents.ToDictionary(pair => pair.Key, _ => new ReportDocument(evil, evil), StringComparer.Ordinal),
            Atoms = [.. sample.Atoms.Select(atom => atom with { Poles = [.. atom.Poles.Select(pole => pole with { Keywords = [evil, evil] })] })],
            Caveats = [evil],
            Provenance = sample.Provenance with { Options = [new(evil, evil)], Versions = sample.Provenance.Versions, Checksums = sample.Provenance.Checksums },
        };
        var page = Parse(ReportPage.Render(evilData));
        Assert.Single(page.Descendants("script"));
        Assert.Empty(page.Descendants("img"));
        Assert.DoesNotContain(page.Descendants().Attributes(), attribute => attribute.Name.LocalName.StartsWith("on", StringComparison.OrdinalIgnoreCase));

        // Two option rows fewer; otherwise the same elements: nothing in the texts became one. Labels may not fit on the map.
        var labels = Parse(ReportPage.Render(sample)).Descendants("text").Count() - page.Descendants("text").Count();
        Assert.Equal(plainElements - (2 * 4) - labels, page.Descendants().Count());
    }

    [Fact]
    public void A_document_is_shown_with_its_code_and_its_text()
    {
        var sample = SomeReport.Of(atomCount: 1, documentCount: 30);
        var top = sample.Atoms[0].Poles[0].Top[0];
        var page = Parse(ReportPage.Render(sample));
        var first = page.Descendants("li").First(item => item.Element("b")?.Value == top.Id);
        Assert.Equal("+0.800", first.Element("i")!.Value);
        Assert.StartsWith(sample.Documents[top.Id].Prompt[..40], first.Element("q")!.Value, StringComparison.Ordinal);
        Assert.StartsWith(sample.Documents[top.Id].Answer[..40], first.Element("span")!.Value, StringComparison.Ordinal);
        Assert.Equal(20, page.Descendants("ol").Elements("li").Count()); // 10 of each pole
    }

    [Fact]
    public void Certified_atoms_come_first_and_the_others_are_counted()
    {
        var sample = SomeReport.Of(atomCount: 4, documentCount: 30);
        Assert.DoesNotContain("atom-rest\"", ReportPage.Render(sample), StringComparison.Ordinal);
        var some = sample with { Atoms = [.. sample.Atoms.Select((atom, place) => atom with { Poles = [.. atom.Poles.Select(pole => pole with { Certified = place == 2 && pole.Sign > 0, Reasons = place == 2 && pole.Sign > 0 ? [] : ["chance"], Fdr = 0.25 })] })] };
        var page = Parse(ReportPage.Render(some));
        var bodies = page.Descendants("tbody").Where(body => ((string?)body.Attribute("id"))?.StartsWith("atom-", StringComparison.Ordinal) == true).ToList();
        Assert.Equal(["1", "0", "0", "0"], bodies.Select(body => (string)body.Attribute("data-certified")!));
        Assert.Equal($"atom-{sample.Atoms[2].Id}", (string)bodies[0].Attribute("id")!);
        Assert.Equal("also the 3 that are not certified", page.Descendants("input").Single(input => (string?)input.Attribute("id") == "atom-rest").Parent!.Value.Trim());
        Assert.Contains("not certified (chance)", page.Root!.Value, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pole_that_is_only_a_confounder_is_marked_and_what_its_place_says_stays_text()
    {
        var sample = SomeReport.Of(atomCount: 2, documentCount: 30);
        Assert.DoesNotContain("only source", ReportPage.Render(sample), StringComparison.Ordinal);
        var marked = sample with { Atoms = [.. sample.Atoms.Select(atom => atom with { Poles = [.. atom.Poles.Select(pole => pole with { Only = ["source"], Confounders = [new("source", 0.75, 0.1, "<b>wiki"), new("length", 0.001, 0.1, "from 9")] })] })] };
        var text = Parse(ReportPage.Render(marked)).Root!.Value;
        Assert.Contains("only source · explained by source 75.0\u00a0% (<b>wiki)", text, StringComparison.Ordinal);
        Assert.DoesNotContain("from 9", text, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_not_computed_is_absent()
    {
        var sample = SomeReport.Of(atomCount: 2, documentCount: 30);
        var bare = ReportPage.Render(sample with
        {
            Tuning = null,
            SelfChecks = [],
            Coverage = null,
            Dictionary = null,
            Map = [],
            Ledger = [],
            Caveats = [],
            Reading = sample.Reading with { MeanLoss = null },
            Atoms = [.. sample.Atoms.Select(atom => atom with { Share = null, Modules = null, CoherenceReference = null, Poles = [.. atom.Poles.Select(pole => pole with { Coherence = null, CoherenceRaw = null, Keywords = null })] })],
        });
        var page = Parse(bare);
        foreach (var section in (string[])["map", "modules", "energy"])
        {
            Assert.DoesNotContain(page.Descendants("h2"), heading => (string?)heading.Attribute("id") == section);
        }

        Assert.DoesNotContain("NaN", bare, StringComparison.Ordinal);
        Assert.DoesNotContain("Fine-tune", bare, StringComparison.Ordinal);
        Assert.DoesNotContain("Self-checks", bare, StringComparison.Ordinal);
        Assert.DoesNotContain(page.Descendants("tbody").Attributes(), attribute => attribute.Name.LocalName is "data-share" or "data-coherence");
        _ = Parse(ReportPage.Render(sample with { Atoms = [], Map = [] }));
    }

    [Fact]
    public void The_shares_of_all_modules_add_up_to_one()
    {
        var cells = ModuleSection.Cells(SomeReport.Of(atomCount: 20, documentCount: 40));
        Assert.Equal(1, cells.Values.Sum(), 9);
        Assert.All(cells.Keys, key => Assert.NotNull(key.Layer));
    }

    [Fact]
    public void A_large_run_makes_a_file_of_about_a_megabyte_and_the_same_bytes_each_time()
    {
        var sample = SomeReport.Of(atomCount: 200, documentCount: 1500);
        var html = ReportPage.Render(sample);
        Assert.InRange(Encoding.UTF8.GetByteCount(html), 200_000, 1_100_000);
        Assert.Equal(html, ReportPage.Render(sample));
    }

    [Fact]
    public void Tables_have_headings_and_the_page_has_landmarks()
    {
        var page = Parse(ReportPage.Render(SomeReport.Of(atomCount: 3, documentCount: 30)));
        Assert.All(page.Descendants("table"), table =>
        {
            Assert.NotNull(table.Element("caption"));
            Assert.NotEmpty(table.Descendants("th"));
            Assert.All(table.Descendants("th"), head => Assert.NotNull(head.Attribute("scope")));
        });
        Assert.Single(page.Descendants("main"));
        Assert.Single(page.Descendants("nav"));
        Assert.Single(page.Descendants("h1"));
    }

    private static XDocument Parse(string html)
    {
        using var reader = XmlReader.Create(new StringReader(html), new() { DtdProcessing = DtdProcessing.Ignore });
        return XDocument.Load(reader);
    }
}
