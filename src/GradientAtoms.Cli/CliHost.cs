using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Globalization;
using System.Reflection;
using GradientAtoms.Cli.Commands;

namespace GradientAtoms.Cli;

/// <summary>The command line without the process around it: writers, terminal and environment are given, an exit code comes back.</summary>
internal sealed record CliHost
{
    /// <summary>Results.</summary>
    public required TextWriter Out { get; init; }

    /// <summary>Everything else.</summary>
    public required TextWriter Error { get; init; }

    /// <summary>Whether a person sees what is written to <see cref="Out"/>.</summary>
    public bool OutIsTerminal { get; init; }

    /// <summary>Whether a person sees what is written to <see cref="Error"/>, as it comes.</summary>
    public bool ErrorIsTerminal { get; init; }

    /// <summary>An environment variable's value, or null.</summary>
    public Func<string, string?> Variable { get; init; } = Environment.GetEnvironmentVariable;

    /// <summary>The clock of the ladder.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Resident memory of the process, in bytes.</summary>
    public Func<long> ResidentBytes { get; init; } = () => Environment.WorkingSet;

    /// <summary>Columns of the terminal that shows <see cref="Out"/>; null where there is none.</summary>
    public int? Width { get; init; }

    /// <summary>Where the details of an unexpected failure go.</summary>
    public string CrashFolder { get; init; } = Path.GetTempPath();

    /// <summary>Colours: not where NO_COLOR is set (no-color.org), nor on a dumb terminal.</summary>
    public bool Colours => string.IsNullOrEmpty(Variable("NO_COLOR")) && Variable("TERM") != "dumb";

    /// <summary>The host of the real console.</summary>
    public static CliHost ForConsole() => new()
    {
        Out = Console.Out,
        Error = Console.Error,
        OutIsTerminal = !Console.IsOutputRedirected,
        ErrorIsTerminal = !Console.IsErrorRedirected,
        Width = Console.IsOutputRedirected ? null : Console.WindowWidth,
    };

    /// <summary>The version, as <c>--version</c> prints it.</summary>
    public static string Version { get; } =
        typeof(CliHost).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    /// <summary>Every command.</summary>
    public static IReadOnlyList<GatomsCommand> Commands() =>
    [
        DemoCommand.Create(), AuditCommand.Create(), PlanCommand.Create(), SubmitCommand.Create(), TuneCommand.Create(), InspectCommand.Create(), AtomsCommand.Create(), TokensCommand.Create(),
        DocsCommand.Create(), SteerCommand.Create(), SweepCommand.Create(), ExportCommand.Create(), ServeCommand.Create(), LabelCommand.Create(), TimelineCommand.Create(), VerifyCommand.Create(), DoctorCommand.Create(),
    ];

    /// <summary>Parses, runs, prints.</summary>
    /// <param name="arguments">The command line without the program's name.</param>
    /// <param name="cancellationToken">An interruption.</param>
    /// <returns>The exit code.</returns>
    public int Run(IReadOnlyList<string> arguments, CancellationToken cancellationToken = default) => Run(arguments, Commands(), cancellationToken);

    /// <summary>The same for given commands.</summary>
    internal int Run(IReadOnlyList<string> arguments, IReadOnlyList<GatomsCommand> commands, CancellationToken cancellationToken)
    {
        var root = new RootCommand("Finds what fine-tuning taught a language model: the atoms that its documents' gradients share, and the step that turns each up or down.");
        root.SetAction(parse => new HelpAction().Invoke(parse));
        foreach (var option in root.Options.OfType<HelpOption>())
        {
            option.Action = new HelpWithExamples();
        }

        foreach (var command in commands)
        {
            root.Add(command);
            command.SetAction(parse => RunBody(command, parse, cancellationToken));
        }

        // A response file would let '@' in a prompt read a file.
        var parsed = root.Parse(arguments, new() { ResponseFileTokenReplacer = null });
        if (parsed.Errors.Count > 0 && parsed.Action is ParseErrorAction or null)
        {
            var json = arguments.TakeWhile(argument => argument != "--").Contains("--json", StringComparer.Ordinal);
            return Fail(UsageMessage.From(parsed, root), json);
        }

        return parsed.Invoke(new() { Output = Out, Error = Error, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
    }

    private int RunBody(GatomsCommand command, ParseResult parse, CancellationToken cancellationToken)
    {
        var json = parse.GetValue(command.Json);
        try
        {
            command.Body(new CommandContext(this, command, parse, cancellationToken));
            return ExitCode.Done;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return Interrupted(command, json);
        }
        catch (GradientAtomsException error)
        {
            return Fail(error, json);
        }
        catch (Exception exception) when (SystemFault.From(exception) is { } error)
        {
            return Fail(error, json);
        }
#pragma warning disable CA1031 // The last line of defence: nobody is shown a bare exception.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            return Crash(command, exception, json, parse.GetValue(command.Verbose));
        }
    }

    private int Fail(GradientAtomsException error, bool json)
    {
        var code = ExitCode.Of(error);
        ErrorText.Write(this, $"error {error.Code}", error.Location, error.Problem, error.Remedy);
        WriteJsonError(json, new(error.Code, error.Location, error.Problem, error.Remedy, code));
        return code;
    }

    private int Interrupted(GatomsCommand command, bool json)
    {
        var remedy = command.Continues ? "the same command continues from here" : "run the command again";
        Error.WriteLine($"interrupted: {remedy}");
        WriteJsonError(json, new("interrupted", $"gatoms {command.Name}", "interrupted", remedy, ExitCode.Interrupted));
        return ExitCode.Interrupted;
    }

    private int Crash(GatomsCommand command, Exception exception, bool json, bool verbose)
    {
        var details = $"gatoms {Version}, {command.Name}\n{Environment.OSVersion}\n{exception}\n";
        var problem = "failed unexpectedly: a fault of gatoms, not of the input";
        var remedy = "please report it with the details";
        try
        {
            var stamp = Time.GetUtcNow().ToString("yyyyMMdd-HHmmss", CultureInfo.InvariantCulture);
            var path = Path.Combine(CrashFolder, $"gatoms-crash-{stamp}-{Environment.ProcessId.ToString(CultureInfo.InvariantCulture)}.txt");
            File.WriteAllText(path, details);
            remedy += $" in {path}";
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            remedy += ", which --verbose prints";
        }

        ErrorText.Write(this, "error", $"gatoms {command.Name}", problem, command.Continues ? $"{remedy}; what is done is kept" : remedy);
        if (verbose)
        {
            Error.WriteLine(details);
        }

        WriteJsonError(json, new("unexpected", $"gatoms {command.Name}", problem, remedy, ExitCode.Unexpected));
        return ExitCode.Unexpected;
    }

    private void WriteJsonError(bool json, ErrorObject error)
    {
        if (json)
        {
            Out.WriteLine(CommandContext.Json("gatoms/error", error));
        }
    }

    private sealed record ErrorObject(string Code, string Location, string Problem, string Remedy, int ExitCode);
}
