using System.Globalization;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Verification;
using GradientAtoms.Tests.Cli;
using GradientAtoms.Tests.Support;

namespace GradientAtoms.Tests.Pipeline;

/// <summary>The whole audit on a small model: what it writes, what it reuses, and that it gives the same bytes again.</summary>
public sealed class AuditPipelineTests : IDisposable
{
    private static readonly string[] StageNames = ["documents", "plan", "adapter", "gradients", "coordinates", "dictionary", "certificates", "atoms", "tokens", "report"];

    private readonly ChatAudit _audit = new();

    public void Dispose() => _audit.Dispose();

    [Fact]
    public void An_audit_writes_every_file_of_a_run()
    {
        var result = AuditPipeline.Run(_audit.Options());
        Assert.Equal(StageNames, result.Stages.Select(stage => stage.Decision.Stage));
        Assert.All(result.Stages, stage => Assert.False(stage.Decision.Reuse));
        foreach (var file in (string[])[RunFiles.Manifest, RunFiles.Documents, RunFiles.Curvature, RunFiles.Dictionary, RunFiles.Codes, RunFiles.Atoms, RunFiles.Report, "adapter/adapter_config.json", "adapter/adapter_model.safetensors"])
        {
            Assert.True(File.Exists(_audit.Folder[$"run/{file}"]), file);
        }

        Assert.False(Directory.Exists(_audit.Folder["run/gradients-raw"]) && Directory.EnumerateFiles(_audit.Folder["run/gradients-raw"]).Any());
        Assert.False(File.Exists(_audit.Folder["run/run.lock"]));
        var rows = DocumentsFile.Read(_audit.Folder["run/documents.parquet"]);
        Assert.Equal(ChatAudit.ChatCount, rows.Count);
        Assert.All(rows, row =>
        {
            Assert.Equal("used", row.Status);
            Assert.True(row.Loss > 0 && double.IsFinite(row.Loss!.Value));
            Assert.True(row.GradientNorm > 0 && double.IsFinite(row.GradientNorm!.Value));
        });
        var atoms = AtomsFile.Read(_audit.Folder["run/atoms.json"]);
        Assert.NotEmpty(atoms);
        Assert.All(atoms, atom => Assert.Equal(1, atom.Modules!.Sum(module => module.Share), 1e-6));
        Assert.Equal(File.ReadAllBytes(_audit.Folder["adapter/adapter_model.safetensors"]), File.ReadAllBytes(_audit.Folder["run/adapter/adapter_model.safetensors"]));
    }

    [Fact]
    public void Without_an_adapter_one_is_tuned_first_and_lowers_the_loss()
    {
        var options = _audit.Options() with { Adapter = null, Rank = 2, Alpha = 4, Epochs = 3, LearningRate = 1e-2, HeldOut = 0.2 };
        AuditPipeline.Run(options);
        var notes = _audit.Manifest().Stage("adapter")!.Notes;
        Assert.Equal("tuned", (string?)notes["source"]);
        Assert.True((double)notes["held_out_loss_after"]! < (double)notes["held_out_loss_before"]!, notes.ToJsonString());
        using var session = new RunSession(_audit.Folder["run"]);
        Assert.False(session.Adapter.ChangesNothing());
        using var moments = session.SecondMoments();
        Assert.Equal(session.Layout.Size, moments!.numel());
        Assert.True(RunVerifier.Verify(session.Folder).Passed);
    }

    [Fact]
    public void The_exported_codes_are_the_codes_of_the_run()
    {
        AuditPipeline.Run(_audit.Options());
        var path = _audit.Folder["codes.csv"];
        var run = CliRun.Of("export", "csv", _audit.Folder["run"], "--table", "codes", "--out", path);
        Assert.True(run.ExitCode == 0, run.Error);
        var lines = File.ReadAllLines(path);
        Assert.Equal("document,atom,code", lines[0]);
        using var session = new RunSession(_audit.Folder["run"]);
        var ids = session.Atoms.ToDictionary(atom => atom.Row, atom => atom.Id);
        var expected = Enumerable.Range(0, session.Codes.DocumentCount).SelectMany(document => session.Codes.AtomsOf(document).ToArray()
            .Zip(session.Codes.CodesOf(document).ToArray(), (atom, code) => $"{session.Texts[document].Id},{ids[atom]},{code.ToString("R", CultureInfo.InvariantCulture)}"));
        Assert.NotEmpty(expected);
        Assert.Equal(expected, lines[1..]);
    }

    [Fact]
    public void The_same_again_has_nothing_to_do()
    {
        AuditPipeline.Run(_audit.Options());
        var (before, hash) = (_audit.Outputs(), _audit.Manifest().ContentHash);
        Assert.True(AuditPipeline.Run(_audit.Options()).NothingToDo);
        Assert.Equal(before, _audit.Outputs());
        Assert.Equal(hash, _audit.Manifest().ContentHash);
    }

