using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Generation;

/// <summary>
/// Continues many prompts. Those of nearly one length run together: the shortest is read at once, and what the others have
/// beyond it token by token, while shorter ones are answered already. So nothing is padded, and an answer does not depend on
/// its neighbours beyond rounding; <see cref="TextGenerator"/> is the plain one beside it.
/// </summary>
public static class BatchGenerator
{
    // Reading this many tokens one by one costs less than a batch of their own for the longer prompts.
    private const int LongerTokens = 16;

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
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(options);
        return GenerateEach(model, prompts, [.. prompts.Select((_, index) => options with { Seed = options.Seed + (ulong)index })], adapters, maxBatch, cancellationToken);
    }

    /// <summary>The same with options of each prompt's own: an answer is then the same whatever prompts are asked beside it.</summary>
    /// <param name="model">The model.</param>
    /// <param name="prompts">At least one token each.</param>
    /// <param name="options">One a prompt.</param>
    /// <param name="adapters">Low-rank changes for these answers, added up; none where null.</param>
    /// <param name="maxBatch">Prompts that run together at most.</param>
    /// <param name="cancellationToken">Looked at before every token.</param>
    /// <returns>One a prompt, in their order.</returns>
    /// <exception cref="ArgumentException">A prompt is empty, does not fit the context, or has an id outside of the vocabulary; or there are more or fewer options.</exception>
    public static IReadOnlyList<GeneratedTokens> GenerateEach(
        CausalLanguageModel model,
        IReadOnlyList<IReadOnlyList<int>> prompts,
        IReadOnlyList<GenerationOptions> options,
        IReadOnlyList<LoraAdapter>? adapters = null,
        int maxBatch = 128,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(options);
        if (options.Count != prompts.Count)
        {
            throw new ArgumentException($"{options.Count} options for {prompts.Count} prompts", nameof(options));
        }

        foreach (var option in options)
        {
            option.Check();
        }

        foreach (var prompt in prompts)
        {
            TextGenerator.CheckPrompt(model, prompt);
        }

        var answers = new GeneratedTokens[prompts.Count];
        foreach (var batch in Batches(prompts, maxBatch))
        {
            var continued = Continue(model, [.. batch.Select(index => prompts[index])], [.. batch.Select(index => options[index])], adapters ?? [], cancellationToken);
            for (var row = 0; row < batch.Length; row++)
            {
                answers[batch[row]] = continued[row];
            }
        }

        return answers;
    }

    /// <summary>Indices of the prompts that run together, shortest first.</summary>
    private static IEnumerable<int[]> Batches(IReadOnlyList<IReadOnlyList<int>> prompts, int maxBatch)
    {
        int[] byLength = [.. Enumerable.Range(0, prompts.Count).OrderBy(index => prompts[index].Count)];
        for (var start = 0; start < byLength.Length;)
        {
            var longest = prompts[byLength[start]].Count + LongerTokens;
            var end = start + 1;
            while (end < byLength.Length && end - start < maxBatch && prompts[byLength[end]].Count <= longest)
            {
                end++;
            }

            yield return byLength[start..end];
            start = end;
        }
    }

    /// <summary>Continues prompts of which the first is the shortest.</summary>
    private static GeneratedTokens[] Continue(
        CausalLanguageModel model, IReadOnlyList<int>[] prompts, GenerationOptions[] options, IReadOnlyList<LoraAdapter> adapters, CancellationToken cancellationToken)
    {
        using var inference = inference_mode();
        using var cache = model.NewCache();
        var request = new ForwardRequest { Adapters = adapters, Cache = cache };
        TokenSampler[] samplers = [.. options.Select(option => new TokenSampler(option))];
        var tokens = prompts.Select(_ => new List<int>()).ToArray();
        var reasons = new StopReason?[prompts.Length];
        for (var row = 0; row < prompts.Length; row++)
        {
            reasons[row] = options[row].MaxNewTokens == 0 ? StopReason.Length : null;
        }

        var read = prompts[0].Count; // tokens of every row, once this step's are read
        var next = new long[prompts.Length, read];
        for (var row = 0; row < prompts.Length; row++)
        {
            for (var place = 0; place < read; place++)
            {
                next[row, place] = prompts[row][place];
            }
        }

        for (; reasons.Any(reason => reason is null); read++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (read > model.ContextLength)
            {
                Array.ForEach(Enumerable.Range(0, prompts.Length).ToArray(), row => reasons[row] ??= StopReason.Context);
                break;
            }

            using var scope = NewDisposeScope();
            var hidden = model.HiddenStates(tensor(next, device: model.Device), request); // [B, T, h]
            var logits = model.Logits(hidden.select(1, hidden.shape[1] - 1)).cpu().data<float>().ToArray(); // [B, V]
            var vocabulary = logits.Length / prompts.Length;
            next = new long[prompts.Length, 1];
            for (var row = 0; row < prompts.Length; row++)
            {
                if (read < prompts[row].Count)
                {
                    next[row, 0] = prompts[row][read];
                    continue;
                }

                // A row that has ended goes along with its last token until all have ended; nobody reads it.
                if (reasons[row] is not null)
                {
                    next[row, 0] = tokens[row].Count == 0 ? prompts[row][^1] : tokens[row][^1];
                    continue;
                }

                var token = samplers[row].Choose(logits.AsSpan(row * vocabulary, vocabulary));
                tokens[row].Add(token);
                next[row, 0] = token;
                reasons[row] = options[row].StopIds.Contains(token) ? StopReason.StopToken
                    : tokens[row].Count == options[row].MaxNewTokens ? StopReason.Length
                    : null;
            }
        }

        return [.. tokens.Select((row, index) => new GeneratedTokens(row, reasons[index]!.Value))];
    }
}
