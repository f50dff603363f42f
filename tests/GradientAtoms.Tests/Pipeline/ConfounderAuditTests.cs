using System.Text.Json.Nodes;
using GradientAtoms.Atoms;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Tests.Cli;
using GradientAtoms.Tests.Runs;

namespace GradientAtoms.Tests.Pipeline;

/// <summary>A planted confounder, from the data file to the list of atoms: one source has all the long documents.</summary>
public sealed class ConfounderAuditTests : IDisposable
{
    private readonly TinyAudit _audit = new(documents: 1);

    public void Dispose() => _audit.Dispose();

    [Fact]
    public void A_source_of_long_documents_is_named_in_the_atoms_the_list_and_the_report()
    {
        var random = new Random(5);
        File.WriteAllText(_audit["data.jsonl"], string.Concat(Enumerable.Range(0, 90).Select(index =>
        {
            var (source, alphabet, least, most) = random.Next(6) == 0 ? ("books", "mnopq ", 60, 80) : random.Next(2) == 0 ? ("chat", "abcde ", 6, 16) : ("mail", "12345+", 6, 16);
            return new JsonObject { ["text"] = string.Concat(random.GetItems(alphabet.AsSpan(), random.Next(least, most))), ["source"] = source }.ToJsonString() + "\n";
        })));
        AuditPipeline.Run(_audit.Options("run", CoordinateKind.Exact) with { Atoms = 6, Nulls = 0 });
        using var folder = GradientAtoms.Runs.RunFolder.OpenRead(_audit["run"]);
        var texts = RunReader.ReadTexts(folder);
        Assert.Equal(["books", "chat", "mail"], texts.Select(text => text.Source).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal));
        var poles = AtomsFile.Read(_audit["run/atoms.json"]).SelectMany(atom => atom.Poles).Where(pole => pole.Supported).ToList();
        Assert.All(poles, pole => Assert.NotEmpty(pole.Confounders!));
        var books = poles.Where(pole => pole.Only!.Contains("source") && pole.Confounders!.Single(share => share.Name == "source").Where == "books").ToList();
        Pole found = Assert.Single(books, pole => pole.Only!.Contains("length") && pole.Confounders!.Single(share => share.Name == "length").Where!.StartsWith("from ", StringComparison.Ordinal));
        Assert.DoesNotContain("position", found.Only!, StringComparer.Ordinal);

        var list = CliRun.Of("atoms", _audit["run"], "--all");
        Assert.Contains(list.Out.Split('\n'), line => line.StartsWith(found.Id, StringComparison.Ordinal) && line.Contains("source", StringComparison.Ordinal));
        var one = CliRun.Of("atoms", _audit["run"], found.Id);
        Assert.Contains("  only ", one.Out, StringComparison.Ordinal);
        Assert.Contains("(books)", one.Out, StringComparison.Ordinal);
        var report = File.ReadAllText(_audit["run/report.html"]);
        Assert.Contains("marked &quot;only&quot;", report, StringComparison.Ordinal);
        Assert.Contains("(books)", report, StringComparison.Ordinal);
    }

    [Fact]
    public void Confounders_that_are_taken_off_mark_no_pole_and_the_run_says_so()
    {
        var random = new Random(5);
        File.WriteAllText(_audit["data.jsonl"], string.Concat(Enumerable.Range(0, 90).Select(index =>
        {
            var (source, least, most) = random.Next(6) == 0 ? ("books", 60, 80) : ("chat", 6, 16);
            return new JsonObject { ["text"] = string.Concat(random.GetItems((index % 2 == 0 ? "abcde " : "12345+").AsSpan(), random.Next(least, most))), ["source"] = source }.ToJsonString() + "\n";
        })));
        AuditPipeline.Run(_audit.Options("run", CoordinateKind.Exact) with { Atoms = 6, Nulls = 0, Residualise = ["source", "length"] });
        Assert.All(AtomsFile.Read(_audit["run/atoms.json"]).SelectMany(atom => atom.Poles), pole => Assert.Empty((pole.Only ?? []).Intersect(["length", "source"], StringComparer.Ordinal)));
        using var run = GradientAtoms.Runs.RunFolder.OpenRead(_audit["run"]);
        Assert.InRange((double)run.Manifest.Stage("coordinates")!.Notes["residualised_energy_share"]!, 0.02, 0.9);
        Assert.Contains("length, source were taken off", File.ReadAllText(_audit["run/report.html"]), StringComparison.Ordinal);
        Assert.Contains("GA1001", CliRun.Of("audit", "--model", "m", "--data", "d", "--out", "o", "--residualise", "length,colour").Error, StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_atoms_explain_is_told_by_document_and_by_module_and_adds_up()
    {
        using var audit = new TinyAudit(documents: 60);
        AuditPipeline.Run(audit.Options("run", CoordinateKind.Exact) with { Atoms = 6, Nulls = 0 });
        using var run = GradientAtoms.Runs.RunFolder.OpenRead(audit["run"]);
        var ledger = AtomsStage.ReadLedger(run)!;
        Assert.Equal(RunReader.ReadTexts(run).Select(text => text.Id).Order(StringComparer.Ordinal), ledger.Documents.Select(document => document.Id).Order(StringComparer.Ordinal));
        Assert.All(ledger.Documents, document => Assert.InRange(document.Explained, 0, 1 + 1e-6));
        Assert.Equal(1, ledger.Modules.Sum(module => module.Part), 1e-9);

        // All documents are in the sample here: the modules' figures are of the same energy as the share that no atom explains.
        var unexplained = (double)run.Manifest.Stage("atoms")!.Notes["unexplained_share"]!;
        Assert.Equal(1 - unexplained, ledger.Modules.Sum(module => module.Part * module.Explained), 1e-4);

        var worst = CliRun.Of("docs", audit["run"], "--worst", "--top", "3", "--json");
        Assert.True(worst.ExitCode == 0, worst.Error);
        var shown = JsonNode.Parse(worst.Out)!["documents"]!.AsArray();
        Assert.Equal(ledger.Documents.Take(3).Select(document => (document.Id, document.Explained)), shown.Select(document => ((string)document!["id"]!, (double)document["explained"]!)));
        Assert.Equal(ledger.Documents.Min(document => document.Explained), (double)shown[0]!["explained"]!);
        var report = File.ReadAllText(audit["run/report.html"]);
        Assert.Contains("Explained worst", report, StringComparison.Ordinal);
        Assert.Contains("explained by the atoms: part", report, StringComparison.Ordinal);
    }
}
