using System.Text.Json;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Runs.Formats;

/// <summary>
/// Which tokens of a document carry its projection on a pole, (±w·d)/‖w‖ with the pole's sign: above 0 is towards the pole.
/// </summary>
public sealed record TokenEvidence
{
    /// <summary>The pole's id.</summary>
    public required string Pole { get; init; }

    /// <summary>The document's id.</summary>
    public required string Document { get; init; }

    /// <summary>The projection, −1 to 1.</summary>
    public required double Projection { get; init; }

    /// <summary><c>[T]</c>: the text of each token; empty where a character ends with a later one.</summary>
    public required IReadOnlyList<string> Tokens { get; init; }

    /// <summary><c>[T]</c>: 1 where the loss counts.</summary>
    public required IReadOnlyList<int> Trained { get; init; }

    /// <summary><c>[T]</c>: the part of each position; they add up to the projection.</summary>
    public required IReadOnlyList<float> Position { get; init; }

    /// <summary><c>[T]</c>: the part of each token's loss; they add up to the projection too. Null where not computed.</summary>
    public IReadOnlyList<float>? Loss { get; init; }

    /// <summary>The part of each module, in forward order; they add up to the projection.</summary>
    public required IReadOnlyList<float> Modules { get; init; }
}

/// <summary>Reads and writes <c>tokens.jsonl</c>: a line with the names of the modules, then one for each document of each pole.</summary>
public static class TokensFile
{
    /// <summary>Its name in a run.</summary>
    public const string Name = "tokens.jsonl";

    private const string SchemaName = "gatoms/tokens";
    private const int NewestVersion = 1;

    /// <summary>Whether a run has them: not where its atoms are of sketches, nor where it was made before they were kept.</summary>
    public static bool IsThere(RunFolder run)
    {
        ArgumentNullException.ThrowIfNull(run);
        return run.Manifest.Stage(TokensStage.Name)?.Outputs.Any(output => output.Path == Name) == true;
    }

    /// <summary>The modules that <see cref="TokenEvidence.Modules"/> is of.</summary>
    /// <exception cref="RunFolderException">GA2605 it is of a newer version; GA2607 it is missing; GA2609 it cannot be read.</exception>
    public static IReadOnlyList<string> ReadModules(RunFolder run)
    {
        using var reader = Open(run, out var path);
        return ReadHeader(reader, path).Modules;
    }

    /// <summary>Every line, pole by pole in the order of <c>atoms.json</c>, a pole's strongest document first.</summary>
    /// <exception cref="RunFolderException">GA2605 it is of a newer version; GA2607 it is missing; GA2609 it cannot be read.</exception>
    public static IEnumerable<TokenEvidence> Read(RunFolder run)
    {
        using var reader = Open(run, out var path);
        var modules = ReadHeader(reader, path).Modules.Count;
        while (reader.ReadLine() is { } line)
        {
            yield return Parse<TokenEvidence>(line, path) is { Pole: not null, Document: not null, Tokens: not null } evidence
                && evidence.Position?.Count == evidence.Tokens.Count && evidence.Trained?.Count == evidence.Tokens.Count && evidence.Modules?.Count == modules
                && (evidence.Loss is null || evidence.Loss.Count == evidence.Tokens.Count)
                ? evidence
                : throw FormatGuard.Damaged(path, "a line lacks tokens");
        }
    }

    /// <summary>The first line, with its end.</summary>
    internal static string Header(IReadOnlyList<string> modules) => JsonSerializer.Serialize(new TokensHeader(SchemaName, NewestVersion, modules), RunJson.Compact) + "\n";

    /// <summary>Any other line, with its end.</summary>
    internal static string Line(TokenEvidence evidence) => JsonSerializer.Serialize(evidence, RunJson.Compact) + "\n";

    private static StreamReader Open(RunFolder run, out string path)
    {
        ArgumentNullException.ThrowIfNull(run);
        return new(FormatGuard.Open(path = run.Need(Name)));
    }

    private static TokensHeader ReadHeader(StreamReader reader, string path)
    {
        var header = Parse<TokensHeader>(reader.ReadLine() ?? "", path);
        return header is not { Schema: SchemaName, Modules: not null } ? throw FormatGuard.Damaged(path, $"does not begin with {SchemaName}")
            : header.Version == NewestVersion ? header
            : throw FormatGuard.OtherVersion(path, header.Version, NewestVersion);
    }

    private static T? Parse<T>(string line, string path)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(line, RunJson.Compact);
        }
        catch (JsonException exception)
        {
            throw FormatGuard.Damaged(path, exception.Message, exception);
        }
    }

    private sealed record TokensHeader(string Schema, int Version, IReadOnlyList<string> Modules);
}
