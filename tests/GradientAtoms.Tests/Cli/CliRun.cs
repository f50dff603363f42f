using GradientAtoms.Cli;

namespace GradientAtoms.Tests.Cli;

/// <summary>A command run in this process, and what it printed.</summary>
internal sealed record CliRun(int ExitCode, string Out, string Error)
{
    public static CliRun Of(params string[] arguments) => Of(arguments, null);

    public static CliRun Of(string[] arguments, IReadOnlyList<GatomsCommand>? commands, string? crashFolder = null, CancellationToken cancellationToken = default)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var host = new CliHost { Out = output, Error = error, Variable = _ => null, CrashFolder = crashFolder ?? Path.GetTempPath() };
        var code = commands is null ? host.Run(arguments, cancellationToken) : host.Run(arguments, commands, cancellationToken);
        return new(code, output.ToString(), error.ToString());
    }
}
