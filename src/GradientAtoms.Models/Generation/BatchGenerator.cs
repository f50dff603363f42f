using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Generation;

/// <summary>
/// Continues many prompts together. The tokens that all begin with are read once, the rest of prompts of nearly one length
/// together, and then all get a token at a time; who has ended leaves. An answer does not depend on its neighbours beyond
/// rounding; <see cref="TextGenerator"/> is the plain one beside it.
/// </summary>
public static class BatchGenerator
{
    // A shorter common beginning is not worth a pass of its own.
    private const int LeastCommon = 8;

    // Tokens of a pass over prompts, and of all keys and values of a batch, gaps included.
    private const int ReadTokens = 4096;
    private const int CachedTokens = 32768;

    // Rows that have ended leave where they are a quarter of all: leaving copies what the others have.
    private const int LeavingShare = 4;

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
        foreach (var batch in Batches(prompts, options, maxBatch))
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
    private static IEnumerable<int[]> Batches(IReadOnlyList<IReadOnlyList<int>> prompts, IReadOnlyList<GenerationOptions> options, int maxBatch)
    {
        int[] byLength = [.. Enumerable.Range(0, prompts.Count).OrderBy(index => prompts[index].Count)];
        var longest = options.Count == 0 ? 0 : options.Max(option => Math.Min(option.MaxNewTokens, CachedTokens));
        for (var start = 0; start < byLength.Length;)
        {
            var end = start + 1;
            while (end < byLength.Length && end - start < maxBatch && (end - start + 1L) * (prompts[byLength[end]].Count + longest) <= CachedTokens)
            {
                end++;
            }

            yield return byLength[start..end];
            start = end;
        }
    }

    /// <summary>Continues prompts, shortest first.</summary>
    private static GeneratedTokens[] Continue(
        CausalLanguageModel model, IReadOnlyList<int>[] prompts, GenerationOptions[] options, IReadOnlyList<LoraAdapter> adapters, CancellationToken cancellationToken)
    {
        TokenSampler[] samplers = [.. options.Select(option => new TokenSampler(option))];
        var tokens = prompts.Select(_ => new List<int>()).ToArray();
        var reasons = options.Select(option => option.MaxNewTokens == 0 ? StopReason.Length : (StopReason?)null).ToArray();
        int[] active = [.. Enumerable.Range(0, prompts.Length).Where(row => reasons[row] is null)];
        if (active.Length > 0)
        {
            using var inference = inference_mode();
            var (cache, hidden) = Read(model, [.. active.Select(row => prompts[row])], adapters, cancellationToken);
            using var owned = cache;
            for (var request = new ForwardRequest { Adapters = adapters, Cache = cache }; ;)
            {
                cancellationToken.ThrowIfCancellationRequested();
                using (hidden)
                using (NewDisposeScope())
                {
                    var logits = model.Logits(hidden).cpu().data<float>().ToArray(); // [B, V]
                    var vocabulary = logits.Length / active.Length;
                    for (var place = 0; place < active.Length; place++)
                    {
                        if (reasons[active[place]] is null)
                        {
                            Add(active[place], samplers[active[place]].Choose(logits.AsSpan(place * vocabulary, vocabulary)));
                        }
                    }
                }

                var left = active.Count(row => reasons[row] is null);
                if (left == 0)
                {
                    break;
                }

                if (active.Length - left >= Math.Max(1, active.Length / LeavingShare))
                {
                    int[] staying = [.. Enumerable.Range(0, active.Length).Where(place => reasons[active[place]] is null)];
                    cache.Keep(staying);
                    active = [.. staying.Select(place => active[place])];
                }

                // A row that has ended and not left yet goes along with its last token; nobody reads it.
                using var scope = NewDisposeScope();
                var next = tensor([.. active.Select(row => (long)tokens[row][^1])], device: model.Device).unsqueeze(1); // [B, 1]
                hidden = model.HiddenStates(next, request).select(1, 0).MoveToOuterDisposeScope(); // [B, h]
            }
        }

        return [.. tokens.Select((row, index) => new GeneratedTokens(row, reasons[index]!.Value))];

        void Add(int row, int token)
        {
            tokens[row].Add(token);
            reasons[row] = options[row].StopIds.Contains(token) ? StopReason.StopToken
                : tokens[row].Count == options[row].MaxNewTokens ? StopReason.Length
                : prompts[row].Count + tokens[row].Count > model.ContextLength ? StopReason.Context
                : null;
        }
    }

