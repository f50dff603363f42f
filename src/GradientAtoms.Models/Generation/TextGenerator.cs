using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;

namespace GradientAtoms.Models.Generation;

/// <summary>Generates tokens one by one, with a key-value cache.</summary>
public static class TextGenerator
{
    /// <summary>Continues a prompt.</summary>
    /// <param name="model">The model.</param>
    /// <param name="promptTokens">At least one token.</param>
    /// <param name="options">Length, sampling, stopping.</param>
    /// <param name="adapters">Low-rank changes for this answer, added up; none where null.</param>
    /// <param name="onToken">Called with every new token as it is chosen.</param>
    /// <param name="cancellationToken">Looked at before every token.</param>
    /// <returns>The new tokens and why they ended.</returns>
    /// <exception cref="ArgumentException">The prompt is empty, does not fit the context, or has an id outside of the vocabulary.</exception>
    public static GeneratedTokens Generate(
        CausalLanguageModel model,
        IReadOnlyList<int> promptTokens,
        GenerationOptions options,
        IReadOnlyList<LoraAdapter>? adapters = null,
        Action<int>? onToken = null,
        CancellationToken cancellationToken = default)
    {
        using var sequence = new GenerationSequence(model, promptTokens, options, adapters);
        while (sequence.Reason is null)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (sequence.Step() is { } token)
            {
                onToken?.Invoke(token);
            }
        }

        return new(sequence.Tokens, sequence.Reason.Value);
    }

    /// <summary>Checks that a prompt can be run.</summary>
    /// <exception cref="ArgumentException">It is empty, does not fit the context, or has an id outside of the vocabulary.</exception>
    internal static void CheckPrompt(CausalLanguageModel model, IReadOnlyList<int> promptTokens)
    {
        if (promptTokens.Count == 0 || promptTokens.Count > model.ContextLength)
        {
            throw new ArgumentException($"the prompt has {promptTokens.Count} tokens; the model takes 1 to {model.ContextLength}", nameof(promptTokens));
        }

        foreach (var outside in promptTokens.Where(id => id < 0 || id >= model.VocabularySize))
        {
            throw new ArgumentException($"token {outside} is not in the vocabulary of {model.VocabularySize}", nameof(promptTokens));
        }
    }
}
