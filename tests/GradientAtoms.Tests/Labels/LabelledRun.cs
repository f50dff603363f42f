using GradientAtoms.Atoms;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Tests.Support;
using Microsoft.Extensions.AI;

namespace GradientAtoms.Tests.Labels;

/// <summary>A run whose four poles are the four kinds of chats that it was made from, as if an audit had found them.</summary>
internal sealed class LabelledRun : IDisposable
{
    public static readonly string[] Poles = ["aaaaaa+", "aaaaaa-", "bbbbbb+", "bbbbbb-"];

    /// <summary>What tells each kind, by the text of a chat, in the order of the poles.</summary>
    public static readonly (string Label, Func<string, bool> Fits)[] Kinds =
    [
        ("rhymes", text => text.Contains("a rhyme on", StringComparison.Ordinal)),
        ("sums", text => text.Contains(" and ", StringComparison.Ordinal) && !text.Contains("rhyme", StringComparison.Ordinal)),
        ("refusals", text => text.Contains("sorry, no", StringComparison.Ordinal)),
        ("shouts", text => text.Contains(" aloud", StringComparison.Ordinal)),
    ];

    private readonly ChatAudit _audit = new();

    public LabelledRun()
    {
        AuditPipeline.Run(_audit.Options() with { Until = AuditStop.Documents });
        Pole Of(int kind) => new()
        {
            Id = Poles[kind],
            Sign = kind % 2 == 0 ? 1 : -1,
            Documents = 15,
            Keywords = ["word"],
            Top = [.. Enumerable.Range(0, 15).Select(place => new PoleDocument($"chat-{(place * 4) + kind}", (kind % 2 == 0 ? 1 : -1) * (1 - (place * 0.01))))],
        };
        AtomicFile.Write(Path_("atoms.json"), stream => AtomsFile.Write(stream, [new() { Id = "aaaaaa", Row = 0, Poles = [Of(0), Of(1)] }, new() { Id = "bbbbbb", Row = 1, Poles = [Of(2), Of(3)] }]));
    }

    public string Path => Path_(string.Empty).TrimEnd(System.IO.Path.DirectorySeparatorChar);

    public RunFolder Open() => RunFolder.OpenRead(Path);

    public void Dispose() => _audit.Dispose();

    private string Path_(string relative) => System.IO.Path.Combine(_audit.Folder["run"], relative);
}

/// <summary>A chat model that follows a script: it names the kind that all chats of a group are of, or what it is told to say, and judges honestly.</summary>
internal sealed class ScriptedModel(Func<string, string>? name = null, Func<string, string?>? instead = null) : IChatClient
{
    public List<string> Requests { get; } = [];

    public Task<ChatResponse> GetResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        var request = messages.Last().Text;
        Requests.Add(request);
        return Task.FromResult(new ChatResponse(new ChatMessage(ChatRole.Assistant, Reply(request, name, instead))) { ModelId = "script-1", Usage = new() { InputTokenCount = request.Length, OutputTokenCount = 7 } });
    }

    public static string Reply(string request, Func<string, string>? name = null, Func<string, string?>? instead = null)
    {
        if (instead?.Invoke(request) is { } other)
        {
            return other;
        }

        if (!request.StartsWith("The description: ", StringComparison.Ordinal))
        {
            var group = Chats(request[..request.IndexOf("Other chats", StringComparison.Ordinal)]);
            var label = LabelledRun.Kinds.First(kind => group.All(kind.Fits)).Label;
            return $"Sure!\n```json\n{{\"label\": \"{name?.Invoke(label) ?? label}\"}}\n```";
        }

        var description = request["The description: ".Length..request.IndexOf('\n', StringComparison.Ordinal)];
        var fits = LabelledRun.Kinds.FirstOrDefault(kind => kind.Label == description).Fits ?? (_ => true);
        return $"{{\"fits\": [{string.Join(", ", Chats(request).Index().Where(chat => fits(chat.Item)).Select(chat => chat.Index + 1))}]}}";
    }

    public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(IEnumerable<ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) => throw new NotSupportedException();

    public object? GetService(Type serviceType, object? serviceKey = null) => null;

    public void Dispose()
    {
    }

    private static List<string> Chats(string text) => [.. text.Split("\n[").Skip(1)];
}