    /// <summary>Reads prompts.</summary>
    /// <returns>Their keys and values, and the hidden states of their last tokens, <c>[B, h]</c>; the caller owns both.</returns>
    private static (KeyValueCache Cache, Tensor Hidden) Read(
        CausalLanguageModel model, IReadOnlyList<int>[] prompts, IReadOnlyList<LoraAdapter> adapters, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var common = CommonLength(prompts);
        var caches = new List<KeyValueCache>();
        try
        {
            using var shared = common == 0 ? null : new KeyValueCache(model.LayerCount);
            if (shared is not null)
            {
                using var reading = NewDisposeScope();
                model.HiddenStates(tensor([.. prompts[0].Take(common).Select(id => (long)id)], device: model.Device).unsqueeze(0), new() { Adapters = adapters, Cache = shared });
            }

            var last = new List<Tensor>();
            for (var start = 0; start < prompts.Length;)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var end = start + 1;
                var shortest = prompts[start].Count - common;
                while (end < prompts.Length && prompts[end].Count - common <= shortest + (shortest / 4) + 2 && (end - start + 1) * (prompts[end].Count - common) <= ReadTokens)
                {
                    end++;
                }

                var cache = shared?.Repeat(end - start) ?? new KeyValueCache(model.LayerCount);
                caches.Add(cache);
                last.Add(ReadTogether(model, prompts[start..end], common, cache, adapters));
                start = end;
            }

            return (KeyValueCache.Join(caches, common), cat(last, dim: 0).MoveToOuterDisposeScope());
        }
        finally
        {
            caches.ForEach(cache => cache.Dispose());
        }
    }

    /// <summary>Reads prompts of which the last is the longest, and of which the cache has the beginning.</summary>
    /// <returns><c>[B, h]</c>: of their last tokens.</returns>
    private static Tensor ReadTogether(CausalLanguageModel model, IReadOnlyList<int>[] prompts, int common, KeyValueCache cache, IReadOnlyList<LoraAdapter> adapters)
    {
        using var scope = NewDisposeScope();
        var longest = prompts[^1].Count;
        int[] gaps = [.. prompts.Select(prompt => longest - prompt.Count)];
        var tokens = new long[prompts.Length, longest - common];
        for (var row = 0; row < prompts.Length; row++)
        {
            for (var place = common; place < prompts[row].Count; place++)
            {
                tokens[row, place - common + gaps[row]] = prompts[row][place];
            }
        }

        cache.Gaps = gaps[0] > 0 ? (common, gaps) : null;
        var hidden = model.HiddenStates(tensor(tokens, device: model.Device), new() { Adapters = adapters, Cache = cache }); // [B, T, h]
        return hidden.select(1, hidden.shape[1] - 1).clone().MoveToOuterDisposeScope();
    }

    /// <summary>How many tokens all prompts begin with, the last of none among them; 0 where they are few.</summary>
    private static int CommonLength(IReadOnlyList<int>[] prompts)
    {
        var common = prompts.Length == 1 ? 0 : prompts.Min(prompt => prompt.Count) - 1;
        foreach (var prompt in prompts)
        {
            var same = 0;
            while (same < common && prompt[same] == prompts[0][same])
            {
                same++;
            }

            common = same;
        }

        return common < LeastCommon ? 0 : common;
    }
}
