using System.Globalization;
using System.Text.Json;

namespace GradientAtoms.Text.Documents;

/// <summary>Why a row cannot be used; becomes a <see cref="RejectedRow"/>.</summary>
internal sealed class RowFault(string reason) : Exception(reason);

/// <summary>One row, as parsed JSON, to one document.</summary>
internal sealed class RowParser(RowMap map, PreferenceSide side)
{
    private static readonly HashSet<string> TurnKeys = new(StringComparer.Ordinal) { "role", "from", "content", "value", "train", "weight" };

    /// <summary>Makes the document.</summary>
    /// <param name="row">The row.</param>
    /// <param name="shape">Its layout.</param>
    /// <param name="line">Where it stands; its id where it has none.</param>
    /// <exception cref="RowFault">The row cannot be used.</exception>
    public Document Parse(JsonElement row, DocumentShape shape, int line)
    {
        var id = Id(row) ?? line.ToString(CultureInfo.InvariantCulture);
        if (shape == DocumentShape.Text)
        {
            var text = Text(Need(row, "text"), map.NameOf("text"));
            return text.AsSpan().IsWhiteSpace() ? throw new RowFault($"'{map.NameOf("text")}' is empty") : new(id, line) { Text = text, Source = map.SourceOf(row) };
        }

        List<ChatMessage> messages = shape switch
        {
            DocumentShape.Messages => Turns(Need(row, "messages"), map.NameOf("messages")),
            DocumentShape.Conversations => Turns(Need(row, "conversations"), map.NameOf("conversations")),
            DocumentShape.Preference => Preference(row),
            DocumentShape.PromptCompletion => [.. Side(Need(row, "prompt"), "prompt", "user"), .. Side(Need(row, "completion"), "completion", "assistant")],
            _ => Instruction(row),
        };
        if (map.TryGet(row, "system", out var system) && Text(system, map.NameOf("system")) is { Length: > 0 } preamble && messages is not [{ Role: "system" }, ..])
        {
            messages.Insert(0, new("system", preamble));
        }

        Check(messages);
        return new(id, line) { Messages = messages, Tools = Tools(row), Source = map.SourceOf(row) };
    }

    private string? Id(JsonElement row)
    {
        if (!map.TryGet(row, "id", out var id))
        {
            return null;
        }

        return id.ValueKind switch
        {
            JsonValueKind.String => id.GetString() is { Length: > 0 } text ? text : null,
            JsonValueKind.Number => id.GetRawText(),
            _ => throw new RowFault($"'{map.NameOf("id")}' is neither a string nor a number"),
        };
    }

    /// <summary>Tools as a list, or as a string that holds one.</summary>
    private List<object?>? Tools(JsonElement row)
    {
        if (!map.TryGet(row, "tools", out var tools))
        {
            return null;
        }

        if (tools.ValueKind == JsonValueKind.String)
        {
            try
            {
                using var inner = JsonDocument.Parse(tools.GetString()!);
                return inner.RootElement.ValueKind == JsonValueKind.Array ? (List<object?>)JsonValues.From(inner.RootElement)! : null;
            }
            catch (JsonException)
            {
                return null; // prose about tools is not a list of tools
            }
        }

        return tools.ValueKind == JsonValueKind.Array ? (List<object?>)JsonValues.From(tools)! : null;
    }

    private List<ChatMessage> Preference(JsonElement row)
    {
        var field = side == PreferenceSide.Chosen ? "chosen" : "rejected";
        var answer = Unpacked(Need(row, field));
        var hasPrompt = map.TryGet(row, "prompt", out var prompt);
        if (answer.ValueKind == JsonValueKind.String)
        {
            var text = answer.GetString()!;
            return hasPrompt ? [.. Side(prompt, "prompt", "user"), new("assistant", text)] : Dialogue(text);
        }

        var turns = Turns(answer, map.NameOf(field));
        // Some data repeat the prompt at the head of both answers.
        return hasPrompt && !turns.Exists(turn => turn.Role == "user") ? [.. Side(prompt, "prompt", "user"), .. turns] : turns;
    }

