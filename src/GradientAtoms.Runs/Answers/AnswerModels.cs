using System.Globalization;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Steps;
using GradientAtoms.Steering;

namespace GradientAtoms.Runs.Answers;

/// <summary>A model that an engine serves.</summary>
/// <param name="Id">What a request asks for.</param>
/// <param name="Parent">The id of what it changes, or null.</param>
/// <param name="Root">Where it comes from: the model, an adapter's folder, or a pole with its strength.</param>
public sealed record ServedModel(string Id, string? Parent, string Root);

/// <summary>Which weights a request asks for. Those of the same key are the same.</summary>
internal sealed record AnswerVoice(string Key, IReadOnlyList<Steer> Steers);

/// <summary>Weights for one answer, held until it ends.</summary>
internal sealed class VoiceLease(IReadOnlyList<LoraAdapter> adapters, IReadOnlyList<AppliedSteer> steers, Action release) : IDisposable
{
    public IReadOnlyList<LoraAdapter> Adapters => adapters;

    public IReadOnlyList<AppliedSteer> Steers => steers;

    public void Dispose() => release();
}

/// <summary>
/// The weights behind model ids: none, the run's adapter, adapters from folders, and steps, which are calibrated when first asked
/// for and kept. <see cref="Find"/> may be called from everywhere, the rest from the engine's thread.
/// </summary>
internal sealed class AnswerModels : IDisposable
{
    /// <summary>The model without any adapter.</summary>
    public const string Base = "base";

    /// <summary>The model with the adapter that was audited.</summary>
    public const string Adapter = "adapter";

    private readonly RunSession _session;
    private readonly AnswerEngineOptions _options;
    private readonly bool _hasBase;
    private readonly Dictionary<string, IReadOnlyList<LoraAdapter>> _fixed = new(StringComparer.Ordinal);
    private readonly List<LoraAdapter> _owned = [];
    private readonly Dictionary<string, SteeredVoice> _steered = new(StringComparer.Ordinal);
    private readonly Dictionary<Steer, AppliedSteer> _calibrated = [];
    private NeutralSet? _neutral;
    private long _uses;

