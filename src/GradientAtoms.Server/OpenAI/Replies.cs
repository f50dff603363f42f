using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Runs.Answers;

namespace GradientAtoms.Server.OpenAI;

/// <summary>The JSON objects that clients of OpenAI's API expect.</summary>
internal sealed class Replies(CompletionRequest request, DateTimeOffset now)
{
    public static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly string _id = $"{(request.IsChat ? "chatcmpl" : "cmpl")}-{Guid.NewGuid():N}";

    public static JsonObject Models(IReadOnlyList<ServedModel> models, DateTimeOffset since) => new()
    {
        ["object"] = "list",
        ["data"] = new JsonArray([.. models.Select(model => Model(model, since))]),
    };

    public static JsonObject Model(ServedModel model, DateTimeOffset since) => new()
    {
        ["id"] = model.Id,
        ["object"] = "model",
        ["created"] = since.ToUnixTimeSeconds(),
        ["owned_by"] = "gatoms",
        ["root"] = model.Root,
        ["parent"] = model.Parent,
    };

    /// <summary>The whole answer.</summary>
    public JsonObject Whole(IReadOnlyList<(string Text, Answer Answer)> answers)
    {
        var reply = Envelope(request.IsChat ? "chat.completion" : "text_completion");
        reply["choices"] = new JsonArray([.. answers.Select((answer, index) =>
        {
            var choice = new JsonObject { ["index"] = index };
            if (request.IsChat)
            {
                choice["message"] = new JsonObject { ["role"] = "assistant", ["content"] = answer.Text, ["refusal"] = null };
            }
            else
            {
                choice["text"] = answer.Text;
            }

            choice["logprobs"] = null;
            choice["finish_reason"] = Reason(answer.Answer);
            return choice;
        })]);
        reply["usage"] = Usage([.. answers.Select(answer => answer.Answer)]);
        AddSteering(reply, answers[0].Answer);
        return reply;
    }

    /// <summary>The first chunk of a chat: whose turn it is.</summary>
    public JsonObject First() => Chunk(0, new() { ["role"] = "assistant", ["content"] = string.Empty }, null);

    /// <summary>A piece of text.</summary>
    public JsonObject Piece(int index, string text) => Chunk(index, new() { ["content"] = text }, null);

    /// <summary>The last chunk of a choice.</summary>
    public JsonObject Last(int index, Answer answer)
    {
        var chunk = Chunk(index, [], Reason(answer));
        AddSteering(chunk, answer);
        return chunk;
    }

    /// <summary>The chunk of the counts, which has no choice.</summary>
    public JsonObject UsageChunk(IReadOnlyList<Answer> answers)
    {
        var chunk = Envelope(ChunkObject);
        chunk["choices"] = new JsonArray();
        chunk["usage"] = Usage(answers);
        return chunk;
    }

    private string ChunkObject => request.IsChat ? "chat.completion.chunk" : "text_completion";

    private JsonObject Chunk(int index, JsonObject delta, string? reason)
    {
        var chunk = Envelope(ChunkObject);
        var choice = new JsonObject { ["index"] = index };
        if (request.IsChat)
        {
            choice["delta"] = delta;
        }
        else
        {
            choice["text"] = (string?)delta["content"] ?? string.Empty;
        }

        choice["logprobs"] = null;
        choice["finish_reason"] = reason;
        chunk["choices"] = new JsonArray(choice);
        if (request.WithUsage)
        {
            chunk["usage"] = null;
        }

        return chunk;
    }

    private JsonObject Envelope(string kind) => new() { ["id"] = _id, ["object"] = kind, ["created"] = now.ToUnixTimeSeconds(), ["model"] = request.Model };

    private static string Reason(Answer answer) => answer.End == AnswerEnd.Length ? "length" : "stop";

    private static JsonObject Usage(IReadOnlyList<Answer> answers)
    {
        var (prompt, completion) = (answers.Sum(answer => answer.PromptTokens), answers.Sum(answer => answer.CompletionTokens));
        return new() { ["prompt_tokens"] = prompt, ["completion_tokens"] = completion, ["total_tokens"] = prompt + completion };
    }

    // Ours: what was done to the weights for this answer.
    private static void AddSteering(JsonObject reply, Answer answer)
    {
        if (answer.Steers.Count > 0)
        {
            reply["steering"] = new JsonArray([.. answer.Steers.Select(steer => new JsonObject
            {
                ["pole"] = steer.Pole, ["kl"] = steer.Kl, ["less"] = steer.Less, ["step"] = steer.Step, ["measured_kl"] = steer.MeasuredKl,
            })]);
        }
    }
}