    /// <summary>A dialogue written out as <c>Human:</c> and <c>Assistant:</c> paragraphs; else one answer without a prompt.</summary>
    private static List<ChatMessage> Dialogue(string text)
    {
        var turns = new List<ChatMessage>();
        var rest = "\n\n" + text.TrimStart('\n');
        while (Speaker(rest) is var (role, label) && role.Length > 0)
        {
            rest = rest[label.Length..];
            var next = new[] { rest.IndexOf("\n\nHuman:", StringComparison.Ordinal), rest.IndexOf("\n\nAssistant:", StringComparison.Ordinal) }.Where(at => at >= 0).DefaultIfEmpty(rest.Length).Min();
            turns.Add(new(role, rest[..next].Trim()));
            rest = rest[next..];
        }

        return turns.Count > 0 ? turns : [new("assistant", text)];

        static (string Role, string Label) Speaker(string rest) =>
            rest.StartsWith("\n\nHuman:", StringComparison.Ordinal) ? ("user", "\n\nHuman:")
            : rest.StartsWith("\n\nAssistant:", StringComparison.Ordinal) ? ("assistant", "\n\nAssistant:")
            : ("", "");
    }

    private List<ChatMessage> Instruction(JsonElement row)
    {
        var instruction = Text(Need(row, "instruction"), map.NameOf("instruction"));
        var input = map.TryGet(row, "input", out var given) ? Text(given, map.NameOf("input")) : "";
        var prompt = input.Length == 0 ? instruction : instruction.Length == 0 ? input : $"{instruction}\n\n{input}";
        return [new("user", prompt), new("assistant", Text(Need(row, "output"), map.NameOf("output")))];
    }

    /// <summary>A prompt or a completion: a string, or turns.</summary>
    private List<ChatMessage> Side(JsonElement value, string field, string role)
    {
        var content = Unpacked(value);
        return content.ValueKind switch
        {
            JsonValueKind.String => [new(role, content.GetString()!)],
            JsonValueKind.Array => Turns(content, map.NameOf(field)),
            _ => throw new RowFault($"'{map.NameOf(field)}' is {Kind(value)}, neither a string nor a list of turns"),
        };
    }

    /// <summary>Turns that a string holds as JSON, as tables keep them; any other value is left as it is.</summary>
    private static JsonElement Unpacked(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.String || !value.GetString().AsSpan().TrimStart().StartsWith("[{", StringComparison.Ordinal))
        {
            return value;
        }

