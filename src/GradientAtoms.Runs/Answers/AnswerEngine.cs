using System.Diagnostics;
using System.Security.Cryptography;
using GradientAtoms.Models.Generation;
using GradientAtoms.Models.Native;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Runs.Answers;

/// <summary>
/// Answers questions with the model of a run: base, adapter, or steered. One thread computes; the answers under way take turns
/// on it, a token each, so nothing is shared between them but the weights, and none waits for another to end. Any thread may ask.
/// </summary>
/// <remarks>While torch computes, finalisers of the whole process wait, at most some 50 ms and one token or measurement at a time (<see cref="FinalizerGate"/>).</remarks>
public sealed class AnswerEngine : IDisposable
{
    private readonly AnswerEngineOptions _options;
    private readonly Thread _thread;
    private readonly Lock _door = new();
    private readonly AutoResetEvent _wake = new(false);
    private readonly Queue<Waiting> _arrived = new();
    private readonly Queue<Action> _tasks = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // Of the engine's thread.
    private readonly List<Waiting> _waiting = [];
    private readonly List<Active> _active = [];
    private readonly FinalizerGate _gate = new();
    private RunSession _session = null!;
    private AnswerModels _models = null!;

    private int _open; // requests that have not ended

    private AnswerEngine(string run, AnswerEngineOptions options, IProgress<StageProgress>? progress, CancellationToken cancellationToken)
    {
        _options = options;
        _thread = new(() => Live(run, progress, cancellationToken)) { IsBackground = true, Name = "answers" };
    }

    /// <summary>The models that can be asked for by name.</summary>
    public IReadOnlyList<ServedModel> Models { get; private set; } = [];

    /// <summary>Requests that wait or are answered now.</summary>
    public int Open => Volatile.Read(ref _open);

    /// <summary>What the engine was made with.</summary>
    public AnswerEngineOptions Options => _options;

    /// <summary>The longest prompt, in tokens.</summary>
    public int MaxPromptTokens { get; private set; }

