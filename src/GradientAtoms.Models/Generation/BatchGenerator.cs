using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Generation;

/// <summary>
/// Continues many prompts. Those of one length run together, so nothing is padded and an answer does not depend on its
/// neighbours beyond rounding; <see cref="TextGenerator"/> is the plain one beside it.
/// </summary>
public static class BatchGenerator
{
    /// <summary>Continues every prompt.</summary>
    /// <param name="model">The model.</param>
    /// <param name="prompts">At least one token each.</param>
    /// <param name="options">Length, sampling, stopping. The i-th prompt draws from the stream <c>Seed + i</c>.</param>
    /// <param name="adapters">Low-rank changes for these answers, added up; none where null.</param>
    /// <param name="maxBatch">Prompts that run together at most.</param>
    /// <param name="cancellationToken">Looked at before every token.</param>
    /// <returns>One a prompt, in their order.</returns>
    /// <exception cref="ArgumentException">A prompt is empty, does not fit the context, or has an id outside of the vocabulary.</exception>
    public static IReadOnlyList<GeneratedTokens> Generate(
        CausalLanguageModel model,
        IReadOnlyList<IReadOnlyList<int>> prompts,
        GenerationOptions options,
        IReadOnlyList<LoraAdapter>? adapters = null,
        int maxBatch = 128,
        CancellationToken cancellationToken = default)
    {
        options.Check();
        foreach (var prompt in prompts)
        {
            TextGenerator.CheckPrompt(model, prompt);
        }

        var answers = new GeneratedTokens[prompts.Count];
        foreach (var batch in Enumerable.Range(0, prompts.Count).GroupBy(index => prompts[index].Count).OrderBy(group => group.Key).SelectMany(group => group.Chunk(maxBatch)))
        {
            var continued = Continue(model, [.. batch.Select(index => prompts[index])], [.. batch.Select(index => options with { Seed = options.Seed + (ulong)index })], adapters ?? [], cancellationToken);
            for (var row = 0; row < batch.Length; row++)
            {
                answers[batch[row]] = continued[row];
            }
        }

        return answers;
    }

    private static GeneratedTokens[] Continue(
        CausalLanguageModel model, IReadOnlyList<int>[] prompts, GenerationOptions[] options, IReadOnlyList<LoraAdapter> adapters, CancellationToken cancellationToken)
    {
        using var inference = inference_mode();
        using var cache = model.NewCache();
        var request = new ForwardRequest { Adapters = adapters, Cache = cache };
        TokenSampler[] samplers = [.. options.Select(option => new TokenSampler(option))];
        var tokens = prompts.Select(_ => new List<int>()).ToArray();
        var reasons = new StopReason?[prompts.Length];
        var (length, greedy) = (prompts[0].Count, options[0].Temperature == 0);
        var next = new long[prompts.Length, length];
        for (var row = 0; row < prompts.Length; row++)
        {
            for (var place = 0; place < length; place++)
            {
                next[row, place] = prompts[row][place];
            }
        }

        for (var step = 0; step < options[0].MaxNewTokens && reasons.Any(reason => reason is null); step++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (length + step > model.ContextLength)
            {
                Array.ForEach(Enumerable.Range(0, prompts.Length).ToArray(), row => reasons[row] ??= StopReason.Context);
                break;
            }

            using var scope = NewDisposeScope();
            var hidden = model.HiddenStates(tensor(next, device: model.Device), request); // [B, T, h]
            var logits = model.Logits(hidden.select(1, hidden.shape[1] - 1)).cpu(); // [B, V]
            var likeliest = greedy ? logits.argmax(1).data<long>().ToArray() : [];
            next = new long[prompts.Length, 1];
            for (var row = 0; row < prompts.Length; row++)
            {
                // A row that has ended goes along with its stop token until the last one ends; nobody reads it.
                if (reasons[row] is not null)
                {
                    next[row, 0] = tokens[row][^1];
                    continue;
                }

                var token = greedy ? (int)likeliest[row] : samplers[row].Choose(logits[row]);
                tokens[row].Add(token);
                next[row, 0] = token;
                if (options[row].StopIds.Contains(token))
                {
                    reasons[row] = StopReason.StopToken;
                }
            }
        }

        return [.. tokens.Select((row, index) => new GeneratedTokens(row, reasons[index] ?? StopReason.Length))];
    }
}
