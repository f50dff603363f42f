using System.CommandLine;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Verification;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms verify</c>: recomputes checksums.</summary>
internal static class VerifyCommand
{
    public static GatomsCommand Create()
    {
        var run = new Argument<string>("RUN") { Description = "The run folder." };
        var command = new GatomsCommand(
            "verify",
            "Recomputes every checksum of a run and looks at its recorded self-checks. Exit code 3 where something differs.",
            "gatoms verify runs/mine",
            "gatoms verify runs/mine --json")
        {
            run,
        };
        command.Body = context =>
        {
            var path = context.Parse.GetRequiredValue(run);
            using var folder = RunFolder.OpenRead(path);
            var report = context.Track(ladder => RunVerifier.Verify(folder, ladder, context.CancellationToken));
            context.Print("gatoms/verify", new { Run = path, report.Passed, report.ContentHash, report.ManifestIntact, report.ChainIntact, report.Unfinished, report.Files, report.Checks }, writer => Write(writer, report));
            if (!report.Passed)
            {
                throw new RunFolderException("GA2690", path, Problem(report), "restore the files, or run the audit again: it redoes what differs");
            }
        };
        return command.Finished();
    }

    private static void Write(TextWriter writer, VerificationReport report)
    {
        var table = new TextTable("stage", "file", "state", "detail");
        foreach (var file in report.Files.OrderBy(file => file.State == FileState.Ok))
        {
            table.Add(file.Stage, file.Path, file.State.ToString().ToLowerInvariant(), file.Detail ?? string.Empty);
        }

        table.Write(writer);
        foreach (var (stage, check) in report.Checks.Select(check => (check.Stage, check.Check)))
        {
            writer.WriteLine($"self-check {stage}/{check.Name}: {(check.Passed ? "passed" : "FAILED")} ({Plain.Line(check.Detail)})");
        }

        foreach (var unfinished in report.Unfinished)
        {
            writer.WriteLine($"not done: {unfinished}");
        }

        writer.WriteLine($"content hash {report.ContentHash}");
        if (report.Passed)
        {
            writer.WriteLine($"{Plain.Count(report.Files.Count)} files are as they were recorded, {Plain.Count(report.Checks.Count)} self-checks held.");
        }
    }

    private static string Problem(VerificationReport report)
    {
        var problems = new List<string>();
        void Add(int count, string what)
        {
            if (count > 0)
            {
                problems.Add($"{Plain.Count(count)} {what}");
            }
        }

        Add(report.Files.Count(file => file.State == FileState.Missing), "files missing");
        Add(report.Files.Count(file => file.State == FileState.Changed), "files changed");
        Add(report.Checks.Count(check => !check.Check.Passed), "self-checks failed");
        Add(report.Unfinished.Count, "stages not done");
        if (!report.ManifestIntact)
        {
            problems.Add("run.json was changed by hand");
        }

        if (!report.ChainIntact)
        {
            problems.Add("a stage was made from another one's earlier result");
        }

        return string.Join(", ", problems);
    }
}