    [Fact]
    public void A_changed_penalty_redoes_the_dictionary_and_what_comes_after_only()
    {
        AuditPipeline.Run(_audit.Options());
        var result = AuditPipeline.Run(_audit.Options() with { Sparsity = 0.15 });
        Assert.Equal(["dictionary", "certificates", "atoms", "tokens", "report"], result.Stages.Where(stage => !stage.Decision.Reuse).Select(stage => stage.Decision.Stage));
        AuditPipeline.Run(_audit.Options("fresh") with { Sparsity = 0.15 });
        Assert.Equal(_audit.Outputs("fresh"), _audit.Outputs());
        Assert.Equal(_audit.Manifest("fresh").ContentHash, _audit.Manifest().ContentHash);
    }

    [Fact]
    public void Every_pole_says_whether_it_is_certified_and_why_not()
    {
        AuditPipeline.Run(_audit.Options());
        var poles = AtomsFile.Read(_audit.Folder["run/atoms.json"]).SelectMany(atom => atom.Poles).ToList();
        Assert.All(poles, pole =>
        {
            Assert.Equal(pole.Reasons!.Count == 0, pole.Certified);
            Assert.Equal(pole.Reasons.Contains("support", StringComparer.Ordinal), pole.Fdr is null);
        });
        Assert.Contains(poles, pole => pole is { Fdr: not null, Separation: not null, Recurrence: not null });
        var export = CliRun.Of("export", "csv", _audit.Folder["run"], "--table", "atoms", "--out", _audit.Folder["atoms.csv"]);
        Assert.True(export.ExitCode == 0, export.Error);
        var lines = File.ReadAllLines(_audit.Folder["atoms.csv"]);
        Assert.Contains(",certified,reasons,fdr,family_wise,separation,", lines[0], StringComparison.Ordinal);
        Assert.Equal(poles.Count, lines.Length - 1);
    }

    [Fact]
    public void Without_nulls_nothing_is_said_of_chance_and_the_report_says_so()
    {
        AuditPipeline.Run(_audit.Options());
        var result = AuditPipeline.Run(_audit.Options() with { Nulls = 0 });
        Assert.Equal(["certificates", "atoms", "tokens", "report"], result.Stages.Where(stage => !stage.Decision.Reuse).Select(stage => stage.Decision.Stage));
        Assert.All(AtomsFile.Read(_audit.Folder["run/atoms.json"]).SelectMany(atom => atom.Poles), pole => Assert.Null(pole.Certified));
        Assert.Contains("Whether a pole is more than chance is not tested in this run", File.ReadAllText(_audit.Folder["run/report.html"]), StringComparison.Ordinal);
    }

    [Fact]
    public void Certificates_that_were_stopped_go_on_with_the_next_dictionary()
    {
        AuditPipeline.Run(_audit.Options("whole") with { Nulls = 3 });
        var seen = new List<long>();
        using var stop = new CancellationTokenSource();
        Assert.ThrowsAny<OperationCanceledException>(() => AuditPipeline.Run(_audit.Options() with { Nulls = 3 }, progress: new Seen(seen, done => { if (done == 5) stop.Cancel(); }), cancellationToken: stop.Token));
        seen.Clear();
        AuditPipeline.Run(_audit.Options() with { Nulls = 3 }, progress: new Seen(seen, _ => { }));
        Assert.Equal(5, seen[0]);
        Assert.Equal(_audit.Outputs("whole"), _audit.Outputs());
    }

    private sealed class Seen(List<long> done, Action<long> then) : IProgress<StageProgress>
    {
        public void Report(StageProgress value)
        {
            if (value.Stage == "certificates")
            {
                done.Add(value.Done);
                then(value.Done);
            }
        }
    }

    [Fact]
    public void The_same_seed_gives_the_same_bytes_and_another_seed_others()
    {
        // Where an adapter is tuned the seed reaches every stage.
        var options = _audit.Options("first") with { Adapter = null, Rank = 2, Epochs = 1, LearningRate = 1e-2 };
        AuditPipeline.Run(options);
        AuditPipeline.Run(options with { Out = _audit.Folder["second"] });
        AuditPipeline.Run(options with { Out = _audit.Folder["other"], Seed = 1 });
        Assert.Equal(_audit.Outputs("first"), _audit.Outputs("second"));
        Assert.Equal(_audit.Manifest("first").ContentHash, _audit.Manifest("second").ContentHash);
        foreach (var file in (string[])["adapter/adapter_model.safetensors", RunFiles.Curvature, RunFiles.Dictionary, RunFiles.Codes, RunFiles.Atoms])
        {
            Assert.NotEqual(FileHash.OfFile(_audit.Folder[$"first/{file}"]), FileHash.OfFile(_audit.Folder[$"other/{file}"]));
        }
    }

    [Fact]
    public void Results_do_not_depend_on_how_documents_are_batched()
    {
        AuditPipeline.Run(_audit.Options());
        AuditPipeline.Run(_audit.Options("small") with { BatchTokens = 90 });
        var (one, other) = (DocumentsFile.Read(_audit.Folder["run/documents.parquet"]), DocumentsFile.Read(_audit.Folder["small/documents.parquet"]));
        foreach (var (left, right) in one.Zip(other))
        {
            Assert.Equal(left.Loss!.Value, right.Loss!.Value, 1e-4 * left.Loss.Value);
            Assert.Equal(left.GradientNorm!.Value, right.GradientNorm!.Value, 1e-4 * left.GradientNorm.Value);
        }
    }
}
