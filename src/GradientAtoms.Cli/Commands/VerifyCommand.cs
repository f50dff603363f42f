using System.CommandLine;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms verify</c>: recomputes checksums.</summary>
internal static class VerifyCommand
{
    public static GatomsCommand Create()
    {
        var run = new Argument<string>("RUN") { Description = "The run folder." };
        var command = new GatomsCommand(
            "verify",
            "Recomputes every checksum of a run and the recorded self-checks.",
            "gatoms verify runs/mine")
        {
            run,
        };
        command.Body = _ => throw UsageException.NotYet("gatoms verify", "verification");
        return command.Finished();
    }
}
