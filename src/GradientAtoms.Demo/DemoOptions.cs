namespace GradientAtoms.Demo;

/// <summary>What the demo plays. Every default is what <c>gatoms demo</c> does without the option.</summary>
public sealed record DemoOptions
{
    /// <summary>The run folder.</summary>
    public string Out { get; init; } = Path.Combine("runs", "demo");

    /// <summary>Of the world: another seed plants other behaviours on other questions, in other words, at other rates.</summary>
    public long Seed { get; init; }

    /// <summary>The share of the chats that each behaviour is planted in, but for the rare one; null: each has its own, between .02 and .05.</summary>
    public double? Rate { get; init; }

    /// <summary>Chats of the fine-tune.</summary>
    public int Documents { get; init; } = 1200;

    /// <summary>Strength of the steps: nats a token of neutral chats.</summary>
    public double Kl { get; init; } = 0.1;

    /// <summary>Held-out prompts of each behaviour, and as many of other sorts.</summary>
    public int Prompts { get; init; } = 40;

    internal Planting.PlantedWorld World() => new(Seed, Rate);
}