        try
        {
            using var inner = JsonDocument.Parse(value.GetString()!);
            var list = inner.RootElement;
            var areTurns = list.ValueKind == JsonValueKind.Array && list.EnumerateArray().All(turn =>
                turn.ValueKind == JsonValueKind.Object && (turn.TryGetProperty("role", out _) || turn.TryGetProperty("from", out _)));
            return areTurns ? list.Clone() : value;
        }
        catch (JsonException)
        {
            return value; // a text that begins so
        }
    }

    private JsonElement Need(JsonElement row, string field) => map.TryGet(row, field, out var value) ? value : throw new RowFault($"'{map.NameOf(field)}' is absent or null");

    private static string Text(JsonElement value, string name) => value.ValueKind == JsonValueKind.String ? value.GetString()! : throw new RowFault($"'{name}' is {Kind(value)}, not a string");

    private static List<ChatMessage> Turns(JsonElement list, string name)
    {
        list = Unpacked(list);
        if (list.ValueKind != JsonValueKind.Array)
        {
            throw new RowFault($"'{name}' is {Kind(list)}, not a list of turns");
        }

        var turns = new List<ChatMessage>();
        foreach (var turn in list.EnumerateArray())
        {
            turns.Add(Turn(turn, turns.Count + 1));
        }

        return turns.Count > 0 ? turns : throw new RowFault($"'{name}' is empty");
    }

    private static ChatMessage Turn(JsonElement turn, int number)
    {
        if (turn.ValueKind != JsonValueKind.Object)
        {
            throw new RowFault($"turn {number} is {Kind(turn)}, not an object");
        }

        if (!(turn.TryGetProperty("role", out var role) || turn.TryGetProperty("from", out role)) || role.ValueKind != JsonValueKind.String || role.GetString()!.Length == 0)
        {
            throw new RowFault($"turn {number} has no role");
        }

        var extra = new OrderedDictionary<string, object?>(StringComparer.Ordinal);
        foreach (var property in turn.EnumerateObject())
        {
            if (!TurnKeys.Contains(property.Name))
            {
                extra[property.Name] = JsonValues.From(property.Value);
            }
        }

        return new(Role(role.GetString()!), Content(turn, number, extra)) { Train = IsTrained(turn, number), Extra = extra };
    }

    /// <summary>The roles of ShareGPT and its kin, in the names that chat templates know; others stay as they are.</summary>
    private static string Role(string role) => role.ToLowerInvariant() switch
    {
        "human" or "user" or "prompter" => "user",
        "gpt" or "chatgpt" or "bot" or "model" or "ai" or "assistant" => "assistant",
        "system" => "system",
        _ => role,
    };

    private static string Content(JsonElement turn, int number, OrderedDictionary<string, object?> extra)
    {
        var found = turn.TryGetProperty("content", out var content) || turn.TryGetProperty("value", out content);
        switch (found ? content.ValueKind : JsonValueKind.Null)
        {
            case JsonValueKind.String: return content.GetString()!;
            case JsonValueKind.Array: return string.Concat(content.EnumerateArray().Select(part => Part(part, number)));
            // A turn that only calls a tool says nothing.
            case JsonValueKind.Null when extra.GetValueOrDefault("tool_calls") is List<object?> { Count: > 0 } || extra.GetValueOrDefault("function_call") is not null: return "";
            case JsonValueKind.Null: throw new RowFault($"turn {number} has no content");
            default: throw new RowFault($"the content of turn {number} is {Kind(content)}, neither a string nor a list of parts");
        }
    }

    private static string Part(JsonElement part, int number)
    {
        if (part.ValueKind == JsonValueKind.String)
        {
            return part.GetString()!;
        }

        if (part.ValueKind != JsonValueKind.Object)
        {
            throw new RowFault($"turn {number} has a part that is {Kind(part)}");
        }

        var type = part.TryGetProperty("type", out var given) && given.ValueKind == JsonValueKind.String ? given.GetString()! : "text";
        return type == "text" && part.TryGetProperty("text", out var text) && text.ValueKind == JsonValueKind.String
            ? text.GetString()!
            : throw new RowFault(type == "text" ? $"turn {number} has a part without text" : $"turn {number} has a part of type '{type}', and only text is read");
    }

    private static bool IsTrained(JsonElement turn, int number)
    {
        var trained = true;
        if (turn.TryGetProperty("train", out var train) && train.ValueKind != JsonValueKind.Null)
        {
            trained = train.ValueKind is JsonValueKind.True or JsonValueKind.False ? train.GetBoolean() : throw new RowFault($"'train' of turn {number} is {Kind(train)}, not true or false");
        }

        if (turn.TryGetProperty("weight", out var weight) && weight.ValueKind != JsonValueKind.Null)
        {
            trained &= weight.ValueKind == JsonValueKind.Number ? weight.GetDouble() != 0 : throw new RowFault($"'weight' of turn {number} is {Kind(weight)}, not a number");
        }

        return trained;
    }

    private static void Check(List<ChatMessage> messages)
    {
        var anyAnswer = false;
        var anyTrained = false;
        for (var index = 0; index < messages.Count; index++)
        {
            var message = messages[index];
            anyAnswer |= message.Role == "assistant";
            if (message is not { Role: "assistant", Train: true })
            {
                continue;
            }

            anyTrained = true;
            if (message.Content.AsSpan().IsWhiteSpace() && !message.Extra.ContainsKey("tool_calls") && !message.Extra.ContainsKey("function_call"))
            {
                throw new RowFault($"the answer of turn {index + 1} is empty");
            }
        }

        if (!anyTrained)
        {
            throw new RowFault(anyAnswer ? "no assistant turn is trained on" : "no turn is the assistant's");
        }
    }

    public static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => "a number",
        JsonValueKind.True or JsonValueKind.False => "true or false",
        _ => "null",
    };
}
