using System.Runtime.CompilerServices;
using System.Text;
using System.Threading.Channels;
using GradientAtoms.Models.Generation;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Runs.Answers;

/// <summary>Why an answer ended.</summary>
public enum AnswerEnd
{
    /// <summary>The model ended it, or a stop text did.</summary>
    Stop,

    /// <summary>It has as many tokens as it may, or the context is full.</summary>
    Length,
}

/// <summary>An answer as it comes. Disposed before its end, it stops at the next token. Read by one reader, once.</summary>
public sealed class Answer : IDisposable
{
    private readonly Channel<int> _tokens = Channel.CreateUnbounded<int>(new() { SingleReader = true, SingleWriter = true });
    private readonly StopText _text;
    private volatile bool _abandoned;
    private StopReason? _reason;

    internal Answer(Question question, int maxNewTokens, Tokenizer tokenizer, TimeSpan timeout, CancellationToken cancellationToken)
    {
        (Question, MaxNewTokens, CancellationToken, Timeout) = (question, maxNewTokens, cancellationToken, timeout);
        _text = new(tokenizer, question.Stops);
        Deadline = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
    }

    /// <summary>Tokens of the prompt.</summary>
    public int PromptTokens => Question.Prompt.Count;

    /// <summary>Tokens of the answer that were read, those of a stop text and a stop token included.</summary>
    public int CompletionTokens { get; private set; }

    /// <summary>Why it ended; null until it was read to its end.</summary>
    public AnswerEnd? End { get; private set; }

    /// <summary>The steps that the answer was given with; known when its first text comes.</summary>
    public IReadOnlyList<AppliedSteer> Steers { get; internal set; } = [];

    internal Question Question { get; }

    internal int MaxNewTokens { get; }

    internal CancellationToken CancellationToken { get; }

    internal TimeSpan Timeout { get; }

    internal long Deadline { get; }

    internal bool IsCancelled => _abandoned || CancellationToken.IsCancellationRequested;

    /// <summary>Reads it: pieces of text, none empty, as they come.</summary>
    /// <param name="cancellationToken">Ends the answer too.</param>
    /// <exception cref="GradientAtomsException">It was not answered; <see cref="AnswerException"/> for most reasons.</exception>
    public async IAsyncEnumerable<string> ReadAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        try
        {
            await foreach (var token in _tokens.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
            {
                CompletionTokens++;
                if (_text.Append(token) is { Length: > 0 } piece)
                {
                    yield return piece;
                }

                if (_text.IsStopped)
                {
                    End = AnswerEnd.Stop;
                    yield break;
                }
            }

            var rest = _text.Finish();
            End = _reason == StopReason.StopToken || _text.IsStopped ? AnswerEnd.Stop : AnswerEnd.Length;
            if (rest.Length > 0)
            {
                yield return rest;
            }
        }
        finally
        {
            _abandoned = true;
        }
    }

    /// <summary>Reads all of it.</summary>
    /// <param name="cancellationToken">Ends the answer too.</param>
    /// <exception cref="GradientAtomsException">It was not answered; <see cref="AnswerException"/> for most reasons.</exception>
    public async Task<string> ReadTextAsync(CancellationToken cancellationToken = default)
    {
        var text = new StringBuilder();
        await foreach (var piece in ReadAsync(cancellationToken).ConfigureAwait(false))
        {
            text.Append(piece);
        }

        return text.ToString();
    }

    /// <inheritdoc/>
    public void Dispose() => _abandoned = true;

    internal void Add(int token) => _tokens.Writer.TryWrite(token);

    internal void Complete(StopReason reason)
    {
        _reason = reason;
        _tokens.Writer.TryComplete();
    }

    internal void Fail(Exception reason) => _tokens.Writer.TryComplete(reason);
}
