using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Generation;

namespace GradientAtoms.Steering;

/// <summary>The answers of the unsteered and the steered model to one prompt, drawn with the same seed.</summary>
/// <param name="Prompt">Which prompt, from 0.</param>
/// <param name="Unsteered">Of the model with its adapter.</param>
/// <param name="Steered">Of the same with the step.</param>
public sealed record SideBySideAnswer(int Prompt, GeneratedTokens Unsteered, GeneratedTokens Steered)
{
    /// <summary>Tokens that both answers begin with.</summary>
    public int CommonTokens => Unsteered.Tokens.Zip(Steered.Tokens).TakeWhile(pair => pair.First == pair.Second).Count();
}

/// <summary>Generates with and without a step.</summary>
public static class SideBySide
{
    /// <summary>Answers prompts. The tokens are for the model's tokenizer to decode.</summary>
    /// <param name="model">The model.</param>
    /// <param name="adapter">θ.</param>
    /// <param name="direction">v.</param>
    /// <param name="step">The step; exact, not linearised.</param>
    /// <param name="prompts">Token ids of each prompt, the generation prompt of the chat template included.</param>
    /// <param name="options">Length, sampling, stop tokens; its seed holds for every answer.</param>
    /// <param name="progress">Told before the first prompt and after each.</param>
    /// <param name="cancellationToken">Looked at before every token.</param>
    public static IReadOnlyList<SideBySideAnswer> Generate(
        CausalLanguageModel model,
        LoraAdapter adapter,
        WeightStep direction,
        double step,
        IReadOnlyList<IReadOnlyList<int>> prompts,
        GenerationOptions options,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        using var steered = direction.ToAdapter(adapter, step);
        return Generate(model, adapter, steered, prompts, options, progress, cancellationToken);
    }

    /// <summary>The same with the steered adapter given.</summary>
    /// <param name="model">The model.</param>
    /// <param name="adapter">The adapter without the step.</param>
    /// <param name="steered">The adapter with it.</param>
    /// <param name="prompts">Token ids of each prompt, the generation prompt of the chat template included.</param>
    /// <param name="options">Length, sampling, stop tokens; its seed holds for every answer.</param>
    /// <param name="progress">Told before the first prompt and after each.</param>
    /// <param name="cancellationToken">Looked at before every token.</param>
    public static IReadOnlyList<SideBySideAnswer> Generate(
        CausalLanguageModel model,
        LoraAdapter adapter,
        LoraAdapter steered,
        IReadOnlyList<IReadOnlyList<int>> prompts,
        GenerationOptions options,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        var answers = new List<SideBySideAnswer>();
        progress?.Report(new("answers", 0, prompts.Count, "prompts"));
        foreach (var prompt in prompts)
        {
            answers.Add(new(
                answers.Count,
                TextGenerator.Generate(model, prompt, options, [adapter], cancellationToken: cancellationToken),
                TextGenerator.Generate(model, prompt, options, [steered], cancellationToken: cancellationToken)));
            progress?.Report(new("answers", answers.Count, prompts.Count, "prompts"));
        }

        return answers;
    }
}
