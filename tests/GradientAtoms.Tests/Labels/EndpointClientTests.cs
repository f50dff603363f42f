using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using GradientAtoms.Runs.Labels;
using GradientAtoms.Tests.Cli;
using Microsoft.Extensions.AI;

namespace GradientAtoms.Tests.Labels;

/// <summary>The client against a real server on the loopback address.</summary>
public sealed class EndpointClientTests : IDisposable
{
    private readonly Loopback _server = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => _server.Dispose();

    [Fact]
    public void The_whole_path_from_the_command_line_to_the_endpoint_and_back()
    {
        using var run = new LabelledRun();
        _server.Answer = request => (200, Completion(ScriptedModel.Reply((string)request.Body["messages"]![1]!["content"]!)), null);
        var told = CliRun.Of("label", run.Path, "--endpoint", _server.Address, "--model", "small", "--json");
        Assert.True(told.ExitCode == 0, told.Error);
        var labels = JsonNode.Parse(told.Out)!["labels"]!.AsArray();
        Assert.Equal(LabelledRun.Kinds.Select(kind => kind.Label), labels.Select(label => (string)label!["text"]!));
        Assert.All(labels, label => Assert.Equal(("small", 14, 20), ((string)label!["model"]!, (int)label["score"]!["right"]!, (int)label["input_tokens"]!)));
        Assert.Equal(8, _server.Requests.Count);
        Assert.All(_server.Requests, request => Assert.Equal(("/v1/chat/completions", "small", null), (request.Path, (string)request.Body["model"]!, request.Authorization)));
        Assert.Contains("rhymes", CliRun.Of("atoms", run.Path).Out, StringComparison.Ordinal);

        // Replies of no use: an exit code of its own, and what is there stays.
        _server.Answer = _ => (200, Completion("no idea"), null);
        told = CliRun.Of("label", run.Path, "--endpoint", _server.Address, "--model", "small", "--again");
        Assert.Equal(6, told.ExitCode);
        Assert.Contains("GA5055", told.Error, StringComparison.Ordinal);
        Assert.Contains("rhymes", CliRun.Of("atoms", run.Path).Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_busy_or_failing_endpoint_is_asked_again_as_it_says()
    {
        var replies = new Queue<(int, string, string?)>([(429, "{}", "0"), (500, "oops", null), (200, "<html>", null), (200, Completion("yes"), null)]);
        _server.Answer = _ => replies.Dequeue();
        using var client = Client(key: "secret", retries: 3);
        var response = await client.GetResponseAsync([new(ChatRole.User, "well?")], new() { MaxOutputTokens = 5, Temperature = 0 }, Cancellation);
        Assert.Equal(("yes", 10L), (response.Text, response.Usage!.InputTokenCount));
        Assert.Equal(4, _server.Requests.Count);
        Assert.All(_server.Requests, request => Assert.Equal(("Bearer secret", 5), (request.Authorization, (int)request.Body["max_tokens"]!)));
    }

    [Theory]
    [InlineData(401, "GA5051", 1)]
    [InlineData(403, "GA5051", 1)]
    [InlineData(404, "GA5053", 1)]
    [InlineData(302, "GA5053", 1)] // followed nowhere
    [InlineData(429, "GA5052", 3)]
    [InlineData(503, "GA5053", 3)]
    [InlineData(200, "GA5054", 3)]
    public async Task What_does_not_get_better_has_a_code(int status, string code, int requests)
    {
        _server.Answer = _ => (status, "{\"choices\": []}", null);
        using var client = Client();
        var error = await Assert.ThrowsAsync<LabelException>(() => client.GetResponseAsync("well?", cancellationToken: Cancellation));
        Assert.Equal((code, requests), (error.Code, _server.Requests.Count));
    }

    [Fact]
    public async Task An_endpoint_that_is_silent_or_not_there_has_a_code()
    {
        _server.Answer = _ => (200, Completion("late"), "wait");
        using var client = Client(timeout: 0.2, retries: 0);
        Assert.Equal("GA5050", (await Assert.ThrowsAsync<LabelException>(() => client.GetResponseAsync("well?", cancellationToken: Cancellation))).Code);
        using var nowhere = new EndpointClient(new() { Endpoint = new("http://127.0.0.1:1/v1"), Model = "small", Retries = 1, FirstWait = TimeSpan.FromMilliseconds(1) });
        Assert.Equal("GA5050", (await Assert.ThrowsAsync<LabelException>(() => nowhere.GetResponseAsync("well?", cancellationToken: Cancellation))).Code);
    }

    private EndpointClient Client(string? key = null, double timeout = 20, int retries = 2) =>
        new(new() { Endpoint = new(_server.Address), Model = "small", Key = key, Retries = retries, FirstWait = TimeSpan.FromMilliseconds(1), Timeout = TimeSpan.FromSeconds(timeout) });

    private static string Completion(string text) => new JsonObject
    {
        ["model"] = "small-2",
        ["choices"] = new JsonArray(new JsonObject { ["message"] = new JsonObject { ["role"] = "assistant", ["content"] = text } }),
        ["usage"] = new JsonObject { ["prompt_tokens"] = 10, ["completion_tokens"] = 3 },
    }.ToJsonString();

    private sealed record Seen(string Path, JsonNode Body, string? Authorization);

    /// <summary>An HTTP server that answers as it is told; a reply whose last part is <c>wait</c> never comes.</summary>
    private sealed class Loopback : IDisposable
    {
        private readonly HttpListener _listener = new();
        private readonly Task _loop;

        public Loopback()
        {
            using (var free = new TcpListener(IPAddress.Loopback, 0))
            {
                free.Start();
                Address = $"http://127.0.0.1:{((IPEndPoint)free.LocalEndpoint).Port}/v1";
            }

            _listener.Prefixes.Add($"{Address}/");
            _listener.Start();
            _loop = Task.Run(Serve);
        }

        public string Address { get; }

        public List<Seen> Requests { get; } = [];

        public Func<Seen, (int Status, string Body, string? RetryAfter)> Answer { get; set; } = _ => (500, "", null);

        public void Dispose()
        {
            _listener.Close();
            _loop.Wait();
        }

        private async Task Serve()
        {
            while (true)
            {
                HttpListenerContext context;
                try
                {
                    context = await _listener.GetContextAsync();
                }
                catch (Exception exception) when (exception is HttpListenerException or ObjectDisposedException)
                {
                    return;
                }

                using var reader = new StreamReader(context.Request.InputStream, Encoding.UTF8);
                var seen = new Seen(context.Request.Url!.AbsolutePath, JsonNode.Parse(await reader.ReadToEndAsync())!, context.Request.Headers["Authorization"]);
                Requests.Add(seen);
                var (status, body, retryAfter) = Answer(seen);
                if (retryAfter == "wait")
                {
                    continue;
                }

                context.Response.StatusCode = status;
                if (retryAfter is not null)
                {
                    context.Response.Headers["Retry-After"] = retryAfter;
                }

                if (status == 302)
                {
                    context.Response.RedirectLocation = $"{Address}/elsewhere";
                }

                context.Response.OutputStream.Write(Encoding.UTF8.GetBytes(body));
                context.Response.Close();
            }
        }
    }
}
