using System.Runtime.CompilerServices;
using System.Text;
using Microsoft.Extensions.AI;
using ChatMessage = GradientAtoms.Text.Documents.ChatMessage;

namespace GradientAtoms.Runs.Answers;

/// <summary>The model of a run as an <see cref="IChatClient"/>: base, adapter or steered.</summary>
/// <remarks>
/// Of <see cref="ChatOptions"/>, these count: ModelId, Instructions, Temperature (1 where absent; 0 is greedy), TopP, TopK,
/// MaxOutputTokens, Seed, StopSequences, and in AdditionalProperties <c>steering</c>, a <see cref="Steer"/> or several. Tools,
/// penalties and a response format other than text are refused, since they would be passed over silently otherwise.
/// </remarks>
public sealed class RunChatClient : IChatClient
{
    /// <summary>The key of steps in <see cref="ChatOptions.AdditionalProperties"/>.</summary>
    public const string SteeringProperty = "steering";

    private readonly AnswerEngine _engine;
    private readonly string _model;
    private readonly bool _ownsEngine;

    /// <summary>Makes a client.</summary>
    /// <param name="engine">Answers; several clients may share it.</param>
    /// <param name="model">The model id where the options name none: <c>base</c>, <c>adapter</c>, a name of the engine's, or <c>POLE@KL</c>.</param>
    /// <param name="ownsEngine">Whether the engine is disposed with the client.</param>
    public RunChatClient(AnswerEngine engine, string model = AnswerModels.Adapter, bool ownsEngine = false)
    {
        ArgumentNullException.ThrowIfNull(engine);
        (_engine, _model, _ownsEngine) = (engine, model, ownsEngine);
    }

    /// <summary>Opens a run for one client.</summary>
    /// <param name="run">The run folder.</param>
    /// <param name="model">As in the constructor.</param>
    /// <param name="options">Of the engine; null for the defaults.</param>
    /// <exception cref="GradientAtomsException">The run, its model or an adapter cannot be read.</exception>
    public static RunChatClient Open(string run, string model = AnswerModels.Adapter, AnswerEngineOptions? options = null) => new(AnswerEngine.Start(run, options), model, ownsEngine: true);

    /// <inheritdoc/>
    public async Task<ChatResponse> GetResponseAsync(IEnumerable<Microsoft.Extensions.AI.ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        using var answer = Ask(messages, options, cancellationToken);
        var text = await answer.ReadTextAsync(cancellationToken).ConfigureAwait(false);
        return new(new Microsoft.Extensions.AI.ChatMessage(ChatRole.Assistant, text))
        {
            ModelId = answer.Question.Model,
            FinishReason = ReasonOf(answer),
            Usage = UsageOf(answer),
        };
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<Microsoft.Extensions.AI.ChatMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        using var answer = Ask(messages, options, cancellationToken);
        var id = Guid.NewGuid().ToString("N");
        await foreach (var piece in answer.ReadAsync(cancellationToken).ConfigureAwait(false))
        {
            yield return new(ChatRole.Assistant, piece) { ModelId = answer.Question.Model, ResponseId = id, MessageId = id };
        }

        yield return new(ChatRole.Assistant, [new UsageContent(UsageOf(answer))]) { ModelId = answer.Question.Model, ResponseId = id, MessageId = id, FinishReason = ReasonOf(answer) };
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType == typeof(ChatClientMetadata) ? new ChatClientMetadata("gradient-atoms", null, _model)
            : serviceType.IsInstanceOfType(this) ? this
            : serviceType.IsInstanceOfType(_engine) ? _engine
            : null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_ownsEngine)
        {
            _engine.Dispose();
        }
    }

    private static ChatFinishReason ReasonOf(Answer answer) => answer.End == AnswerEnd.Length ? ChatFinishReason.Length : ChatFinishReason.Stop;

    private static UsageDetails UsageOf(Answer answer) =>
        new() { InputTokenCount = answer.PromptTokens, OutputTokenCount = answer.CompletionTokens, TotalTokenCount = answer.PromptTokens + answer.CompletionTokens };

    private Answer Ask(IEnumerable<Microsoft.Extensions.AI.ChatMessage> messages, ChatOptions? options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(messages);
        Refuse(options?.Tools is { Count: > 0 }, "Tools");
        Refuse(options?.ResponseFormat is not (null or ChatResponseFormatText), "ResponseFormat");
        Refuse(options?.FrequencyPenalty is not (null or 0), "FrequencyPenalty");
        Refuse(options?.PresencePenalty is not (null or 0), "PresencePenalty");
        var turns = new List<ChatMessage>();
        if (options?.Instructions is { Length: > 0 } instructions)
        {
            turns.Add(new("system", instructions));
        }

        turns.AddRange(messages.Select(message => new ChatMessage(message.Role.Value, TextOf(message))));
        return _engine.Ask(new()
        {
            Prompt = _engine.EncodeChat(turns),
            Model = options?.ModelId ?? _model,
            Steers = SteersOf(options),
            MaxNewTokens = options?.MaxOutputTokens,
            Temperature = options?.Temperature ?? 1,
            TopP = options?.TopP ?? 1,
            TopK = options?.TopK ?? 0,
            Seed = (ulong?)options?.Seed,
            Stops = [.. options?.StopSequences ?? []],
        }, cancellationToken);
    }

    private static string TextOf(Microsoft.Extensions.AI.ChatMessage message)
    {
        var text = new StringBuilder();
        foreach (var content in message.Contents)
        {
            Refuse(content is not (TextContent or UsageContent), $"content of the type {content.GetType().Name}");
            text.Append((content as TextContent)?.Text);
        }

        return text.ToString();
    }

    private static IReadOnlyList<Steer> SteersOf(ChatOptions? options) => options?.AdditionalProperties?.GetValueOrDefault(SteeringProperty) switch
    {
        null => [],
        Steer one => [one],
        IEnumerable<Steer> several => [.. several],
        _ => throw AnswerException.Option(SteeringProperty, "is neither a Steer nor several", "Give a Steer."),
    };

    private static void Refuse(bool isThere, string what)
    {
        if (isThere)
        {
            throw AnswerException.Option(what, "is not supported", "Leave it out.");
        }
    }
}