    public AnswerModels(RunSession session, AnswerEngineOptions options)
    {
        (_session, _options) = (session, options);

        // Modules trained whole took the place of the model's own: the model as it was is not in memory.
        _hasBase = PeftAdapter.Configuration(session.Folder.PathOf(RunFiles.Adapter)).SavedModules is not { Count: > 0 };
        _fixed[Adapter] = [session.Adapter];
        if (_hasBase)
        {
            _fixed[Base] = [];
        }

        try
        {
            foreach (var (name, folder) in options.Adapters)
            {
                Add(name, [Load(folder)]);
            }

            foreach (var (name, folder) in options.Deltas)
            {
                Add(name, [session.Adapter, Load(folder)]);
            }

            foreach (var (name, steer) in options.Steers)
            {
                if (_fixed.ContainsKey(name) || name.Length == 0)
                {
                    throw AnswerException.Option(name, "is the name of two models", "Give each a name of its own.");
                }

                Canonical(steer);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public IReadOnlyList<ServedModel> List() =>
    [
        .. _hasBase ? [new ServedModel(Base, null, _session.Model.Path)] : Array.Empty<ServedModel>(),
        new(Adapter, _hasBase ? Base : null, _session.Folder.PathOf(RunFiles.Adapter)),
        .. _options.Adapters.Select(item => new ServedModel(item.Key, _hasBase ? Base : null, item.Value)),
        .. _options.Deltas.Select(item => new ServedModel(item.Key, Adapter, item.Value)),
        .. _options.Steers.Select(item => new ServedModel(item.Key, Adapter, IdOf(item.Value))),
    ];

    /// <summary>What a model id and steers together ask for.</summary>
    /// <exception cref="AnswerException">GA5020: there is no such model or pole. GA5021: they do not go together.</exception>
    public AnswerVoice Find(string model, IReadOnlyList<Steer> steers)
    {
        var own = _options.Steers.TryGetValue(model, out var named) ? named : _fixed.ContainsKey(model) ? null : Parse(model);
        if (steers.Count == 0)
        {
            return own is null ? new(model, []) : Voice([own]);
        }

        return own is null && model != Adapter
            ? throw AnswerException.Option("steering", $"{model} cannot be steered: steps are along the parameters of the run's adapter", "Ask for the model adapter.")
            : Voice(own is null ? steers : [own, .. steers]);
    }

    /// <summary>The weights, where they are at hand.</summary>
    public VoiceLease? TryTake(AnswerVoice voice) =>
        _fixed.TryGetValue(voice.Key, out var adapters) ? new(adapters, [], () => { })
        : _steered.TryGetValue(voice.Key, out var steered) ? Lease(steered)
        : null;

    /// <summary>The weights, computed where they are not at hand.</summary>
    public VoiceLease Take(AnswerVoice voice, IProgress<StageProgress>? progress, CancellationToken cancellationToken)
    {
        if (TryTake(voice) is { } ready)
        {
            return ready;
        }

        var steps = new List<PoleStep>();
        var applied = new List<AppliedSteer>();
        try
        {
            foreach (var steer in voice.Steers)
            {
                var known = _calibrated.GetValueOrDefault(steer);
                if (known is null)
                {
                    _neutral ??= NeutralSet.Of(_session, null, cancellationToken);
                }

                var step = PoleStep.Choose(_session, steer.Pole, new() { Kl = steer.Kl, Less = steer.Less, Step = known?.Step }, _neutral, progress, cancellationToken);
                steps.Add(step);
                _calibrated[steer] = known ?? new(step.Pole.Id, steer.Kl, steer.Less, step.Size, step.Calibration!.Chosen.Neutral.Mean);
                applied.Add(_calibrated[steer]);
            }

            using var whole = steps.Count == 1 ? null : WeightStep.Compose([.. steps.Select(step => (step.Direction, step.Size))]);
            var steered = new SteeredVoice(whole is null ? steps[0].ToAdapter(_session.Adapter) : whole.ToAdapter(_session.Adapter, 1), applied);
            _steered[voice.Key] = steered;
            var lease = Lease(steered);
            Forget();
            return lease;
        }
        finally
        {
            steps.ForEach(step => step.Dispose());
        }
    }

    public void Dispose()
    {
        _owned.ForEach(adapter => adapter.Dispose());
        foreach (var steered in _steered.Values)
        {
            steered.Adapter.Dispose();
        }

        _neutral?.Dispose();
    }

    private void Add(string name, IReadOnlyList<LoraAdapter> adapters)
    {
        if (name.Length == 0 || name == Base || !_fixed.TryAdd(name, adapters))
        {
            throw AnswerException.Option(name, "is the name of two models", "Give each a name of its own.");
        }
    }

    private LoraAdapter Load(string folder)
    {
        var adapter = _session.Model.LoadAdapter(folder);
        _owned.Add(adapter);
        return adapter;
    }

    // POLE@KL, with a minus before the KL for less.
    private static Steer Parse(string model)
    {
        var at = model.LastIndexOf('@');
        return at > 0 && double.TryParse(model.AsSpan(at + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out var kl) && double.IsFinite(kl) && kl != 0
            ? new(model[..at], Math.Abs(kl), kl < 0)
            : throw AnswerException.Unknown(model, "there is no such model");
    }

    private static string IdOf(Steer steer) => string.Create(CultureInfo.InvariantCulture, $"{steer.Pole}@{(steer.Less ? -steer.Kl : steer.Kl)}");

    private AnswerVoice Voice(IReadOnlyList<Steer> steers)
    {
        Steer[] canonical = [.. steers.Select(Canonical)];
        return new(string.Join(' ', canonical.Select(IdOf)), canonical);
    }

    private Steer Canonical(Steer steer)
    {
        if (!(double.IsFinite(steer.Kl) && steer.Kl > 0))
        {
            throw AnswerException.Option("kl", "must be above 0", "Give the nats a token, such as .1; for less of a pole say less.");
        }

        try
        {
            return steer with { Pole = _session.FindPole(steer.Pole).Pole.Id };
        }
        catch (RunFolderException error)
        {
            throw AnswerException.Unknown(IdOf(steer), $"the run has no pole {steer.Pole}", error);
        }
    }

    private VoiceLease Lease(SteeredVoice steered)
    {
        steered.Users++;
        steered.LastUse = ++_uses;
        return new([steered.Adapter], steered.Steers, () => steered.Users--);
    }

    // The least recently used go first; those in use stay.
    private void Forget()
    {
        foreach (var (key, steered) in _steered.Where(item => item.Value.Users == 0).OrderBy(item => item.Value.LastUse).Take(_steered.Count - _options.KeptSteers).ToArray())
        {
            steered.Adapter.Dispose();
            _steered.Remove(key);
        }
    }

    private sealed class SteeredVoice(LoraAdapter adapter, IReadOnlyList<AppliedSteer> steers)
    {
        public LoraAdapter Adapter => adapter;

        public IReadOnlyList<AppliedSteer> Steers => steers;

        public int Users { get; set; }

        public long LastUse { get; set; }
    }
}
