using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Stages;
using GradientAtoms.Tests.Cli;
using GradientAtoms.Tests.Support;

namespace GradientAtoms.Tests.Pipeline;

/// <summary>Audits of data in other formats than JSON Lines, and of templates that ask for the day.</summary>
public sealed class DataAuditTests : IDisposable
{
    private readonly ChatAudit _audit = new();

    public void Dispose() => _audit.Dispose();

    [Fact]
    public void The_same_rows_give_the_same_documents_from_a_table_and_from_a_folder()
    {
        var rows = File.ReadAllLines(_audit.Data);
        var table = _audit.Folder["chats.csv"];
        File.WriteAllLines(table, ["id,messages", .. rows.Select(Record)]);
        Directory.CreateDirectory(_audit.Folder["set/data"]);
        File.WriteAllLines(_audit.Folder["set/data/train-0.jsonl"], rows[..20]);
        File.WriteAllLines(_audit.Folder["set/data/train-1.jsonl"], rows[20..]);
        File.WriteAllText(_audit.Folder["set/data/test-0.jsonl"], rows[0]);
        var expected = Tokens(_audit.Options());
        Assert.Equal(expected, Tokens(_audit.Options("table") with { Data = table }));
        Assert.Equal(expected, Tokens(_audit.Options("folder") with { Data = _audit.Folder["set"] }));
    }

    [Fact]
    public void A_training_file_without_a_pole_is_a_table_where_the_data_is_one()
    {
        var table = _audit.Folder["chats.csv"];
        File.WriteAllLines(table, ["id,messages", .. File.ReadAllLines(_audit.Data).Select(Record)]);
        AuditPipeline.Run(_audit.Options() with { Data = table });
        var pole = AtomsFile.Read(_audit.Folder["run/atoms.json"])[0].Poles[0].Id;
        var output = _audit.Folder["filtered.csv"];
        var run = CliRun.Of("docs", _audit.Folder["run"], "--drop-pole", pole, "--out", output, "--json");
        Assert.Equal((0, ""), (run.ExitCode, run.Error));
        var (all, kept) = (File.ReadAllLines(table), File.ReadAllLines(output));
        Assert.Equal("id,messages", kept[0]);
        Assert.True(kept.Length < all.Length && kept.Length > 1);
        Assert.Empty(kept.Except(all));
        var told = JsonNode.Parse(run.Out)!;
        Assert.Equal(("csv", kept.Length - 1, all.Length - kept.Length), ((string?)told["format"], (int)told["written"]!, (int)told["dropped"]!));
    }

    [Fact]
    public void The_day_that_a_template_is_told_is_kept_with_the_run()
    {
        var template = _audit.Folder["dated.jinja"];
        File.WriteAllText(template, "{{ strftime_now('%Y-%m-%d') }} " + ChatAudit.Template);
        var options = _audit.Options() with { ChatTemplate = template, Limit = 12 };
        AuditPipeline.Run(options with { Date = new DateTime(2020, 2, 3) });
        Assert.Equal("2020-02-03T00:00:00", (string?)_audit.Manifest().Options!["date"]);
        Assert.True(AuditPipeline.Run(options).NothingToDo);
        Assert.False(AuditPipeline.Run(options with { Date = new DateTime(2020, 2, 4) }).Stages[0].Decision.Reuse);
    }

    [Fact]
    public void Without_a_day_given_a_template_that_asks_is_told_that_of_the_first_start()
    {
        var template = _audit.Folder["dated.jinja"];
        File.WriteAllText(template, "{{ strftime_now('%Y') }} " + ChatAudit.Template);
        var before = DateTime.Today;
        AuditPipeline.Run(_audit.Options() with { ChatTemplate = template, Limit = 12 });
        Assert.InRange((DateTime)_audit.Manifest().Options!["date"]!, before, DateTime.Today);
        AuditPipeline.Run(_audit.Options("other") with { Limit = 12 });
        Assert.Null(_audit.Manifest("other").Options!["date"]);
    }

    private static List<string> Tokens(AuditOptions options)
    {
        using var model = new ModelFiles(options.Model);
        using var run = RunFolder.Create(options.Out);
        new StageRunner(run).Run(DocumentsStage.Create(options, model));
        return [.. DocumentsStage.ReadTokens(run, DocumentsStage.ReadTexts(run)).Select(document => $"{document.Id}: {string.Join(' ', document.Tokens)}")];
    }

    private static string Record(string row)
    {
        using var json = JsonDocument.Parse(row);
        return $"{json.RootElement.GetProperty("id").GetString()},\"{json.RootElement.GetProperty("messages").GetRawText().Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
    }
}
