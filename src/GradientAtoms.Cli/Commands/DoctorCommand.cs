namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms doctor</c>: the machine and the native libraries.</summary>
internal static class DoctorCommand
{
    public static GatomsCommand Create()
    {
        var command = new GatomsCommand(
            "doctor",
            "Checks the machine and the native libraries, and says how to put right what is wrong.",
            "gatoms doctor");
        command.Body = _ => throw UsageException.NotYet("gatoms doctor", "the check");
        return command.Finished();
    }
}