    /// <summary>Loads the model of a run and calibrates the steers that have a name.</summary>
    /// <param name="run">The run folder.</param>
    /// <param name="options">What to serve; null for the defaults.</param>
    /// <param name="progress">Told of the calibrations, by another thread.</param>
    /// <param name="cancellationToken">Stops the opening.</param>
    /// <exception cref="GradientAtomsException">The run, its model or an adapter cannot be read, or a steer cannot be taken.</exception>
    public static AnswerEngine Start(string run, AnswerEngineOptions? options = null, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        options ??= new();
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxConcurrent, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(options.MaxWaiting);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxNewTokens, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MaxCachedTokens, 2);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(options.Timeout, TimeSpan.Zero);
        var engine = new AnswerEngine(run, options, progress, cancellationToken);
        engine._thread.Start();
        try
        {
            engine._opened.Task.GetAwaiter().GetResult();
            return engine;
        }
        catch
        {
            engine.Dispose();
            throw;
        }
    }

    /// <summary>Asks. The answer's first text comes when its turn has come.</summary>
    /// <param name="question">What is asked.</param>
    /// <param name="cancellationToken">Ends the answer at its next token.</param>
    /// <returns>To be read to its end, or disposed.</returns>
    /// <exception cref="AnswerException">GA5020 to GA5024: it cannot be answered, or not now.</exception>
    public Answer Ask(Question question, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(question);
        var longest = Check(question);
        var voice = _models.Find(question.Model, question.Steers);
        var answer = new Answer(question, longest, _session.Model.Loaded.Tokenizer, _options.Timeout, cancellationToken);
        lock (_door)
        {
            if (_stop.IsCancellationRequested)
            {
                throw AnswerException.Stopping();
            }

            if (_open >= _options.MaxConcurrent + _options.MaxWaiting)
            {
                throw AnswerException.Busy(_open);
            }

            _open++;
            _arrived.Enqueue(new(answer, voice));
        }

        _wake.Set();
        return answer;
    }

    /// <summary>What a model id asks for; steers that have no name are found too.</summary>
    /// <param name="id">As <see cref="Question.Model"/>.</param>
    /// <exception cref="AnswerException">GA5020: there is no such model or pole.</exception>
    public ServedModel FindModel(string id)
    {
        var voice = _models.Find(id, []);
        return Models.FirstOrDefault(model => model.Id == id) ?? new(id, AnswerModels.Adapter, voice.Key);
    }

    /// <summary>A conversation as prompt tokens, through the chat template up to the next answer.</summary>
    /// <param name="messages">The turns, in order.</param>
    /// <exception cref="GradientAtomsException">GA5026: the model has no chat template; GA22xx: the template refuses the conversation.</exception>
    public int[] EncodeChat(IReadOnlyList<ChatMessage> messages) => _session.Model.EncodeChat(messages, _session.Options) ?? throw AnswerException.NoTemplate();

    /// <summary>A plain text as prompt tokens.</summary>
    /// <param name="text">What the model goes on with.</param>
    public int[] EncodeText(string text) => _session.Model.Loaded.Tokenizer.Encode(text, addSpecialTokens: true);

    /// <summary>Whether a token id can be in a prompt.</summary>
    /// <param name="id">The id.</param>
    public bool IsToken(int id) => id >= 0 && id < _session.Model.Loaded.Model.VocabularySize;

    /// <summary>Does work on the engine's thread, between two tokens.</summary>
    internal Task<T> RunAsync<T>(Func<RunSession, T> work)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_door)
        {
            ObjectDisposedException.ThrowIf(_stop.IsCancellationRequested, this);
            _tasks.Enqueue(() =>
            {
                try
                {
                    done.SetResult(work(_session));
                }
#pragma warning disable CA1031 // Handed to whoever waits.
                catch (Exception failure)
#pragma warning restore CA1031
                {
                    done.SetException(failure);
                }
            });
        }

        _wake.Set();
        return done.Task;
    }

    /// <summary>Stops: answers under way fail with GA5024, within a token or a measurement.</summary>
    public void Dispose()
    {
        lock (_door)
        {
            _stop.Cancel();
        }

        _wake.Set();
        if (_thread.IsAlive && Thread.CurrentThread != _thread)
        {
            _thread.Join();
        }
    }

    private int Check(Question question)
    {
        var longest = question.MaxNewTokens ?? _options.MaxNewTokens;
        Need(longest >= 0 && longest <= _options.MaxNewTokens, "max_tokens", $"must be 0 to {_options.MaxNewTokens}");
        Need(double.IsFinite(question.Temperature) && question.Temperature is >= 0 and <= 100, "temperature", "must be 0 to 100");
        Need(question.TopP is > 0 and <= 1, "top_p", "must be above 0 and at most 1");
        Need(question.TopK >= 0, "top_k", "must be at least 0");
        Need(question.Stops.Count <= 16 && question.Stops.All(stop => stop.Length is > 0 and <= 1024), "stop", "must be at most 16 texts of 1 to 1024 characters");
        Need(question.Steers.Count <= 16, "steering", "must be at most 16 steps");
        Need(question.Prompt.Count > 0, "prompt", "is empty");
        Need(question.Prompt.All(IsToken), "prompt", "has a token that is not in the vocabulary");
        if (question.Prompt.Count > MaxPromptTokens)
        {
            throw AnswerException.TooLong($"has {question.Prompt.Count} tokens; {MaxPromptTokens} are allowed");
        }

        return longest;

        static void Need(bool right, string name, string problem)
        {
            if (!right)
            {
                throw AnswerException.Option(name, problem, "Change the field.");
            }
        }
    }

    private void Live(string run, IProgress<StageProgress>? progress, CancellationToken cancellationToken)
    {
        TorchThreads.Use(_options.Threads);
        _gate.Close();
        try
        {
            _session = new(run, _options.Model);
            _models = new(_session, _options);
            var loaded = _session.Model.Loaded;
            _ = (loaded.Tokenizer, loaded.StopIds, loaded.ChatTemplate, _session.Atoms);
            MaxPromptTokens = Math.Min(Math.Min(_options.MaxPromptTokens ?? int.MaxValue, loaded.Model.ContextLength - 1), _options.MaxCachedTokens - 1);
            foreach (var name in _options.Steers.Keys)
            {
                _models.Take(_models.Find(name, []), new Turns(this, progress, null), cancellationToken).Dispose();
            }

            Models = _models.List();
            _opened.SetResult();
            Serve();
        }
#pragma warning disable CA1031 // Handed to whoever waits.
        catch (Exception failure)
#pragma warning restore CA1031
        {
            _stop.Cancel();
            if (!_opened.TrySetException(failure))
            {
                FailAll(AnswerException.Failed(failure));
            }
        }
        finally
        {
            FailAll(AnswerException.Stopping());
            _models?.Dispose();
            _session?.Dispose();
            _gate.Dispose();
        }
    }

    private void Serve()
    {
        while (!_stop.IsCancellationRequested)
        {
            TakeArrived();
            RunTasks();
            _gate.Renew();
            Admit();
            if (_active.Count == 0 && _waiting.Count == 0)
            {
                _gate.Open();
                _wake.WaitOne();
            }
            else
            {
                Round();
            }
        }
    }

    private void TakeArrived()
    {
        lock (_door)
        {
            while (_arrived.TryDequeue(out var next))
            {
                _waiting.Add(next);
            }
        }
    }

    private void RunTasks()
    {
        while (true)
        {
            Action? next;
            lock (_door)
            {
                if (!_tasks.TryDequeue(out next))
                {
                    return;
                }
            }

            _gate.Renew();
            next();
        }
    }

    /// <summary>Begins what waits, in the order that it came, as far as there is room. Where a step has to be calibrated, the answers under way go on meanwhile.</summary>
    /// <param name="calibrating">The request whose step is calibrated now, to be left alone; null where none is.</param>
    private void Admit(Answer? calibrating = null)
    {
        DropEnded(calibrating);
        for (var index = 0; index < _waiting.Count;)
        {
            var next = _waiting[index];
            if (next.Answer == calibrating)
            {
                index++;
                continue;
            }

            var room = next.Answer.PromptTokens + next.Answer.MaxNewTokens;
            if (_active.Count >= _options.MaxConcurrent || (_active.Count > 0 && _active.Sum(active => active.Room) + room > _options.MaxCachedTokens))
            {
                return;
            }

            try
            {
                var lease = _models.TryTake(next.Voice);
                if (lease is null && calibrating is null)
                {
                    using var either = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token, next.Answer.CancellationToken);
                    _models.Take(next.Voice, new Turns(this, null, next.Answer), either.Token).Dispose();
                    index = _waiting.IndexOf(next);
                    continue; // others have begun meanwhile: there may be no room any more
                }

                if (lease is null)
                {
                    index++;
                    continue;
                }

                _waiting.RemoveAt(index);
                Begin(next.Answer, lease, room);
            }
#pragma warning disable CA1031 // Belongs to this request alone.
            catch (Exception failure)
#pragma warning restore CA1031
            {
                _waiting.Remove(next);
                End(next.Answer, failure);
            }
        }
    }

    /// <summary>Who has gone, or has waited for too long, makes room for others to wait.</summary>
    private void DropEnded(Answer? calibrating) => _waiting.RemoveAll(waiting =>
    {
        if (waiting.Answer == calibrating || WhyNot(waiting.Answer) is not { } reason)
        {
            return false;
        }

        End(waiting.Answer, reason);
        return true;
    });

    private void Begin(Answer answer, VoiceLease lease, int room)
    {
        try
        {
            var question = answer.Question;
            answer.Steers = lease.Steers;
            var loaded = _session.Model.Loaded;
            _active.Add(new(answer, lease, room, new(loaded.Model, question.Prompt, new()
            {
                MaxNewTokens = answer.MaxNewTokens,
                Temperature = question.Temperature,
                TopP = question.TopP,
                TopK = question.TopK,
                Seed = question.Seed ?? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong))),
                StopIds = loaded.StopIds,
            }, lease.Adapters)));
        }
        catch
        {
            lease.Dispose();
            throw;
        }
    }

    /// <summary>One token for every answer under way.</summary>
    private void Round()
    {
        for (var index = 0; index < _active.Count && !_stop.IsCancellationRequested;)
        {
            _gate.Renew();
            var active = _active[index];
            var ended = true;
            try
            {
                if (WhyNot(active.Answer) is { } reason)
                {
                    End(active.Answer, reason);
                }
                else
                {
                    if (active.Sequence.Step() is { } token)
                    {
                        active.Answer.Add(token);
                    }

                    ended = active.Sequence.Reason is not null;
                    if (ended)
                    {
                        active.Answer.Complete(active.Sequence.Reason!.Value);
                        Interlocked.Decrement(ref _open);
                    }
                }
            }
#pragma warning disable CA1031 // Belongs to this answer alone.
            catch (Exception failure)
#pragma warning restore CA1031
            {
                End(active.Answer, failure);
            }

            if (ended)
            {
                _active.RemoveAt(index);
                active.Dispose();
            }
            else
            {
                index++;
            }
        }
    }

    private Exception? WhyNot(Answer answer) => answer switch
    {
        { IsCancelled: true } => new OperationCanceledException(),
        { Deadline: var deadline } when Environment.TickCount64 > deadline => AnswerException.TimedOut(answer.Timeout.TotalSeconds),
        _ => null,
    };

    private void End(Answer answer, Exception reason)
    {
        answer.Fail(reason switch
        {
            GradientAtomsException => reason,
            OperationCanceledException when _stop.IsCancellationRequested => AnswerException.Stopping(),
            OperationCanceledException when !answer.IsCancelled && Environment.TickCount64 > answer.Deadline => AnswerException.TimedOut(answer.Timeout.TotalSeconds),
            OperationCanceledException => reason,
            _ => AnswerException.Failed(reason),
        });
        Interlocked.Decrement(ref _open);
    }

    private void FailAll(Exception reason)
    {
        TakeArrived();
        foreach (var active in _active)
        {
            End(active.Answer, reason);
            active.Dispose();
        }

        _waiting.ForEach(waiting => End(waiting.Answer, reason));
        _active.Clear();
        _waiting.Clear();
    }

    private sealed record Waiting(Answer Answer, AnswerVoice Voice);

    private sealed record Active(Answer Answer, VoiceLease Lease, int Room, GenerationSequence Sequence) : IDisposable
    {
        public void Dispose()
        {
            Sequence.Dispose();
            Lease.Dispose();
        }
    }

    /// <summary>Between two measurements of a calibration: the answers under way have as long as the last measurement took.</summary>
    private sealed class Turns(AnswerEngine engine, IProgress<StageProgress>? progress, Answer? waiting) : IProgress<StageProgress>
    {
        private long _began = Stopwatch.GetTimestamp();

        public void Report(StageProgress value)
        {
            progress?.Report(value);
            if (waiting is not null && engine.WhyNot(waiting) is { } reason)
            {
                throw reason;
            }

            engine._gate.Renew();
            if (waiting is null)
            {
                return; // nobody can ask before the engine has opened
            }

            var share = Stopwatch.GetElapsedTime(_began);
            _began = Stopwatch.GetTimestamp();
            do
            {
                engine.TakeArrived();
                engine.Admit(waiting);
                engine.Round();
            }
            while (engine._active.Count > 0 && Stopwatch.GetElapsedTime(_began) < share && !engine._stop.IsCancellationRequested);
            _began = Stopwatch.GetTimestamp();
        }
    }
}
