using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Generation;

/// <summary>
/// An answer that is generated a token at a time, by whoever asks for the next one: several can take turns on one thread. Owns
/// its cache. All calls come from one thread.
/// </summary>
public sealed class GenerationSequence : IDisposable
{
    private readonly CausalLanguageModel _model;
    private readonly GenerationOptions _options;
    private readonly KeyValueCache _cache;
    private readonly ForwardRequest _request;
    private readonly TokenSampler _sampler;
    private readonly List<int> _tokens = [];
    private readonly int _promptLength;
    private long[] _next;

    /// <summary>Begins an answer; nothing is computed yet.</summary>
    /// <param name="model">The model.</param>
    /// <param name="promptTokens">At least one token.</param>
    /// <param name="options">Length, sampling, stopping.</param>
    /// <param name="adapters">Low-rank changes for this answer, added up; none where null. They must outlive it.</param>
    /// <exception cref="ArgumentException">The prompt is empty, does not fit the context, or has an id outside of the vocabulary; or an option is out of its range.</exception>
    public GenerationSequence(CausalLanguageModel model, IReadOnlyList<int> promptTokens, GenerationOptions options, IReadOnlyList<LoraAdapter>? adapters = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(promptTokens);
        ArgumentNullException.ThrowIfNull(options);
        options.Check();
        TextGenerator.CheckPrompt(model, promptTokens);
        (_model, _options, _promptLength) = (model, options, promptTokens.Count);
        _cache = model.NewCache();
        _request = new() { Adapters = adapters ?? [], Cache = _cache };
        _sampler = new(options);
        _next = [.. promptTokens.Select(id => (long)id)];
        Reason = options.MaxNewTokens == 0 ? StopReason.Length : null;
    }

    /// <summary>The tokens so far, a stop token included.</summary>
    public IReadOnlyList<int> Tokens => _tokens;

    /// <summary>Why it ended; null while it has not.</summary>
    public StopReason? Reason { get; private set; }

    /// <summary>Generates the next token; the first one reads the prompt.</summary>
    /// <returns>The token, or null where the answer has ended before it.</returns>
    public int? Step()
    {
        if (Reason is null && _promptLength + _tokens.Count > _model.ContextLength)
        {
            Reason = StopReason.Context;
        }

        if (Reason is not null)
        {
            return null;
        }

        int token;
        using (inference_mode())
        using (NewDisposeScope())
        {
            var hidden = _model.HiddenStates(tensor(_next, device: _model.Device).unsqueeze(0), _request); // [1, T, h]
            var logits = _model.Logits(hidden.narrow(1, hidden.shape[1] - 1, 1)).flatten().cpu(); // [V]
            token = _sampler.Choose(logits.data<float>().ToArray());
        }

        _tokens.Add(token);
        _next = [token];
        Reason = _options.StopIds.Contains(token) ? StopReason.StopToken
            : _tokens.Count == _options.MaxNewTokens ? StopReason.Length
            : null;
        return token;
    }

    /// <inheritdoc/>
    public void Dispose() => _cache.Dispose();
}
