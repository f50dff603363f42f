using System.Globalization;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;

namespace GradientAtoms.Runs.Labels;

/// <summary>How an endpoint is asked.</summary>
public sealed record EndpointOptions
{
    /// <summary>The address before <c>/chat/completions</c>: <c>http://localhost:11434/v1</c>.</summary>
    public required Uri Endpoint { get; init; }

    /// <summary>The model's name there.</summary>
    public required string Model { get; init; }

    /// <summary>Sent as a bearer token; null: none.</summary>
    public string? Key { get; init; }

    /// <summary>How long one reply may take.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(120);

    /// <summary>How often a request is sent again where the endpoint is busy, fails or does not answer.</summary>
    public int Retries { get; init; } = 4;

    /// <summary>The wait before the second attempt, doubled for each further one, where the endpoint does not say (<c>Retry-After</c>).</summary>
    public TimeSpan FirstWait { get; init; } = TimeSpan.FromSeconds(1);
}

/// <summary>A client of any OpenAI-compatible endpoint: chat completions, one reply at a time, with waits where it is busy. No network but to that address.</summary>
public sealed class EndpointClient : IChatClient
{
    private const int MostBytes = 4 << 20;
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(60);

    private readonly EndpointOptions _options;
    private readonly HttpClient _http;
    private readonly Uri _address;

    /// <summary>Makes one; sends nothing yet.</summary>
    /// <param name="options">Where to.</param>
    public EndpointClient(EndpointOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _address = new($"{options.Endpoint.ToString().TrimEnd('/')}/chat/completions");

        // A redirect would take the documents, and the key, elsewhere.
        _http = new(new SocketsHttpHandler { AllowAutoRedirect = false }) { Timeout = options.Timeout, MaxResponseContentBufferSize = MostBytes };
        if (options.Key is { } key)
        {
            _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        }
    }

    /// <inheritdoc/>
    public async Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        var body = new JsonObject
        {
            ["model"] = options?.ModelId ?? _options.Model,
            ["messages"] = new JsonArray([.. messages.Select(message => (JsonNode)new JsonObject { ["role"] = message.Role.Value, ["content"] = message.Text })]),
        };
        if (options?.Temperature is { } temperature)
        {
            body["temperature"] = temperature;
        }

        if (options?.MaxOutputTokens is { } most)
        {
            body["max_tokens"] = most;
        }

        var text = body.ToJsonString();
        for (var attempt = 0; ; attempt++)
        {
            var (reply, wait, failure) = await TryAsync(text, cancellationToken).ConfigureAwait(false);
            if (reply is not null)
            {
                return reply;
            }

            if (wait is null || attempt >= _options.Retries)
            {
                throw failure!;
            }

            var pause = wait.Value > TimeSpan.Zero ? wait.Value : _options.FirstWait * Math.Pow(2, attempt);
            await Task.Delay(pause < LongestWait ? pause : LongestWait, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(
        IEnumerable<ChatMessage> messages, ChatOptions? options = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var whole = await GetResponseAsync(messages, options, cancellationToken).ConfigureAwait(false);
        foreach (var update in whole.ToChatResponseUpdates())
        {
            yield return update;
        }
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null) =>
        serviceKey is null && serviceType == typeof(ChatClientMetadata) ? new ChatClientMetadata("openai-compatible", _options.Endpoint, _options.Model)
        : serviceKey is null && serviceType.IsInstanceOfType(this) ? this
        : null;

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    // A reply; or how long to wait before the next attempt (zero: as one likes; null: no further attempt helps), and what went wrong.
    private async Task<(ChatResponse? Reply, TimeSpan? Wait, LabelException? Failure)> TryAsync(string body, CancellationToken cancellationToken)
    {
        var place = _options.Endpoint.ToString();
        try
        {
            using var content = new StringContent(body, Encoding.UTF8, "application/json");
            using var response = await _http.PostAsync(_address, content, cancellationToken).ConfigureAwait(false);
            var text = await response.Content.ReadAsStringAsync(cancellationToken).ConfigureAwait(false);
            if (response.IsSuccessStatusCode)
            {
                return Read(text) is { } reply
                    ? (reply, null, null)
                    : (null, TimeSpan.Zero, new("GA5054", place, $"replied with something that is no chat completion: {Begin(text)}", "Check that the address is that of an OpenAI-compatible API; it often ends in /v1."));
            }

            var status = (int)response.StatusCode;
            var wait = Wait(response.Headers.RetryAfter);
            return status switch
            {
                401 or 403 => (null, null, new("GA5051", place, $"refused the request (status {Text(status)}): {Begin(text)}", "Name the environment variable that holds its key with --key-env.")),
                429 => (null, wait, new("GA5052", place, $"is asked too often (status 429): {Begin(text)}", "Run the same command later: it goes on with what is missing.")),
                408 or >= 500 => (null, wait, new("GA5053", place, $"failed (status {Text(status)}): {Begin(text)}", "Look at the endpoint's log; run the same command again, it goes on.")),
                _ => (null, null, new("GA5053", place, $"did not take the request (status {Text(status)}): {Begin(text)}", "Check --endpoint (it often ends in /v1) and the name of the model.")),
            };
        }
        catch (OperationCanceledException exception) when (!cancellationToken.IsCancellationRequested)
        {
            return (null, TimeSpan.Zero, new("GA5050", place, $"did not reply within {Text((int)_options.Timeout.TotalSeconds)} s", "Raise --timeout, or look at the endpoint.", exception));
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException)
        {
            return (null, TimeSpan.Zero, new("GA5050", place, $"cannot be reached ({exception.Message})", "Check the address, and that the endpoint runs.", exception));
        }
    }

    private static TimeSpan Wait(RetryConditionHeaderValue? header) => header?.Delta is { } delta && delta >= TimeSpan.Zero ? delta : TimeSpan.Zero;

    private static ChatResponse? Read(string text)
    {
        try
        {
            var json = JsonNode.Parse(text);
            if ((string?)json?["choices"]?[0]?["message"]?["content"] is not { } content)
            {
                return null;
            }

            long? Tokens(string name) => json["usage"]?[name] is JsonValue value && value.TryGetValue<long>(out var count) ? count : null;
            return new(new ChatMessage(ChatRole.Assistant, content))
            {
                ModelId = json["model"] is JsonValue model && model.TryGetValue<string>(out var name) ? name : null,
                Usage = new() { InputTokenCount = Tokens("prompt_tokens"), OutputTokenCount = Tokens("completion_tokens") },
            };
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or FormatException or ArgumentException)
        {
            return null;
        }
    }

    private static string Begin(string text)
    {
        var line = string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        return line.Length == 0 ? "nothing" : line.Length <= 200 ? line : line[..200] + "…";
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
