using System.Text.Json.Nodes;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Stages;
using GradientAtoms.Runs.Verification;

namespace GradientAtoms.Tests.Runs;

public sealed class RunVerifierTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public RunVerifierTests()
    {
        using var run = RunFolder.Create(_folder["run"]);
        var runner = new StageRunner(run);
        runner.Run(new Stage
        {
            Name = "rows",
            Run = context =>
            {
                context.Blocks("rows", ".bin").Write(0, stream => stream.WriteByte(1));
                context.WriteText("rows.txt", "rows");
                context.Check("gradients/autograd", passed: true, "2e-7, allowed 1e-4");
            },
        });
        runner.Run(new Stage { Name = "codes", DependsOn = ["rows"], Run = context => context.WriteText("codes.txt", "codes") });
    }

    public void Dispose() => _folder.Dispose();

    private VerificationReport Verify() => RunVerifier.Verify(RunFolder.OpenRead(_folder["run"]));

    [Fact]
    public void A_run_as_it_was_made_passes()
    {
        var report = Verify();
        Assert.True(report.Passed);
        Assert.Equal(["rows.txt", "rows/block-00000.bin", "codes.txt"], report.Files.Select(file => file.Path));
        Assert.Equal("gradients/autograd", Assert.Single(report.Checks).Check.Name);
    }

    [Fact]
    public void A_changed_byte_and_a_missing_file_are_named()
    {
        File.WriteAllText(_folder["run/rows.txt"], "sows");
        File.Delete(_folder["run/codes.txt"]);
        File.WriteAllText(_folder["run/rows/block-00000.bin"], "longer");
        var report = Verify();
        Assert.False(report.Passed);
        Assert.Equal([("rows.txt", FileState.Changed), ("rows/block-00000.bin", FileState.Changed), ("codes.txt", FileState.Missing)], report.Files.Select(file => (file.Path, file.State)));
        Assert.Equal("6 bytes, recorded 1", report.Files[1].Detail);
    }

    [Fact]
    public void An_edited_manifest_is_seen()
    {
        var json = JsonNode.Parse(File.ReadAllText(_folder["run/run.json"]))!;
        json["stages"]![0]!["checks"]![0]!["passed"] = false;
        File.WriteAllText(_folder["run/run.json"], json.ToJsonString());
        var report = Verify();
        Assert.False(report.ManifestIntact);
        Assert.False(report.Passed);
    }

    [Fact]
    public void A_stage_that_read_something_else_than_what_is_there_is_seen()
    {
        using (var run = RunFolder.Open(_folder["run"]))
        {
            new StageRunner(run).Run(new Stage { Name = "rows", Version = 2, Run = context => context.WriteText("rows.txt", "other") });
        }

        var report = Verify();
        Assert.All(report.Files, file => Assert.Equal(FileState.Ok, file.State));
        Assert.False(report.ChainIntact);
        Assert.False(report.Passed);
    }

    [Fact]
    public void A_failed_self_check_and_an_unfinished_stage_fail_the_run()
    {
        using (var run = RunFolder.Open(_folder["run"]))
        {
            var runner = new StageRunner(run);
            runner.Run(new Stage { Name = "check", Run = context => context.Check("sign", passed: false, "-0.1, expected above 0") });
            Assert.Throws<InvalidDataException>(() => runner.Run(new Stage { Name = "late", Run = context => { context.WriteText("late.txt", ""); throw new InvalidDataException(); } }));
        }

        var report = Verify();
        Assert.False(report.Passed);
        Assert.Equal("sign", report.Checks.Single(check => !check.Check.Passed).Check.Name);
        Assert.Equal(["late: failed"], report.Unfinished);
    }
}
