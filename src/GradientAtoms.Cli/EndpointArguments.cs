using System.CommandLine;
using GradientAtoms.Runs.Labels;

namespace GradientAtoms.Cli;

/// <summary>The options of an OpenAI-compatible endpoint, which <c>label</c> and <c>sweep</c> share.</summary>
/// <param name="model">The option of the chat model's name.</param>
/// <param name="sent">What is sent there, as the first words of a sentence.</param>
internal sealed class EndpointArguments(string model, string sent)
{
    private readonly Option<string?> _endpoint = Opt.Text("--endpoint", "URL", $"An OpenAI-compatible endpoint, such as http://localhost:11434/v1. {sent} are sent there. Without it nothing is sent, and what would be is shown.");
    private readonly Option<string?> _model = Opt.Text(model, "NAME", "The chat model's name at the endpoint.");
    private readonly Option<string?> _key = Opt.Text("--key-env", "VAR", "The environment variable that holds the endpoint's key.");
    private readonly Option<double?> _timeout = Opt.Duration("--timeout", "How long one reply may take: 30s, 5m. Default 2m.");

    public IReadOnlyList<Option> All => [_endpoint, _model, _key, _timeout];

    public string? ModelOf(ParseResult parse) => parse.GetValue(_model);

    public bool AreGiven(ParseResult parse) => All.Any(option => parse.GetResult(option) is { Implicit: false });

    /// <summary>The endpoint that was asked for; null without <c>--endpoint</c>.</summary>
    public EndpointOptions? Read(CommandContext context, string command)
    {
        var parse = context.Parse;
        if (parse.GetValue(_endpoint) is not { } address)
        {
            return null;
        }

        if (!Uri.TryCreate(address, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
        {
            throw UsageException.Arguments(command, $"--endpoint wants an address such as http://localhost:11434/v1, not '{Plain.Line(address)}'", "give the address of an OpenAI-compatible API");
        }

        if (ModelOf(parse) is not { } name)
        {
            throw UsageException.Combination(command, $"--endpoint needs {model}", "name the chat model that the endpoint is to use");
        }

        var key = parse.GetValue(_key);
        var secret = key is null ? null : context.Host.Variable(key);
        return key is not null && string.IsNullOrEmpty(secret)
            ? throw UsageException.Arguments(command, $"the environment variable {Plain.Line(key)} is not set", "set it to the endpoint's key, or name another with --key-env")
            : new() { Endpoint = uri, Model = name, Key = secret, Timeout = TimeSpan.FromSeconds(parse.GetValue(_timeout) ?? 120) };
    }
}
