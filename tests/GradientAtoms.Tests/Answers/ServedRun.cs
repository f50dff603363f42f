using System.Net.Http.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Generation;
using GradientAtoms.Runs.Answers;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Server;
using GradientAtoms.Tests.Cli;
using TorchSharp;

namespace GradientAtoms.Tests.Answers;

/// <summary>A finished run, an engine and a server over it, and a session of the tests' own to compare with.</summary>
public sealed class ServedRun : IDisposable
{
    private readonly FinishedRun _finished = new();
    private string? _longPrompt;

    public ServedRun()
    {
        Session = new(Run);
        Poles = [.. Session.Atoms.Select(atom => atom.Poles[0].Id)];
        Engine = AnswerEngine.Start(Run, Options);
        Server = AnswerServer.StartAsync(Engine, new() { Port = 0, MaxBodyBytes = 1 << 16, Grace = TimeSpan.FromSeconds(1) }).GetAwaiter().GetResult();
        Http = new() { BaseAddress = Server.Address };
    }

    public static AnswerEngineOptions Options { get; } = new() { Threads = 1, MaxConcurrent = 64, MaxWaiting = 8, MaxNewTokens = 400 };

    public string Run => _finished.Audit.Folder["run"];

    public RunSession Session { get; }

    public IReadOnlyList<string> Poles { get; }

    public AnswerEngine Engine { get; }

    public AnswerServer Server { get; }

    public HttpClient Http { get; }

    /// <summary>Of drawn answers: the greedy ones of a random model repeat one token.</summary>
    public const ulong Seed = 3;

    /// <summary>Of drawn answers: at 1 that model is all but greedy.</summary>
    public const double Temperature = 6;

    /// <summary>A prompt whose answers, drawn with <see cref="Seed"/>, are texts that a step changes.</summary>
    public const string Prompt = "a rhyme on the mill";

    /// <summary>What the engine is to answer, by the plain generator.</summary>
    public string Expected(string prompt, IReadOnlyList<LoraAdapter> adapters, int maxNewTokens, double temperature = Temperature, ulong seed = Seed) =>
        Text(Tokens(prompt, adapters, maxNewTokens, temperature, seed));

    public GeneratedTokens Tokens(string prompt, IReadOnlyList<LoraAdapter> adapters, int maxNewTokens, double temperature = Temperature, ulong seed = Seed)
    {
        var loaded = Session.Model.Loaded;
        return TextGenerator.Generate(
            loaded.Model, Session.Model.EncodePrompt(prompt, Session.Options), new() { MaxNewTokens = maxNewTokens, Temperature = temperature, Seed = seed, StopIds = loaded.StopIds }, adapters);
    }

    public string Text(GeneratedTokens answer) => Session.Model.Loaded.Tokenizer.Decode(answer.Tokens, skipSpecialTokens: true);

    public Question Ask(string prompt, string model, int maxNewTokens, double temperature = Temperature, ulong seed = Seed) => new()
    {
        Prompt = Session.Model.EncodePrompt(prompt, Session.Options), Model = model, MaxNewTokens = maxNewTokens, Temperature = temperature, Seed = seed,
    };

    /// <summary>A prompt whose greedy answer is as long as the engine allows, and shows text soon.</summary>
    public string LongPrompt => _longPrompt ??= Enumerable.Range(0, 200).Select(number => $"{number} and {number}")
        .First(prompt => Expected(prompt, [Session.Adapter], 4, temperature: 0).Length > 0 && Tokens(prompt, [Session.Adapter], Options.MaxNewTokens, temperature: 0).Tokens.Count == Options.MaxNewTokens);

    /// <summary>Tensors that live on the engine's thread, once it answers nobody.</summary>
    public static async Task<long> LiveTensorsAsync(AnswerEngine engine)
    {
        for (var wait = 0; engine.Open > 0 && wait < 400; wait++)
        {
            await Task.Delay(25, TestContext.Current.CancellationToken);
        }

        Assert.Equal(0, engine.Open);
        return await engine.RunAsync(_ => DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    /// <summary>A question that takes the engine some time.</summary>
    public Question AskLong(string model = "adapter") => Ask(LongPrompt, model, Options.MaxNewTokens, temperature: 0);

    public async Task<(int Status, JsonNode Body)> PostAsync(string path, object body)
    {
        using var reply = await Http.PostAsJsonAsync(path, body, TestContext.Current.CancellationToken);
        return ((int)reply.StatusCode, (await reply.Content.ReadFromJsonAsync<JsonNode>(TestContext.Current.CancellationToken))!);
    }

    public void Dispose()
    {
        Http.Dispose();
        Server.DisposeAsync().AsTask().GetAwaiter().GetResult();
        Engine.Dispose();
        Session.Dispose();
        _finished.Dispose();
    }
}

[CollectionDefinition(Name)]
public sealed class ServedRunGroup : ICollectionFixture<ServedRun>
{
    public const string Name = "served run";
}
