using Spectre.Console;

namespace GradientAtoms.Cli;

/// <summary>How an error looks: its code and place, what is wrong, what to do.</summary>
internal static class ErrorText
{
    /// <summary>Writes three lines to the host's stderr, the first in colour where a person sees it.</summary>
    public static void Write(CliHost host, string head, string location, string problem, string remedy)
    {
        if (host is { ErrorIsTerminal: true, Colours: true })
        {
            var console = AnsiConsole.Create(new() { Out = new AnsiConsoleOutput(host.Error), Ansi = AnsiSupport.Yes, Interactive = InteractionSupport.No });
            console.Profile.Width = int.MaxValue / 2;
            console.Write(new Spectre.Console.Text($"{head}:", new Style(Color.Red, decoration: Decoration.Bold)));
            host.Error.WriteLine($" {Plain.Line(location)}");
        }
        else
        {
            host.Error.WriteLine($"{head}: {Plain.Line(location)}");
        }

        host.Error.WriteLine($"  {Plain.Line(problem)}");
        host.Error.WriteLine($"  fix: {Plain.Line(remedy)}");
    }
}
