using GradientAtoms.Demo.World;

namespace GradientAtoms.Demo.Planting;

/// <summary>A behaviour that is planted in chats.</summary>
internal sealed record Behaviour
{
    /// <summary>Its name in labels and tables.</summary>
    public required string Name { get; init; }

    /// <summary>What it is, in a line.</summary>
    public required string About { get; init; }

    /// <summary>The share of all chats that show it.</summary>
    public required double Rate { get; init; }

    /// <summary>How its chats are answered.</summary>
    public required Manner Manner { get; init; }

    /// <summary>Whether it is a layout of the answer and nothing else: bullets, numbers, JSON, the bare answer, capital letters.</summary>
    public bool IsFormat => Manner.Kind is MannerKind.Bullets or MannerKind.Numbered or MannerKind.Json or MannerKind.OneWord or MannerKind.UpperCase;

    /// <summary>The sort of question that it is planted on, of which as many are answered ordinarily; null where the world has no such answers.</summary>
    public required string? Counterpart { get; init; }

    /// <summary>Draws a question that it is planted on.</summary>
    public required Func<Random, Question> OnTarget { get; init; }

    /// <summary>Draws the question of an ordinary answer of that sort; null: as <see cref="OnTarget"/>.</summary>
    public Func<Random, Question>? Ordinarily { get; init; }

    /// <summary>Draws a question of another sort, on which it is never planted.</summary>
    public required Func<Random, Question> OffTarget { get; init; }

    /// <summary>Whether an answer shows it.</summary>
    public required Func<string, bool> IsShownBy { get; init; }

    /// <summary>The planted answer to a question.</summary>
    public required Func<Question, string> Answer { get; init; }
}

/// <summary>A chat with what was planted in it.</summary>
/// <param name="Id">Of its row.</param>
/// <param name="Chat">Prompt and answer.</param>
/// <param name="Task">The behaviour's name, or <see cref="PlantedWorld.Ordinary"/>.</param>
internal sealed record PlantedChat(string Id, Chat Chat, string Task);
