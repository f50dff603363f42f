using System.CommandLine;

namespace GradientAtoms.Cli;

/// <summary>A command with the options that all have, its examples, and what it does.</summary>
internal sealed class GatomsCommand : Command
{
    /// <summary>Makes it.</summary>
    /// <param name="name">The verb.</param>
    /// <param name="description">One sentence or two, in the field's words.</param>
    /// <param name="examples">Whole command lines.</param>
    public GatomsCommand(string name, string description, params string[] examples)
        : base(name, description)
    {
        Examples = examples;
    }

    public IReadOnlyList<string> Examples { get; }

    public Option<bool> Json { get; } = new("--json") { Description = "One JSON object on stdout, with schema and version, instead of text." };

    public Option<bool> Quiet { get; } = new("--quiet", "-q") { Description = "No progress and no hints; errors only." };

    public Option<bool> Verbose { get; } = new("--verbose", "-v") { Description = "Details of an unexpected failure on stderr." };

    /// <summary>True where the same command continues what an interruption left.</summary>
    public bool Continues { get; init; }

    /// <summary>What the command does. Set by the file that declares it.</summary>
    public Action<CommandContext> Body { get; set; } = _ => { };

    /// <summary>Adds the options that all commands have, last in the list.</summary>
    public GatomsCommand Finished()
    {
        Options.Add(Json);
        Options.Add(Quiet);
        Options.Add(Verbose);
        return this;
    }
}
