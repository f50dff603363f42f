using GradientAtoms.Runs.Answers;
using GradientAtoms.Runs.Steps;
using Microsoft.Extensions.AI;

namespace GradientAtoms.Tests.Answers;

[Collection(ServedRunGroup.Name)]
public sealed class RunChatClientTests(ServedRun served)
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_response_is_that_of_the_plain_generator_whole_and_streamed()
    {
        using var client = new RunChatClient(served.Engine);
        var options = new ChatOptions { Temperature = 6, Seed = 5, MaxOutputTokens = 30 };
        var expected = served.Tokens("2 and 3", [served.Session.Adapter], 30, 6, 5);
        var response = await client.GetResponseAsync("2 and 3", options, Cancellation);
        Assert.Equal(served.Text(expected), response.Text);
        Assert.Equal(expected.Tokens.Count, response.Usage!.OutputTokenCount);
        Assert.Equal(expected.Reason == Models.Generation.StopReason.StopToken ? ChatFinishReason.Stop : ChatFinishReason.Length, response.FinishReason);

        var streamed = await client.GetStreamingResponseAsync("2 and 3", options, Cancellation).ToChatResponseAsync(Cancellation);
        Assert.Equal((response.Text, response.FinishReason, response.Usage.TotalTokenCount), (streamed.Text, streamed.FinishReason, streamed.Usage!.TotalTokenCount));
        Assert.Single(streamed.Messages);
    }

    [Fact]
    public async Task Instructions_are_a_system_turn_and_stop_sequences_end_the_answer()
    {
        using var client = new RunChatClient(served.Engine, "base");
        var loaded = served.Session.Model.Loaded;
        var prompt = loaded.Tokenizer.Encode("<bos>system: be brief<eos><bos>user: 2 and 3<eos><bos>assistant: ");
        var expected = served.Text(Models.Generation.TextGenerator.Generate(loaded.Model, prompt, new() { MaxNewTokens = 30, StopIds = loaded.StopIds }));
        var options = new ChatOptions { Instructions = "be brief", Temperature = 0, MaxOutputTokens = 30 };
        Assert.Equal(expected, (await client.GetResponseAsync("2 and 3", options, Cancellation)).Text);
        options.StopSequences = [expected[3..5]];
        Assert.Equal(expected[..expected.IndexOf(expected[3..5], StringComparison.Ordinal)], (await client.GetResponseAsync("2 and 3", options, Cancellation)).Text);
    }

    [Fact]
    public async Task Steers_are_a_model_or_a_property()
    {
        const string prompt = ServedRun.Prompt;
        using var step = PoleStep.Choose(served.Session, served.Poles[0], new() { Kl = 0.3 });
        using var adapter = step.ToAdapter(served.Session.Adapter);
        var expected = served.Expected(prompt, [adapter], 30);
        Assert.NotEqual(served.Expected(prompt, [served.Session.Adapter], 30), expected);
        using var steered = new RunChatClient(served.Engine, $"{served.Poles[0]}@.3");
        using var plain = new RunChatClient(served.Engine);
        var options = new ChatOptions { Temperature = (float)ServedRun.Temperature, Seed = (long)ServedRun.Seed, MaxOutputTokens = 30 };
        Assert.Equal(expected, (await steered.GetResponseAsync(prompt, options, Cancellation)).Text);
        options.AdditionalProperties = new() { [RunChatClient.SteeringProperty] = new Steer(served.Poles[0], 0.3) };
        Assert.Equal(expected, (await plain.GetResponseAsync(prompt, options, Cancellation)).Text);
    }

    [Fact]
    public async Task What_would_be_passed_over_silently_is_refused()
    {
        using var client = new RunChatClient(served.Engine);
        foreach (var options in (ChatOptions[])
        [
            new() { Tools = [AIFunctionFactory.Create(() => 1, "one")] }, new() { ResponseFormat = ChatResponseFormat.Json }, new() { PresencePenalty = 1 }, new() { FrequencyPenalty = 1 },
            new() { AdditionalProperties = new() { ["steering"] = "more" } },
        ])
        {
            Assert.Equal("GA5021", (await Assert.ThrowsAsync<AnswerException>(() => client.GetResponseAsync("x", options, Cancellation))).Code);
        }

        var image = new ChatMessage(ChatRole.User, [new DataContent(new byte[] { 1 }, "image/png")]);
        Assert.Equal("GA5021", (await Assert.ThrowsAsync<AnswerException>(() => client.GetResponseAsync([image], null, Cancellation))).Code);
    }

    [Fact]
    public async Task A_client_of_its_own_run_closes_it()
    {
        AnswerEngine engine;
        using (var client = RunChatClient.Open(served.Run, "base", ServedRun.Options))
        {
            engine = client.GetRequiredService<AnswerEngine>();
            Assert.Equal("base", client.GetRequiredService<ChatClientMetadata>().DefaultModelId);
            Assert.Equal(served.Expected("2 and 3", [], 5, temperature: 0), (await client.GetResponseAsync("2 and 3", new() { Temperature = 0, MaxOutputTokens = 5 }, Cancellation)).Text);
        }

        Assert.Equal("GA5024", Assert.Throws<AnswerException>(() => engine.Ask(served.Ask("x", "base", 1))).Code);
    }
}
