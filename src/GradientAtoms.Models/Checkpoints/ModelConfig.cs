using System.Text.Json;

namespace GradientAtoms.Models.Checkpoints;

/// <summary>A JSON file of a model folder with typed, checked look-ups: every error names the file and the key.</summary>
internal sealed class ModelConfig
{
    private readonly JsonElement _root;
    private readonly string _prefix;
    private readonly ModelConfig? _whole;
    private readonly string[] _inherited = [];

    private ModelConfig(string location, JsonElement root, string prefix = "") => (Location, _root, _prefix) = (location, root, prefix);

    private ModelConfig(ModelConfig whole, JsonElement root, string prefix, string[] inherited)
        : this(whole.Location, root, prefix) => (_whole, _inherited) = (whole, inherited);

    /// <summary>The file.</summary>
    public string Location { get; }

    /// <summary>Reads a file.</summary>
    /// <exception cref="CheckpointException">GA2320: it is missing or no JSON object.</exception>
    public static ModelConfig Read(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? new(path, document.RootElement.Clone())
                : throw new CheckpointException("GA2320", path, "is no JSON object", "Fetch it again.");
        }
        catch (Exception exception) when (exception is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(
                "GA2320", path, exception is FileNotFoundException or DirectoryNotFoundException ? "there is no such file" : $"cannot be read ({exception.Message})",
                "Fetch the whole model: its folder holds config.json beside the weights.", exception);
        }
    }

    /// <summary>The object under a key, or null where it is absent or null.</summary>
    public ModelConfig? Object(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Object } value => new(Location, value, $"{_prefix}{key}."),
        _ => throw Wrong(key, "an object"),
    };

    /// <summary>The object under a key, as a configuration that takes some keys from this one where it lacks them; or null.</summary>
    public ModelConfig? Part(string key, params string[] inherited) => Find(key) is { ValueKind: JsonValueKind.Object } value ? new(this, value, $"{_prefix}{key}.", inherited) : null;

    /// <summary>Whether the key is there, be it with null.</summary>
    public bool Contains(string key) => _root.TryGetProperty(key, out _);

    /// <summary>A list of strings, or null.</summary>
    public IReadOnlyList<string>? Strings(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Array } value => [.. value.EnumerateArray().Select(item => item.ValueKind == JsonValueKind.String ? item.GetString()! : throw Wrong(key, "a list of strings"))],
        _ => throw Wrong(key, "a list of strings"),
    };

    /// <summary>A list of numbers, or null.</summary>
    public IReadOnlyList<double>? Numbers(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Array } value => [.. value.EnumerateArray().Select(item => item.ValueKind == JsonValueKind.Number && item.TryGetDouble(out var number) ? number : throw Wrong(key, "a list of numbers"))],
        _ => throw Wrong(key, "a list of numbers"),
    };

    /// <summary>A number above 0, or null.</summary>
    public double? Positive(string key) => Number(key) switch
    {
        null => null,
        > 0 and var number => number,
        _ => throw Wrong(key, "a positive number"),
    };

    public string? String(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } value => value.GetString(),
        _ => throw Wrong(key, "a string"),
    };

    public bool? Boolean(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        _ => throw Wrong(key, "true or false"),
    };

    public double? Number(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Number } value when value.TryGetDouble(out var number) && double.IsFinite(number) => number,
        _ => throw Wrong(key, "a number"),
    };

    /// <summary>A size: at least 1, at most 2³¹ − 1.</summary>
    public int? Size(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Number } value when value.TryGetInt32(out var number) && number > 0 => number,
        _ => throw Wrong(key, "a positive whole number"),
    };

    public int RequiredSize(string key) => Size(key) ?? throw Missing(key);

    /// <summary>One id or several.</summary>
    public IReadOnlyList<int> Ids(string key)
    {
        static int? Id(JsonElement value) => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var id) ? id : null;
        return Find(key) switch
        {
            null => [],
            { ValueKind: JsonValueKind.Array } value => [.. value.EnumerateArray().Select(item => Id(item) ?? throw Wrong(key, "token ids"))],
            { } value => [Id(value) ?? throw Wrong(key, "a token id")],
        };
    }

    public CheckpointException Missing(string key) => new("GA2321", Location, $"lacks {_prefix}{key}", "Fetch the original config.json of the model.");

    public CheckpointException Unsupported(string key, string found, string known) =>
        new("GA2323", Location, $"{_prefix}{key} is {found}; known are {known}", "This model cannot be audited yet.");

    private CheckpointException Wrong(string key, string expected) =>
        new("GA2321", Location, $"{_prefix}{key} should be {expected} and is {Find(key)?.GetRawText()}", "Fetch the original config.json of the model.");

    private JsonElement? Find(string key) =>
        _root.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? value : _inherited.Contains(key, StringComparer.Ordinal) ? _whole?.Find(key) : null;
}
