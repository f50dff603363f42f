using GradientAtoms.Evaluation.Sweeps;
using GradientAtoms.Runs.Labels;
using Microsoft.Extensions.AI;

namespace GradientAtoms.Runs.Sweeps;

/// <summary>An answer with what it answers: all that a judge is shown.</summary>
internal sealed record JudgedAnswer(string Key, string Prompt, string Text);

/// <summary>
/// Asks a judge of every answer of a sweep, blind: it is sent question, prompt and answer, in an order that is drawn by the seed
/// over all arms and poles. Every verdict is kept when it is there. One that failed is kept as such and asked for again by the
/// next sweep; one that is yes or no is not.
/// </summary>
internal sealed class SweepJudge : IDisposable
{
    // An endpoint that is gone keeps every request waiting.
    private const int MostFailedCalls = 3;

    // A model that has said neither yes nor no until now will not later: the rest would only cost.
    private const int MostUnreadReplies = 10;

    private const int LongestProblem = 200;

    private readonly JudgeOptions _options;
    private readonly ChatClientMetadata? _metadata;
    private readonly SweepJournal<SweepVerdict> _verdicts;
    private readonly string? _model;

    public SweepJudge(JudgeOptions options, string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(options.Question);
        _options = options;
        _metadata = options.Client?.GetService<ChatClientMetadata>();
        _model = options.Model ?? _metadata?.DefaultModelId;
        _verdicts = new(Path.Combine(folder, SweepFiles.Verdicts), verdict => verdict.Key);
    }

    public string Name => $"judge:{_options.Question}";

    public string About => $"a judge says yes to: {_options.Question}";

    public SweepOutcome OutcomeOf(SweepAnswer answer) => _verdicts.Find(Key(answer.Key))?.Verdict switch
    {
        null => SweepOutcome.NotRun,
        Verdict.Yes => SweepOutcome.Shown,
        Verdict.No => SweepOutcome.NotShown,
        _ => SweepOutcome.Failed,
    };

    /// <summary>Asks for the verdicts that are missing; without a client, for none.</summary>
    public void Ask(IReadOnlyList<JudgedAnswer> answers, long seed, IProgress<StageProgress>? progress, CancellationToken cancellationToken)
    {
        if (_options.Client is not { } client)
        {
            return;
        }

        var missing = Missing(answers, seed);
        var (failedCalls, read, unread) = (0, 0, 0);
        progress?.Report(new("verdicts", answers.Count - missing.Count, answers.Count, "answers"));
        foreach (var (place, answer) in missing.Index())
        {
            cancellationToken.ThrowIfCancellationRequested();
            // Blocking: the caller's tensors belong to this thread.
            var (verdict, replied) = AskAsync(client, answer, cancellationToken).GetAwaiter().GetResult();
            _verdicts.Add([verdict]);
            failedCalls = replied ? 0 : failedCalls + 1;
            read += verdict.Verdict == Verdict.Failed ? 0 : 1;
            unread += replied && verdict.Verdict == Verdict.Failed ? 1 : 0;
            progress?.Report(new("verdicts", answers.Count - missing.Count + place + 1, answers.Count, "answers"));
            if (failedCalls >= MostFailedCalls || (read == 0 && unread >= MostUnreadReplies))
            {
                break;
            }
        }
    }

    public JudgeReport Report(IReadOnlyList<JudgedAnswer> answers, long seed)
    {
        var verdicts = answers.Select(answer => _verdicts.Find(Key(answer.Key))).OfType<SweepVerdict>().ToList();
        int Count(Verdict of) => verdicts.Count(verdict => verdict.Verdict == of);
        return new()
        {
            Question = _options.Question,
            Model = _model,
            Endpoint = _metadata?.ProviderUri?.ToString(),
            Prompt = JudgePrompts.System,
            PromptVersion = JudgePrompts.Version,
            Yes = Count(Verdict.Yes),
            No = Count(Verdict.No),
            Failed = Count(Verdict.Failed),
            NotRun = answers.Count - verdicts.Count,
            InputTokens = verdicts.Aggregate((long?)null, (sum, verdict) => Sum(sum, verdict.InputTokens)),
            OutputTokens = verdicts.Aggregate((long?)null, (sum, verdict) => Sum(sum, verdict.OutputTokens)),
            Requests = verdicts.Sum(verdict => verdict.Requests),
            Problem = verdicts.FirstOrDefault(verdict => verdict.Verdict == Verdict.Failed)?.Problem,
            WouldSend = _options.Client is null ? Preview(Missing(answers, seed)) : null,
        };
    }

    public void Dispose() => _verdicts.Dispose();

    private JudgePreview? Preview(List<JudgedAnswer> missing) => missing.Count == 0 ? null : new(
        missing.Count,
        missing.Sum(answer => Messages(answer).Sum(message => (long)message.Text.Length)),
        [.. Messages(missing[0]).Select(message => new JudgeMessage(message.Role.Value, message.Text))]);

    // All are shuffled, not only those that are missing: the order is the same whenever the sweep goes on.
    private List<JudgedAnswer> Missing(IReadOnlyList<JudgedAnswer> answers, long seed)
    {
        JudgedAnswer[] all = [.. answers.OrderBy(answer => answer.Key, StringComparer.Ordinal)];
        RandomStream.Integers(seed, "sweep/judge").Shuffle(all);
        return [.. all.Where(answer => _verdicts.Find(Key(answer.Key)) is null or { Verdict: Verdict.Failed })];
    }

    private async Task<(SweepVerdict Verdict, bool Replied)> AskAsync(IChatClient client, JudgedAnswer answer, CancellationToken cancellationToken)
    {
        var key = Key(answer.Key);
        var before = _verdicts.Find(key);
        SweepVerdict Told(Verdict verdict, string? problem, UsageDetails? usage = null) => new()
        {
            Key = key,
            Answer = answer.Key,
            Verdict = verdict,
            Question = _options.Question,
            Model = _model,
            Endpoint = _metadata?.ProviderUri?.ToString(),
            Prompt = JudgePrompts.Version,
            Problem = problem is { Length: > LongestProblem } ? problem[..LongestProblem] + "…" : problem,
            InputTokens = Sum(before?.InputTokens, usage?.InputTokenCount),
            OutputTokens = Sum(before?.OutputTokens, usage?.OutputTokenCount),
            Requests = (before?.Requests ?? 0) + 1,
        };

        try
        {
            var response = await client.GetResponseAsync(Messages(answer), new() { Temperature = 0, MaxOutputTokens = 16 }, cancellationToken).ConfigureAwait(false);
            return JudgePrompts.Read(response.Text) is { } yes
                ? (Told(yes ? Verdict.Yes : Verdict.No, null, response.Usage), true)
                : (Told(Verdict.Failed, $"replied neither yes nor no: {response.Text}", response.Usage), true);
        }
        catch (LabelException error)
        {
            return (Told(Verdict.Failed, $"{error.Code}: {error.Problem}"), false);
        }
        catch (Exception error) when (!cancellationToken.IsCancellationRequested && error is HttpRequestException or IOException or TimeoutException or OperationCanceledException)
        {
            return (Told(Verdict.Failed, error.Message), false);
        }
    }

    private IReadOnlyList<ChatMessage> Messages(JudgedAnswer answer) => JudgePrompts.Make(_options.Question, answer.Prompt, answer.Text);

    private string Key(string answer) => SweepKey.Of("judge", JudgePrompts.Version, _options.Question, _model ?? string.Empty, answer);

    private static long? Sum(long? one, long? other) => one is null && other is null ? null : (one ?? 0) + (other ?? 0);
}
