using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace GradientAtoms.Cli;

/// <summary>What a command's body gets: its arguments, where to print, and the ladder of stages.</summary>
internal sealed class CommandContext(CliHost host, GatomsCommand command, ParseResult parse, CancellationToken cancellationToken)
{
    internal static readonly JsonSerializerOptions JsonOptions = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        WriteIndented = true,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };

    public CliHost Host => host;

    public ParseResult Parse => parse;

    public CancellationToken CancellationToken => cancellationToken;

    public bool IsJson => parse.GetValue(command.Json);

    public bool IsQuiet => parse.GetValue(command.Quiet);

    /// <summary>Prints a result: one JSON object with <c>--json</c>, else text.</summary>
    /// <param name="schema">Such as <c>gatoms/atoms</c>.</param>
    /// <param name="result">Its properties follow <c>schema</c> and <c>version</c>; null ones are absent.</param>
    /// <param name="text">Prints it for a reader.</param>
    public void Print<T>(string schema, T result, Action<TextWriter> text)
    {
        if (IsJson)
        {
            host.Out.WriteLine(Json(schema, result));
        }
        else
        {
            text(host.Out);
        }
    }

    /// <summary>A line for the reader beside the result: on stderr, and not with <c>--quiet</c>.</summary>
    public void Hint(string line)
    {
        if (!IsQuiet)
        {
            host.Error.WriteLine(line);
        }
    }

    /// <summary>Does work under a ladder of stages.</summary>
    public T Track<T>(Func<ConsoleLadder, T> work)
    {
        var ladder = new ConsoleLadder(host, IsQuiet);
        return ladder.Run(() => work(ladder));
    }

    internal static string Json<T>(string schema, T result)
    {
        var json = new JsonObject { ["schema"] = schema, ["version"] = 1 };
        foreach (var (name, value) in JsonSerializer.SerializeToNode(result, JsonOptions)!.AsObject().ToArray())
        {
            json[name] = value?.DeepClone();
        }

        return json.ToJsonString(JsonOptions);
    }
}
