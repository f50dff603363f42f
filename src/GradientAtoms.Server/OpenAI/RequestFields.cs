using System.Text.Json;

namespace GradientAtoms.Server.OpenAI;

/// <summary>The fields of a request, each taken once; what nobody took and is not known to be harmless is refused by name.</summary>
internal sealed class RequestFields
{
    // They tell who asks and how the answer is kept, not what it is.
    private static readonly HashSet<string> Harmless = new(StringComparer.Ordinal)
    {
        "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "parallel_tool_calls",
    };

    // Fields that other servers know, with the values that ask for nothing.
    private static readonly Dictionary<string, Func<JsonElement, bool>> Neutral = new(StringComparer.Ordinal)
    {
        ["n"] = value => IsNumber(value, 1),
        ["best_of"] = value => IsNumber(value, 1),
        ["logprobs"] = value => value.ValueKind == JsonValueKind.False,
        ["echo"] = value => value.ValueKind == JsonValueKind.False,
        ["presence_penalty"] = value => IsNumber(value, 0),
        ["frequency_penalty"] = value => IsNumber(value, 0),
        ["repetition_penalty"] = value => IsNumber(value, 1),
        ["min_p"] = value => IsNumber(value, 0),
        ["logit_bias"] = value => value.ValueKind == JsonValueKind.Object && value.GetPropertyCount() == 0,
        ["tools"] = IsEmptyList,
        ["functions"] = IsEmptyList,
        ["tool_choice"] = value => value.ValueKind == JsonValueKind.String && value.GetString() is "none" or "auto",
        ["modalities"] = value => value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 1 && value[0].ValueKind == JsonValueKind.String && value[0].GetString() == "text",
        ["response_format"] = value => value.ValueKind == JsonValueKind.Object && value.TryGetProperty("type", out var type) && type.ValueKind == JsonValueKind.String && type.GetString() == "text",
    };

    private readonly Dictionary<string, JsonElement> _left;
    private readonly string _prefix;

    private RequestFields(JsonElement value, string prefix)
    {
        _prefix = prefix;
        _left = value.EnumerateObject().Where(field => field.Value.ValueKind != JsonValueKind.Null).ToDictionary(field => field.Name, field => field.Value, StringComparer.Ordinal);
    }

    public static RequestFields Of(JsonElement value, string? name = null) => value.ValueKind == JsonValueKind.Object
        ? new(value, name is null ? string.Empty : $"{name}.")
        : throw (name is null ? ServerException.NotJson("is no JSON object") : ServerException.Field(name, "must be an object"));

    public JsonElement? Take(string name) => _left.Remove(name, out var value) ? value : null;

    public string? Text(string name) => Take(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.String } text => StringOf(text, _prefix + name),
        _ => throw Wrong(name, "must be a string"),
    };

    public bool? Flag(string name) => Take(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        _ => throw Wrong(name, "must be true or false"),
    };

    public double? Number(string name) => Take(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Number } number when number.TryGetDouble(out var value) && double.IsFinite(value) => value,
        _ => throw Wrong(name, "must be a number"),
    };

    public long? Whole(string name) => Take(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Number } number when number.TryGetInt64(out var value) => value,
        _ => throw Wrong(name, "must be a whole number"),
    };

    public int? SmallWhole(string name) => Whole(name) switch
    {
        null => null,
        >= int.MinValue and <= int.MaxValue and var value => (int)value,
        _ => throw Wrong(name, "is out of range"),
    };

    public IReadOnlyList<string> Texts(string name) => Take(name) switch
    {
        null => [],
        { ValueKind: JsonValueKind.String } text => [StringOf(text, _prefix + name)],
        { ValueKind: JsonValueKind.Array } list => [.. list.EnumerateArray().Select(item => item.ValueKind == JsonValueKind.String ? StringOf(item, _prefix + name) : throw Wrong(name, "must be a string or a list of strings"))],
        _ => throw Wrong(name, "must be a string or a list of strings"),
    };

    /// <summary>Refuses what is left.</summary>
    public void Finish()
    {
        foreach (var (name, value) in _left)
        {
            if (_prefix.Length > 0 || !(Harmless.Contains(name) || (Neutral.TryGetValue(name, out var isNeutral) && isNeutral(value))))
            {
                throw ServerException.Unsupported(_prefix + name);
            }
        }
    }

    /// <summary>A JSON string, refused where it has half of a surrogate pair.</summary>
    public static string StringOf(JsonElement value, string name)
    {
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw ServerException.Field(name, "is no Unicode text: half of a surrogate pair");
        }
    }

    private ServerException Wrong(string name, string problem) => ServerException.Field(_prefix + name, problem);

    private static bool IsNumber(JsonElement value, double number) => value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var own) && own == number;

    private static bool IsEmptyList(JsonElement value) => value.ValueKind == JsonValueKind.Array && value.GetArrayLength() == 0;
}
