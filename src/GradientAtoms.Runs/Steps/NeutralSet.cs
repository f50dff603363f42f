using System.Globalization;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Steering;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Runs.Steps;

/// <summary>
/// What the KL of a run's steps is measured on. Every third document is kept back: steps are calibrated on the others, and their
/// KL is measured on these too, which the calibration has not seen. Owns its meters.
/// </summary>
public sealed class NeutralSet : IDisposable
{
    /// <summary>With fewer documents than this none is kept back.</summary>
    public const int LeastToKeepBack = 12;

    private readonly Lazy<KlMeter> _meter;
    private readonly Lazy<KlMeter>? _unseenMeter;

    private NeutralSet(RunSession session, IReadOnlyList<TokenizedDocument> documents)
    {
        var keepsBack = documents.Count >= LeastToKeepBack;
        bool IsUnseen(int place) => keepsBack && place % 3 == 2;
        Calibrating = [.. documents.Where((_, place) => !IsUnseen(place))];
        Unseen = [.. documents.Where((_, place) => IsUnseen(place))];
        Hash = FileHash.OfText(string.Join('\n', documents.Select(document => string.Join(' ', document.Tokens.Select(token => token.ToString(CultureInfo.InvariantCulture))))));
        _meter = new(() => new(session.Model.Loaded.Model, [session.Adapter], Calibrating));
        _unseenMeter = keepsBack ? new(() => new(session.Model.Loaded.Model, [session.Adapter], Unseen)) : null;
    }

    /// <summary>Those that steps are calibrated on.</summary>
    public IReadOnlyList<TokenizedDocument> Calibrating { get; }

    /// <summary>Those kept back; empty where there are too few.</summary>
    public IReadOnlyList<TokenizedDocument> Unseen { get; }

    /// <summary>SHA-256 of all their tokens.</summary>
    public string Hash { get; }

    /// <summary>Of <see cref="Calibrating"/>; the unsteered model runs when it is first asked for.</summary>
    public KlMeter Meter => _meter.Value;

    /// <summary>Of <see cref="Unseen"/>; null where there are none.</summary>
    public KlMeter? UnseenMeter => _unseenMeter?.Value;

    /// <summary>The neutral documents of a run. The caller owns the result, which must end before the session.</summary>
    /// <param name="session">The run with its model.</param>
    /// <param name="path">A file of neutral chats or texts; null: the run's, else the built-in ones.</param>
    /// <param name="cancellationToken">Looked at once a document.</param>
    /// <exception cref="GradientAtomsException">The neutral file cannot be read.</exception>
    public static NeutralSet Of(RunSession session, string? path = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(session);
        var (documents, name) = (path ?? session.Options.Neutral) is { } file
            ? (DocumentReader.Read(file, null, cancellationToken).Distinct, file)
            : (NeutralPrompts.Documents, "neutral prompts");
        return new(session, session.Model.ChatTokenizer(session.Options).TokenizeAll(documents, name, null, cancellationToken).Documents);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var meter in (Lazy<KlMeter>?[])[_meter, _unseenMeter])
        {
            if (meter is { IsValueCreated: true })
            {
                meter.Value.Dispose();
            }
        }
    }
}
