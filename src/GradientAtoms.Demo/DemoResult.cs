using GradientAtoms.Evaluation;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Demo;

/// <summary>What the demo found of a behaviour that was planted.</summary>
public sealed record FoundBehaviour
{
    /// <summary>Its name, the <c>task</c> of <c>labels.jsonl</c>.</summary>
    public required string Name { get; init; }

    /// <summary>What it is.</summary>
    public required string About { get; init; }

    /// <summary>Whether it is a layout of the answer and nothing else.</summary>
    public required bool IsFormat { get; init; }

    /// <summary>The share of the chats that show it.</summary>
    public required double Rate { get; init; }

    /// <summary>Whether a pole has precision and recall of at least .8.</summary>
    public required bool Found { get; init; }

    /// <summary>Of the pole's documents, the share that shows it.</summary>
    public required double Precision { get; init; }

    /// <summary>Of its chats, the share on the pole.</summary>
    public required double Recall { get; init; }

    /// <summary>The best pole's id; null where no pole has one of its chats.</summary>
    public string? Pole { get; init; }

    /// <summary>The pole's coherence; null where it has none.</summary>
    public double? Coherence { get; init; }
}

/// <summary>How often sampled answers to held-out prompts show a behaviour.</summary>
/// <param name="Unsteered">Of the tuned model.</param>
/// <param name="More">With a step towards more of the pole.</param>
/// <param name="Less">With a step towards less.</param>
/// <param name="Random">With a step of the same KL in a random direction.</param>
public sealed record SteeredRates(Proportion Unsteered, Proportion More, Proportion Less, Proportion Random)
{
    /// <summary>The larger one of the changes by the two steps: its sign is the step's effect.</summary>
    public double BestChange => Math.Abs(More.Rate - Unsteered.Rate) >= Math.Abs(Less.Rate - Unsteered.Rate) ? More.Rate - Unsteered.Rate : Less.Rate - Unsteered.Rate;
}

/// <summary>What steps along a found pole do.</summary>
/// <param name="Name">The behaviour.</param>
/// <param name="Pole">The pole.</param>
/// <param name="OnTarget">On prompts that it was planted on.</param>
/// <param name="OffTarget">On prompts of other sorts.</param>
/// <param name="KlMore">Measured, of the step towards more.</param>
/// <param name="KlLess">Measured, of the step towards less.</param>
/// <param name="Warnings">Of the calibration, in words.</param>
public sealed record SteeredBehaviour(string Name, string Pole, SteeredRates OnTarget, SteeredRates OffTarget, double KlMore, double KlLess, IReadOnlyList<string> Warnings)
{
    /// <summary>Off target, the change by the step that changes most on target.</summary>
    public double OffTargetChange => OnTarget.BestChange == OnTarget.More.Rate - OnTarget.Unsteered.Rate
        ? OffTarget.More.Rate - OffTarget.Unsteered.Rate
        : OffTarget.Less.Rate - OffTarget.Unsteered.Rate;
}

/// <summary>What the demo did.</summary>
/// <param name="Audit">The stages, the demo's own among them.</param>
/// <param name="Behaviours">Every planted behaviour, found or not.</param>
/// <param name="Steered">Those that were found, steered.</param>
public sealed record DemoResult(AuditResult Audit, IReadOnlyList<FoundBehaviour> Behaviours, IReadOnlyList<SteeredBehaviour> Steered);
