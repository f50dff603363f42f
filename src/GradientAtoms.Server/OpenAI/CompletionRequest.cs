using System.Text.Json;
using GradientAtoms.Runs.Answers;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Server.OpenAI;

/// <summary>What <c>/v1/chat/completions</c> or <c>/v1/completions</c> is asked: a question a prompt, and how it is answered.</summary>
internal sealed record CompletionRequest(IReadOnlyList<Question> Questions, bool IsChat, bool IsStream, bool WithUsage)
{
    public string Model => Questions[0].Model;

    public static CompletionRequest ReadChat(JsonElement body, AnswerEngine engine)
    {
        var fields = RequestFields.Of(body);
        var messages = fields.Take("messages") ?? throw ServerException.Field("messages", "is missing");
        var turns = Messages(messages);
        var rest = ReadShared(fields);
        return rest(isChat: true, () => [engine.EncodeChat(turns)]);
    }

    public static CompletionRequest ReadCompletion(JsonElement body, AnswerEngine engine, int maxPrompts)
    {
        var fields = RequestFields.Of(body);
        var prompt = fields.Take("prompt") ?? throw ServerException.Field("prompt", "is missing");
        var rest = ReadShared(fields);
        return rest(isChat: false, () => Prompts(prompt, engine, maxPrompts));
    }

    private delegate CompletionRequest Rest(bool isChat, Func<IReadOnlyList<IReadOnlyList<int>>> prompts);

    // Everything is checked before a prompt is encoded.
    private static Rest ReadShared(RequestFields fields)
    {
        var model = fields.Text("model");
        var isStream = fields.Flag("stream") ?? false;
        var withUsage = false;
        if (fields.Take("stream_options") is { } streamOptions)
        {
            var own = RequestFields.Of(streamOptions, "stream_options");
            withUsage = own.Flag("include_usage") ?? false;
            own.Flag("include_obfuscation");
            own.Finish();
        }

        var (newest, older) = (fields.SmallWhole("max_completion_tokens"), fields.SmallWhole("max_tokens"));
        if (newest is not null && older is not null && newest != older)
        {
            throw ServerException.Field("max_tokens", "and max_completion_tokens say different things");
        }

        var template = new Question
        {
            Prompt = [],
            Model = model ?? new Question { Prompt = [] }.Model,
            Steers = Steers(fields.Take("steering")),
            MaxNewTokens = newest ?? older,
            Temperature = fields.Number("temperature") ?? 1,
            TopP = fields.Number("top_p") ?? 1,
            TopK = fields.SmallWhole("top_k") ?? 0,
            Seed = (ulong?)fields.Whole("seed"),
            Stops = fields.Texts("stop"),
        };
        fields.Finish();
        return (isChat, prompts) => new(
            [.. prompts().Select((prompt, index) => template with { Prompt = prompt, Seed = template.Seed + (ulong)index })], isChat, isStream, withUsage && isStream);
    }

    private static List<ChatMessage> Messages(JsonElement messages)
    {
        if (messages.ValueKind != JsonValueKind.Array || messages.GetArrayLength() == 0)
        {
            throw ServerException.Field("messages", "must be a list of at least one message");
        }

        return [.. messages.EnumerateArray().Select((message, index) =>
        {
            var name = $"messages[{index}]";
            var fields = RequestFields.Of(message, name);
            var role = fields.Text("role") ?? throw ServerException.Field($"{name}.role", "is missing");
            var content = fields.Take("content") ?? throw ServerException.Field($"{name}.content", "is missing");
            var speaker = fields.Text("name");
            fields.Finish();
            // Newer clients say developer where templates know system.
            return new ChatMessage(role == "developer" ? "system" : role, Content(content, $"{name}.content"))
            {
                Extra = speaker is null ? new Dictionary<string, object?>(StringComparer.Ordinal) : new Dictionary<string, object?>(StringComparer.Ordinal) { ["name"] = speaker },
            };
        })];
    }

    private static string Content(JsonElement content, string name) => content.ValueKind switch
    {
        JsonValueKind.String => RequestFields.StringOf(content, name),
        JsonValueKind.Array => string.Concat(content.EnumerateArray().Select((part, index) =>
        {
            var fields = RequestFields.Of(part, $"{name}[{index}]");
            var type = fields.Text("type");
            if (type != "text")
            {
                throw ServerException.Unsupported($"{name}[{index}].type", $"is {type ?? "missing"}: only text is understood");
            }

            var text = fields.Text("text") ?? throw ServerException.Field($"{name}[{index}].text", "is missing");
            fields.Finish();
            return text;
        })),
        _ => throw ServerException.Field(name, "must be a string or a list of parts"),
    };

    private static List<IReadOnlyList<int>> Prompts(JsonElement prompt, AnswerEngine engine, int maxPrompts)
    {
        if (prompt.ValueKind == JsonValueKind.String)
        {
            return [engine.EncodeText(RequestFields.StringOf(prompt, "prompt"))];
        }

        if (prompt.ValueKind != JsonValueKind.Array || prompt.GetArrayLength() == 0)
        {
            throw ServerException.Field("prompt", "must be a string, a list of strings, a list of tokens, or a list of such lists");
        }

        if (prompt[0].ValueKind == JsonValueKind.Number)
        {
            return [Tokens(prompt)];
        }

        return prompt.GetArrayLength() <= maxPrompts
            ? [.. prompt.EnumerateArray().Select(IReadOnlyList<int> (item) => item.ValueKind == JsonValueKind.String ? engine.EncodeText(RequestFields.StringOf(item, "prompt")) : Tokens(item))]
            : throw ServerException.Field("prompt", $"has {prompt.GetArrayLength()} prompts; {maxPrompts} are allowed");
    }

    private static int[] Tokens(JsonElement list) => list.ValueKind == JsonValueKind.Array
        ? [.. list.EnumerateArray().Select(item => item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out var id) ? id : throw ServerException.Field("prompt", "has something that is no token id"))]
        : throw ServerException.Field("prompt", "mixes texts and tokens");

    private static IReadOnlyList<Steer> Steers(JsonElement? steering) => steering switch
    {
        null => [],
        { ValueKind: JsonValueKind.Array } list => [.. list.EnumerateArray().Select((item, index) => OneSteer(item, $"steering[{index}]"))],
        { } one => [OneSteer(one, "steering")],
    };

    private static Steer OneSteer(JsonElement value, string name)
    {
        var fields = RequestFields.Of(value, name);
        var (atom, pole) = (fields.Text("atom"), fields.Text("pole"));
        if (atom is null == pole is null)
        {
            throw ServerException.Field(name, "must name either atom or pole");
        }

        var steer = new Steer(atom ?? pole!);
        steer = steer with { Kl = fields.Number("kl") ?? steer.Kl, Less = fields.Flag("less") ?? false };
        fields.Finish();
        return steer;
    }
}
