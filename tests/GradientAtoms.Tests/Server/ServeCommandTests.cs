using System.Diagnostics;
using System.Text.Json.Nodes;
using GradientAtoms.Tests.Answers;
using GradientAtoms.Tests.Cli;

namespace GradientAtoms.Tests.Server;

[Collection(ServedRunGroup.Name)]
public sealed class ServeCommandTests(ServedRun served)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_interrupted_server_exits_with_0_within_seconds()
    {
        // A process of its own, so that the signal is a real one; env, since a shell lets what it runs behind itself ignore the signal.
        var start = new ProcessStartInfo("env", ["--default-signal=INT", "dotnet", Path.Combine(AppContext.BaseDirectory, "gatoms.dll"), "serve", served.Run, "--port", "0", "--threads", "1", "--steer", $"mine={served.Poles[0]}@.3", "--json"])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false,
        };
        using var process = Process.Start(start)!;
        try
        {
            var errors = process.StandardError.ReadToEndAsync(Cancellation);
            var printed = string.Empty;
            while (await process.StandardOutput.ReadLineAsync(Cancellation) is { } line)
            {
                printed += line;
                if (line == "}")
                {
                    break;
                }
            }

            Assert.True(printed.Length > 0, printed.Length > 0 ? null : await errors);
            var json = JsonNode.Parse(printed)!;
            Assert.Equal("gatoms/serve", (string?)json["schema"]);
            Assert.Equal(["base", "adapter", "mine"], json["models"]!.AsArray().Select(model => (string?)model!["id"]));
            var address = new Uri((string)json["address"]!);
            using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(address, "/v1/completions"))
            {
                Content = new StringContent("""{"model":"mine","prompt":"the old","stream":true,"max_tokens":1000}""", System.Text.Encoding.UTF8, "application/json"),
            };
            using var reply = await served.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancellation);
            Assert.True(reply.IsSuccessStatusCode);
            using (var kill = Process.Start("kill", ["-INT", process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]))
            {
                await kill.WaitForExitAsync(Cancellation);
            }

            using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
            patience.CancelAfter(TimeSpan.FromSeconds(30));
            await process.WaitForExitAsync(patience.Token);
            Assert.True(process.ExitCode == 0, await errors);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill();
            }
        }
    }

    [Theory]
    [InlineData(6, "GA5038", "--host", "0.0.0.0")]
    [InlineData(6, "GA5039", "--host", "nowhere")]
    [InlineData(6, "GA5039", "--port", "70000")]
    [InlineData(2, "GA1002", "--steer", "a1b2c3+@.1")]
    [InlineData(2, "GA1002", "--steer", "name=a1b2c3+")]
    [InlineData(2, "GA1002", "--adapter", "=x")]
    [InlineData(2, "GA1001", "--timeout", "soon")]
    [InlineData(6, "GA5020", "--port", "0", "--steer", "name=nothing@.1")]
    [InlineData(3, "GA2401", "--port", "0", "--adapter", "name=/nothing")]
    public void What_cannot_be_served_is_told_before_anything_listens(int exitCode, string code, params string[] arguments)
    {
        var run = CliRun.Of(["serve", served.Run, "--threads", "1", .. arguments]);
        Assert.Equal(exitCode, run.ExitCode);
        Assert.Contains(code, run.Error, StringComparison.Ordinal);
        Assert.Empty(run.Out);
    }
}
