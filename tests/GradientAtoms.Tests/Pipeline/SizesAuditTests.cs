using System.Text.Json.Nodes;
using GradientAtoms.Certificates;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Tests.Cli;
using GradientAtoms.Tests.Support;

namespace GradientAtoms.Tests.Pipeline;

/// <summary><c>--atoms auto --sparsity auto</c> in a run: tried, chosen, kept, shown, and continued where it was stopped.</summary>
public sealed class SizesAuditTests : IDisposable
{
    private readonly ChatAudit _audit = new();

    public void Dispose() => _audit.Dispose();

    [Fact]
    public void Sizes_that_are_tried_are_kept_and_shown_and_an_audit_stopped_among_them_goes_on_to_the_same_bytes()
    {
        var options = _audit.Options() with { Atoms = null, Auto = SizeQuestion.Atoms };
        var told = new List<(long Done, long Total)>();
        AuditPipeline.Run(options, progress: new Watch(progress =>
        {
            if (progress.Stage == "sizes")
            {
                told.Add((progress.Done, progress.Total));
            }
        }));
        using (var source = new CancellationTokenSource())
        {
            Assert.Throws<OperationCanceledException>(() => AuditPipeline.Run(options with { Out = _audit.Folder["stopped"] }, progress: new Watch(progress =>
            {
                if (progress is { Stage: "sizes", Done: 3 })
                {
                    source.Cancel();
                }
            }), cancellationToken: source.Token));
        }

        var after = new List<long>();
        AuditPipeline.Run(options with { Out = _audit.Folder["stopped"] }, progress: new Watch(progress =>
        {
            if (progress.Stage == "sizes")
            {
                after.Add(progress.Done);
            }
        }));
        Assert.Equal(3, after[0]); // three sizes were not tried again
        Assert.Equal(_audit.Outputs(), _audit.Outputs("stopped"));

        using var run = GradientAtoms.Runs.RunFolder.OpenRead(options.Out);
        var sizes = SizesFile.Read(run)!;
        var dictionary = run.Manifest.Stage("dictionary")!.Notes;
        Assert.Equal(sizes.Chosen.Atoms, (int)dictionary["atoms"]!);
        Assert.Equal(told[^1].Done, sizes.Points.Count);
        var inspected = CliRun.Of("inspect", options.Out);
        Assert.Contains("sizes tried: of ", inspected.Out.Replace("no pole stays at any of", "of", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Equal(sizes.Points.Count, JsonNode.Parse(CliRun.Of("inspect", options.Out, "--json").Out)!["sizes"]!["points"]!.AsArray().Count);
        Assert.Contains("Poles that stay, by atoms and penalty", File.ReadAllText(Path.Combine(options.Out, "report.html")), StringComparison.Ordinal);

        // With the number given, nothing is tried and nothing of it is shown.
        AuditPipeline.Run(options with { Auto = SizeQuestion.None, Atoms = 6 });
        Assert.DoesNotContain("Poles that stay", File.ReadAllText(Path.Combine(options.Out, "report.html")), StringComparison.Ordinal);
    }

    [Fact]
    public void Auto_is_read_for_atoms_and_penalty_and_rubbish_is_refused()
    {
        string[] audit = ["plan", "--model", _audit.Model, "--adapter", _audit.Adapter, "--data", _audit.Data, "--out", _audit.Folder["planned"], "--no-probe", "--json"];
        JsonNode Plan(params string[] more) => JsonNode.Parse(CliRun.Of([.. audit, .. more]).Out)!;
        bool TriesSizes(JsonNode plan) => plan["stages"]!.AsArray().Any(stage => (string)stage!["name"]! == "sizes");
        Assert.False(TriesSizes(Plan()));
        Assert.True(TriesSizes(Plan("--atoms", "auto")));
        Assert.True(TriesSizes(Plan("--atoms", "8", "--sparsity", "auto")));
        Assert.Equal(8, (int)Plan("--atoms", "8", "--sparsity", "auto")["atoms"]!);
        foreach (var wrong in (string[])["0", "-1", "NaN", "automatic"])
        {
            Assert.Contains("--sparsity wants auto or a number above 0", CliRun.Of([.. audit, "--sparsity", wrong]).Out, StringComparison.Ordinal);
        }
    }

    private sealed class Watch(Action<StageProgress> look) : IProgress<StageProgress>
    {
        public void Report(StageProgress value) => look(value);
    }
}
