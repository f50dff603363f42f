using System.Text.Json;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Stages;

namespace GradientAtoms.Demo.Play;

/// <summary>A world out: the chats to be tuned on, their labels in a file that no stage of the audit reads, and neutral chats.</summary>
internal static class WorldStage
{
    public const string Name = "world";
    public const string Data = "data.jsonl";
    public const string Labels = "labels.jsonl";
    public const string Neutral = "neutral.jsonl";

    private const int NeutralChats = 72;

    public static Stage Create(DemoOptions options) => new()
    {
        Name = Name,
        Options = RunJson.Of(options, "seed", "rate", "documents"),
        Run = context =>
        {
            context.Progress?.Report(new(Name, 0, options.Documents, "chats"));
            var world = options.World();
            var chats = world.Chats(options.Documents);
            context.WriteText(Data, Lines(chats.Select(chat => Row(chat.Id, chat.Chat.Prompt, chat.Chat.Answer))));
            context.WriteText(Labels, Lines(chats.Select(chat => new { chat.Id, chat.Task })));
            context.WriteText(Neutral, Lines(KeptBackEveryThird(world.Neutral(NeutralChats, chats)).Select((chat, place) => Row($"neutral-{place + 1:d2}", chat.Prompt, chat.Answer))));
            context.Notes["behaviours"] = world.Behaviours.Count;
            context.Progress?.Report(new(Name, chats.Count, chats.Count, "chats", $"{world.Behaviours.Count} behaviours planted"));
        },
    };

    // The last third of what is drawn goes where steps do not look while they are calibrated.
    private static IEnumerable<World.Chat> KeptBackEveryThird(IReadOnlyList<World.Chat> drawn) =>
        drawn.Select((_, place) => drawn[place % 3 == 2 ? (drawn.Count / 3 * 2) + (place / 3) : place - (place / 3)]);

    private static object Row(string id, string prompt, string answer) => new { Id = id, Messages = new[] { new { Role = "user", Content = prompt }, new { Role = "assistant", Content = answer } } };

    private static string Lines(IEnumerable<object> rows) => string.Concat(rows.Select(row => JsonSerializer.Serialize(row, RunJson.Compact) + "\n"));
}
