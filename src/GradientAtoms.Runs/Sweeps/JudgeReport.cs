using Microsoft.Extensions.AI;

namespace GradientAtoms.Runs.Sweeps;

/// <summary>A judge: a chat model that is asked a question of every answer of a sweep.</summary>
public sealed record JudgeOptions
{
    /// <summary>The question, which yes or no answers: <c>Does the answer give a JSON object?</c></summary>
    public required string Question { get; init; }

    /// <summary>The chat model; the caller owns it. Null: nothing is sent, and the report says what would be.</summary>
    public IChatClient? Client { get; init; }

    /// <summary>The model's name, by which its verdicts are kept; null: as the client says.</summary>
    public string? Model { get; init; }
}

/// <summary>What a judge said of an answer.</summary>
public enum Verdict
{
    /// <summary>It did not reply, or not with yes or no. It is never counted as no.</summary>
    Failed,

    /// <summary>No.</summary>
    No,

    /// <summary>Yes.</summary>
    Yes,
}

/// <summary>A judge's verdict on an answer, as it is kept: a line of <c>verdicts.jsonl</c>.</summary>
public sealed record SweepVerdict
{
    /// <summary>Of answer, question, model and words: a verdict with this key need not be asked for again.</summary>
    public required string Key { get; init; }

    /// <summary>The answer's <see cref="SweepAnswer.Key"/>.</summary>
    public required string Answer { get; init; }

    /// <summary>The verdict.</summary>
    public required Verdict Verdict { get; init; }

    /// <summary>The question that was asked of the answer.</summary>
    public required string Question { get; init; }

    /// <summary>The model that was asked for.</summary>
    public string? Model { get; init; }

    /// <summary>The endpoint's address.</summary>
    public string? Endpoint { get; init; }

    /// <summary>The version of the words that it was asked with.</summary>
    public required string Prompt { get; init; }

    /// <summary>Of a verdict that failed: how the reply began, or what went wrong.</summary>
    public string? Problem { get; init; }

    /// <summary>Tokens that were sent, as the endpoint counts, in all attempts; null where it does not say.</summary>
    public long? InputTokens { get; init; }

    /// <summary>Tokens that came back.</summary>
    public long? OutputTokens { get; init; }

    /// <summary>Times that it was asked for.</summary>
    public required int Requests { get; init; }
}

/// <summary>A sweep's judge, in <c>sweep.json</c>.</summary>
public sealed record JudgeReport
{
    /// <summary>The question asked of every answer.</summary>
    public required string Question { get; init; }

    /// <summary>The model that was asked for; null where none was named.</summary>
    public string? Model { get; init; }

    /// <summary>The endpoint's address; null without one.</summary>
    public string? Endpoint { get; init; }

    /// <summary>The words that come before question and chat.</summary>
    public required string Prompt { get; init; }

    /// <summary>The version of all words.</summary>
    public required string PromptVersion { get; init; }

    /// <summary>Answers that yes was said of.</summary>
    public required int Yes { get; init; }

    /// <summary>Answers that no was said of.</summary>
    public required int No { get; init; }

    /// <summary>Answers that there was no verdict on; they are in no rate, and in no pair.</summary>
    public required int Failed { get; init; }

    /// <summary>Answers that it was not asked of.</summary>
    public required int NotRun { get; init; }

    /// <summary>Tokens that were sent for these verdicts, as the endpoint counts; null where it does not say.</summary>
    public long? InputTokens { get; init; }

    /// <summary>Tokens that came back.</summary>
    public long? OutputTokens { get; init; }

    /// <summary>Requests that these verdicts took.</summary>
    public required int Requests { get; init; }

    /// <summary>Of the verdicts that failed, what went wrong first.</summary>
    public string? Problem { get; init; }

    /// <summary>Without an endpoint: what would be sent. Null where nothing is missing.</summary>
    public JudgePreview? WouldSend { get; init; }
}

/// <summary>What would be sent to a judge.</summary>
/// <param name="Requests">Requests, one an answer.</param>
/// <param name="Characters">Of all of them.</param>
/// <param name="First">The messages of the first.</param>
public sealed record JudgePreview(int Requests, long Characters, IReadOnlyList<JudgeMessage> First);

/// <summary>A message to a judge.</summary>
/// <param name="Role">Who says it: <c>system</c> or <c>user</c>.</param>
/// <param name="Content">What it says.</param>
public sealed record JudgeMessage(string Role, string Content);
