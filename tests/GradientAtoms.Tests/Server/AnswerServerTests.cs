using System.ClientModel;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using GradientAtoms.Runs.Answers;
using GradientAtoms.Server;
using GradientAtoms.Tests.Answers;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Models;

namespace GradientAtoms.Tests.Server;

/// <summary>The real server on a free port, asked by the official client where that has what is asked, else over plain HTTP.</summary>
[Collection(ServedRunGroup.Name)]
public sealed class AnswerServerTests(ServedRun served)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private Uri Endpoint => new(served.Server.Address, "v1");

    [Fact]
    public async Task The_official_client_gets_the_answer_of_the_plain_generator_whole_and_streamed()
    {
        foreach (var (temperature, seed) in ((float, long)[])[(0, 0), (6, 4)])
        {
            var expected = served.Tokens("2 and 3", [served.Session.Adapter], 25, temperature, (ulong)seed);
            var options = new ChatCompletionOptions { Temperature = temperature, MaxOutputTokenCount = 25 };
#pragma warning disable OPENAI001 // The client calls its seed experimental.
            options.Seed = seed;
#pragma warning restore OPENAI001
            var client = Client("adapter");
            ChatCompletion whole = await client.CompleteChatAsync([new UserChatMessage("2 and 3")], options, Cancellation);
            Assert.Equal(served.Text(expected), string.Concat(whole.Content.Select(part => part.Text)));
            Assert.Equal(ReasonOf(expected), whole.FinishReason);
            Assert.Equal((served.Session.Model.EncodePrompt("2 and 3", served.Session.Options).Length, expected.Tokens.Count), (whole.Usage.InputTokenCount, whole.Usage.OutputTokenCount));
            Assert.Equal("adapter", whole.Model);

            var (text, reason, usage) = (new StringBuilder(), (ChatFinishReason?)null, (ChatTokenUsage?)null);
            await foreach (var update in client.CompleteChatStreamingAsync([new UserChatMessage("2 and 3")], options, Cancellation))
            {
                text.AppendJoin(null, update.ContentUpdate.Select(part => part.Text));
                (reason, usage) = (update.FinishReason ?? reason, update.Usage ?? usage);
            }

            Assert.Equal((served.Text(expected), ReasonOf(expected), whole.Usage.TotalTokenCount), (text.ToString(), reason, usage!.TotalTokenCount));
        }

        static ChatFinishReason ReasonOf(Models.Generation.GeneratedTokens answer) =>
            answer.Reason == Models.Generation.StopReason.StopToken ? ChatFinishReason.Stop : ChatFinishReason.Length;
    }

    [Fact]
    public async Task The_official_client_lists_models_and_steers_by_a_model_id()
    {
        var models = new OpenAIModelClient(new ApiKeyCredential("unused"), new() { Endpoint = Endpoint });
        Assert.Equal(["base", "adapter"], (await models.GetModelsAsync(Cancellation)).Value.Select(model => model.Id));
        var id = $"{served.Poles[0]}@.3";
        Assert.Equal(id, (await models.GetModelAsync(id, Cancellation)).Value.Id);
        Assert.Equal(404, (await Assert.ThrowsAsync<ClientResultException>(() => models.GetModelAsync("nothing", Cancellation))).Status);

        const string prompt = ServedRun.Prompt;
        var options = new ChatCompletionOptions { Temperature = (float)ServedRun.Temperature, MaxOutputTokenCount = 30 };
#pragma warning disable OPENAI001 // The client calls its seed experimental.
        options.Seed = (long)ServedRun.Seed;
#pragma warning restore OPENAI001
        ChatCompletion steered = await Client(id).CompleteChatAsync([new UserChatMessage(prompt)], options, Cancellation);
        ChatCompletion plain = await Client("adapter").CompleteChatAsync([new UserChatMessage(prompt)], options, Cancellation);
        Assert.NotEqual(plain.Content[0].Text, steered.Content[0].Text);
        var (status, body) = await served.PostAsync("/v1/chat/completions", Chat(prompt, 30, "adapter", new { pole = served.Poles[0], kl = 0.3 }));
        Assert.Equal((200, steered.Content[0].Text), (status, (string?)body["choices"]![0]!["message"]!["content"]));
        var step = body["steering"]![0]!;
        Assert.Equal((served.Poles[0], 0.3, false), ((string?)step["pole"], (double)step["kl"]!, (bool)step["less"]!));
        Assert.InRange((double)step["measured_kl"]!, 1e-6, 0.3 * 1.03);
    }

    [Fact]
    public async Task Completions_answer_texts_and_tokens_whole_and_streamed()
    {
        var loaded = served.Session.Model.Loaded;
        string Expected(int[] prompt, ulong seed) => served.Text(
            Models.Generation.TextGenerator.Generate(loaded.Model, prompt, new() { MaxNewTokens = 12, Temperature = 6, Seed = seed, StopIds = loaded.StopIds }, [served.Session.Adapter]));
        var (first, second) = (loaded.Tokenizer.Encode("the old", addSpecialTokens: true), loaded.Tokenizer.Encode("a river", addSpecialTokens: true));
        foreach (var (prompt, expected) in ((object, string[])[])
        [
            ("the old", [Expected(first, 5)]), (new[] { "the old", "a river" }, [Expected(first, 5), Expected(second, 6)]), (second, [Expected(second, 5)]), (new[] { second, first }, [Expected(second, 5), Expected(first, 6)]),
        ])
        {
            var (status, body) = await served.PostAsync("/v1/completions", new { model = "adapter", prompt, temperature = 6, seed = 5, max_tokens = 12 });
            Assert.True(status == 200, body.ToJsonString());
            Assert.Equal(expected, body["choices"]!.AsArray().Select(choice => (string?)choice!["text"]));
            Assert.Equal(Enumerable.Range(0, expected.Length), body["choices"]!.AsArray().Select(choice => (int)choice!["index"]!));

            var texts = new string[expected.Length];
            JsonNode? usage = null;
            await foreach (var chunk in StreamAsync("/v1/completions", new { model = "adapter", prompt, temperature = 6, seed = 5, max_tokens = 12, stream = true, stream_options = new { include_usage = true } }))
            {
                usage = chunk["usage"] ?? usage;
                foreach (var choice in chunk["choices"]!.AsArray())
                {
                    texts[(int)choice!["index"]!] += (string?)choice["text"];
                }
            }

            Assert.Equal(expected, texts);
            Assert.Equal((int)body["usage"]!["total_tokens"]!, (int)usage!["total_tokens"]!);
        }
    }

    [Fact]
    public async Task Two_requests_with_different_steers_at_once_do_not_disturb_each_other()
    {
        const string prompt = ServedRun.Prompt;
        object[] steers = [new { pole = served.Poles[0], kl = 0.3 }, new { atom = served.Poles[0].TrimEnd('+', '-'), kl = 0.3, less = served.Poles[0].EndsWith('+') }, new object[] { new { pole = served.Poles[1], kl = 0.3 } }];
        async Task<string?> Ask(object steer) => (string?)(await served.PostAsync("/v1/chat/completions", Chat(prompt, 40, "adapter", steer))).Body["choices"]![0]!["message"]!["content"];
        var alone = new List<string?>();
        foreach (var steer in steers)
        {
            alone.Add(await Ask(steer));
        }

        Assert.Equal(3, alone.Distinct(StringComparer.Ordinal).Count());
        Assert.Equal(alone, await Task.WhenAll(steers.Select(Ask)));
    }

    [Fact]
    public async Task Sixty_four_streams_and_cut_ones_among_them_leave_nothing_behind()
    {
        var before = await ServedRun.LiveTensorsAsync(served.Engine);
        var prompts = Enumerable.Range(0, 64).Select(number => $"{number} and 1").ToArray();
        var expected = prompts.Select(prompt => served.Expected(prompt, [served.Session.Adapter], 12)).ToArray();
        var texts = await Task.WhenAll(prompts.Select(async (prompt, index) =>
        {
            var text = string.Empty;
            using var cut = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
            try
            {
                await foreach (var chunk in StreamAsync("/v1/chat/completions", Chat(prompt, index % 4 == 3 ? 400 : 12, "adapter", null, isStream: true), cut.Token))
                {
                    text += (string?)chunk["choices"]![0]!["delta"]!["content"];
                    if (index % 4 == 3 && text.Length > 0)
                    {
                        await cut.CancelAsync();
                    }
                }
            }
            catch (OperationCanceledException) when (index % 4 == 3)
            {
            }

            return text;
        }));
        for (var index = 0; index < prompts.Length; index++)
        {
            Assert.True(index % 4 == 3 || expected[index] == texts[index], $"{prompts[index]}: {texts[index]}");
        }

        Assert.Equal(before, await ServedRun.LiveTensorsAsync(served.Engine));
        Assert.Equal(0, (int)JsonNode.Parse(await served.Http.GetStringAsync("/health", Cancellation))!["requests"]!);
    }

    [Fact]
    public async Task A_connection_that_is_cut_before_or_in_its_answer_ends_it()
    {
        var before = await ServedRun.LiveTensorsAsync(served.Engine);
        var body = System.Text.Json.JsonSerializer.Serialize(Chat(served.LongPrompt, 400, "adapter", null, temperature: 0));
        for (var index = 0; index < 4; index++)
        {
            using var client = new TcpClient();
            await client.ConnectAsync(served.Server.Address.Host, served.Server.Address.Port, Cancellation);
            var sent = index == 0 ? body[..20] : body;
            await client.GetStream().WriteAsync(Encoding.UTF8.GetBytes($"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\n\r\n{sent}"), Cancellation);
            await Task.Delay(20 * index, Cancellation);
            client.Client.LingerState = new(true, 0);
        }

        Assert.Equal(before, await ServedRun.LiveTensorsAsync(served.Engine));
    }

    [Theory]
    [InlineData("""{""", 400, "GA5030")]
    [InlineData("""[1]""", 400, "GA5030")]
    [InlineData("", 400, "GA5030")]
    [InlineData("""{"messages":[],"messages":[]}""", 400, "GA5030")]
    [InlineData("""{"model":"adapter"}""", 400, "GA5031")]
    [InlineData("""{"messages":[]}""", 400, "GA5031")]
    [InlineData("""{"messages":"hello"}""", 400, "GA5031")]
    [InlineData("""{"messages":[{"role":"user"}]}""", 400, "GA5031")]
    [InlineData("""{"messages":[{"role":"user","content":3}]}""", 400, "GA5031")]
    [InlineData("""{"messages":[{"role":"user","content":"\ud800"}]}""", 400, "GA5031")]
    [InlineData("""{"messages":[{"role":"user","content":[{"type":"image_url","image_url":"x"}]}]}""", 400, "GA5032")]
    [InlineData("""{"messages":[{"role":"user","content":"x","tool_calls":[]}]}""", 400, "GA5032")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"n":2}""", 400, "GA5032")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"logprobs":true}""", 400, "GA5032")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"presence_penalty":0.5}""", 400, "GA5032")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function"}]}""", 400, "GA5032")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_object"}}""", 400, "GA5032")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"temprature":0}""", 400, "GA5032")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"steering":{"pole":"a+","strength":2}}""", 400, "GA5032")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"temperature":"hot"}""", 400, "GA5031")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"temperature":-1}""", 400, "GA5021")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"max_tokens":1e99}""", 400, "GA5031")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"max_tokens":99999999999}""", 400, "GA5031")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"max_tokens":401}""", 400, "GA5021")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"stop":[1]}""", 400, "GA5031")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"stop":""}""", 400, "GA5021")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"steering":{}}""", 400, "GA5031")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"steering":{"pole":"nothing+"}}""", 404, "GA5020")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"model":"gpt-5"}""", 404, "GA5020")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"model":"gpt-5","stream":true}""", 404, "GA5020")]
    public async Task A_request_that_cannot_be_is_refused_with_a_status_and_a_code(string body, int status, string code)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var reply = await served.Http.PostAsync("/v1/chat/completions", content, Cancellation);
        var error = JsonNode.Parse(await reply.Content.ReadAsStringAsync(Cancellation))!["error"]!.AsObject();
        Assert.Equal((status, code), ((int)reply.StatusCode, (string?)error["code"]));
        Assert.Equal(["message", "type", "param", "code"], error.Select(field => field.Key));
    }

    [Fact]
    public async Task Bodies_paths_hosts_and_types_that_cannot_be_are_refused()
    {
        async Task<(int, string?)> Send(HttpMethod method, string path, string? body = null, string type = "application/json", string? host = null)
        {
            using var request = new HttpRequestMessage(method, path) { Content = body is null ? null : new StringContent(body, Encoding.UTF8, type) };
            request.Headers.Host = host;
            using var reply = await served.Http.SendAsync(request, Cancellation);
            return ((int)reply.StatusCode, (string?)JsonNode.Parse(await reply.Content.ReadAsStringAsync(Cancellation))!["error"]?["code"]);
        }

        Assert.Equal((413, "GA5033"), await Send(HttpMethod.Post, "/v1/completions", $$"""{"prompt":"{{new string('x', 1 << 16)}}"}"""));
        Assert.Equal((400, "GA5022"), await Send(HttpMethod.Post, "/v1/completions", $$"""{"prompt":"{{new string('x', 4000)}}"}"""));
        Assert.Equal((400, "GA5031"), await Send(HttpMethod.Post, "/v1/completions", $$"""{"prompt":[{{string.Join(',', Enumerable.Repeat("\"x\"", 17))}}]}"""));
        Assert.Equal((400, "GA5031"), await Send(HttpMethod.Post, "/v1/completions", """{"prompt":[[1,2],3]}"""));
        Assert.Equal((400, "GA5021"), await Send(HttpMethod.Post, "/v1/completions", """{"prompt":[1,99999]}"""));
        Assert.Equal((415, "GA5037"), await Send(HttpMethod.Post, "/v1/completions", """{"prompt":"x"}""", "text/plain"));
        Assert.Equal((404, "GA5035"), await Send(HttpMethod.Get, "/v1/embeddings"));
        Assert.Equal((404, "GA5035"), await Send(HttpMethod.Get, "/v1/completions"));
        Assert.Equal((403, "GA5036"), await Send(HttpMethod.Get, "/v1/models", host: "evil.example"));
        Assert.Equal((200, null), await Send(HttpMethod.Get, "/v1/models", host: "localhost:1"));
    }

    [Fact]
    public async Task A_server_with_a_token_answers_only_those_who_have_it()
    {
        await using var server = await AnswerServer.StartAsync(served.Engine, new() { Port = 0, Token = "secret" }, cancellationToken: Cancellation);
        async Task<int> Status(string? token, string path = "/v1/models")
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(server.Address, path));
            if (token is not null)
            {
                request.Headers.TryAddWithoutValidation("Authorization", token);
            }

            using var reply = await served.Http.SendAsync(request, Cancellation);
            return (int)reply.StatusCode;
        }

        foreach (var (expected, token) in ((int, string?)[])[(401, null), (401, "Bearer wrong"), (401, "secret"), (401, "Bearer "), (200, "Bearer secret")])
        {
            Assert.Equal(expected, await Status(token));
        }

        Assert.Equal(200, await Status(null, "/health"));
        var client = new ChatClient("base", new ApiKeyCredential("secret"), new() { Endpoint = new(server.Address, "v1") });
        Assert.NotNull((await client.CompleteChatAsync([new UserChatMessage("x")], new() { MaxOutputTokenCount = 1 }, Cancellation)).Value);
    }

    [Fact]
    public async Task Other_machines_reach_only_a_server_with_a_token()
    {
        Assert.Equal("GA5038", (await Assert.ThrowsAsync<ServerException>(() => AnswerServer.StartAsync(served.Engine, new() { Host = "0.0.0.0", Port = 0 }, cancellationToken: Cancellation))).Code);
        Assert.Equal("GA5038", (await Assert.ThrowsAsync<ServerException>(() => AnswerServer.StartAsync(served.Engine, new() { Host = "::", Port = 0, Token = "" }, cancellationToken: Cancellation))).Code);
        Assert.Equal("GA5039", (await Assert.ThrowsAsync<ServerException>(() => AnswerServer.StartAsync(served.Engine, new() { Port = served.Server.Address.Port }, cancellationToken: Cancellation))).Code);
        Assert.Equal("GA5039", (await Assert.ThrowsAsync<ServerException>(() => AnswerServer.StartAsync(served.Engine, new() { Host = "example.com" }, cancellationToken: Cancellation))).Code);
    }

    [Fact]
    public async Task A_full_server_sends_away_and_says_when_to_come_back()
    {
        using var engine = AnswerEngine.Start(served.Run, ServedRun.Options with { MaxConcurrent = 1, MaxWaiting = 0 });
        await using var server = await AnswerServer.StartAsync(engine, new() { Port = 0, Grace = TimeSpan.FromMilliseconds(200) }, cancellationToken: Cancellation);
        using var busy = engine.Ask(served.AskLong(), Cancellation);
        using var content = new StringContent("""{"prompt":"x","max_tokens":1}""", Encoding.UTF8, "application/json");
        using var reply = await served.Http.PostAsync(new Uri(server.Address, "/v1/completions"), content, Cancellation);
        Assert.Equal((429, "1"), ((int)reply.StatusCode, reply.Headers.RetryAfter?.ToString()));
    }

    [Fact]
    public async Task A_server_that_stops_ends_its_streams_within_its_grace()
    {
        using var engine = AnswerEngine.Start(served.Run, ServedRun.Options);
        var server = await AnswerServer.StartAsync(engine, new() { Port = 0, Grace = TimeSpan.FromMilliseconds(300) }, cancellationToken: Cancellation);
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(server.Address, "/v1/completions"))
        {
            Content = new StringContent($$"""{"prompt":[{{string.Join(',', served.Session.Model.EncodePrompt(served.LongPrompt, served.Session.Options))}}],"max_tokens":400,"temperature":0,"stream":true}""", Encoding.UTF8, "application/json"),
        };
        using var reply = await served.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancellation);
        var began = Environment.TickCount64;
        await server.DisposeAsync();
        Assert.InRange(Environment.TickCount64 - began, 0, 10_000);
        Assert.NotEqual(-1, await ServedRun.LiveTensorsAsync(engine)); // the answer has ended
    }

    private static object Chat(string prompt, int tokens, string model, object? steering, bool isStream = false, double temperature = ServedRun.Temperature) =>
        new { model, messages = new[] { new { role = "user", content = prompt } }, temperature, seed = ServedRun.Seed, max_tokens = tokens, steering, stream = isStream };

    private ChatClient Client(string model) => new(model, new ApiKeyCredential("unused"), new OpenAIClientOptions { Endpoint = Endpoint });

    private async IAsyncEnumerable<JsonNode> StreamAsync(string path, object body, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = System.Net.Http.Json.JsonContent.Create(body) };
        using var reply = await served.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
        Assert.Equal("text/event-stream", reply.Content.Headers.ContentType?.MediaType);
        using var reader = new StreamReader(await reply.Content.ReadAsStreamAsync(cancellationToken));
        var isDone = false;
        while (await reader.ReadLineAsync(cancellationToken) is { } line)
        {
            if (line.Length == 0)
            {
                continue;
            }

            Assert.False(isDone);
            Assert.StartsWith("data: ", line, StringComparison.Ordinal);
            if (line == "data: [DONE]")
            {
                isDone = true;
                continue;
            }

            yield return JsonNode.Parse(line["data: ".Length..])!;
        }

        Assert.True(isDone);
    }
}
