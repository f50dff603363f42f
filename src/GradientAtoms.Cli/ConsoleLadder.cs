using System.Globalization;
using GradientAtoms.Runs.Stages;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace GradientAtoms.Cli;

/// <summary>
/// The ladder of stages on stderr: one rung a stage, with count, rate, time left and memory. A terminal shows it live; a file
/// or a pipe gets plain lines: a stage's first, one about every ten seconds, its last.
/// </summary>
internal sealed class ConsoleLadder(CliHost host, bool quiet) : IProgress<StageProgress>
{
    private static readonly TimeSpan PlainEvery = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan LiveEvery = TimeSpan.FromMilliseconds(150);

    private readonly List<Rung> _rungs = [];
    private LiveDisplayContext? _live;
    private DateTimeOffset _lastDrawn = DateTimeOffset.MinValue;

    private bool IsLive => host is { ErrorIsTerminal: true, Colours: true } && !quiet;

    /// <summary>Runs work with the ladder on the screen.</summary>
    public T Run<T>(Func<T> work)
    {
        if (!IsLive)
        {
            try
            {
                return work();
            }
            finally
            {
                Finish();
            }
        }

        var console = AnsiConsole.Create(new() { Out = new AnsiConsoleOutput(host.Error), Ansi = AnsiSupport.Yes, Interactive = InteractionSupport.Yes });
        return console.Live(new Spectre.Console.Text(string.Empty)).Overflow(VerticalOverflow.Ellipsis).Start(live =>
        {
            _live = live;
            try
            {
                return work();
            }
            finally
            {
                Finish();
                _live = null;
            }
        });
    }

    /// <inheritdoc />
    public void Report(StageProgress value)
    {
        var now = host.Time.GetUtcNow();
        var rung = _rungs.Count > 0 ? _rungs[^1] : null;
        var isNew = rung is null || rung.State is not RungState.Running || rung.Last.Stage != value.Stage || value.Done < rung.Last.Done;
        if (isNew)
        {
            Finish();
            rung = new Rung(value, now);
            _rungs.Add(rung);
        }

        var ends = value.Total > 0 && value.Done >= value.Total;
        rung!.Last = value;
        rung.LastAt = now;
        if (ends)
        {
            rung.State = RungState.Done;
        }

        if (_live is not null)
        {
            Draw(now, force: isNew || ends);
        }
        else if (!quiet && (isNew || ends || now - rung.Printed >= PlainEvery))
        {
            rung.Printed = now;
            host.Error.WriteLine(rung.Line(host.ResidentBytes()));
        }
    }

    /// <summary>A stage whose result is taken from the run as it lies there.</summary>
    /// <param name="stage">Its name.</param>
    /// <param name="why">Such as <c>same inputs and options</c>.</param>
    public void Reused(string stage, string why) => Note(stage, $"reused: {why}");

    /// <summary>A stage that is done again though the run has a result of it.</summary>
    /// <param name="stage">Its name.</param>
    /// <param name="why">Such as <c>--atoms changed from 100 to 200</c>.</param>
    public void Redone(string stage, string why) => Note(stage, $"redone: {why}");

    /// <summary>What the run does with a stage, told before it does it.</summary>
    public void Decided(StageDecision decision)
    {
        if (decision.Reuse)
        {
            Reused(decision.Stage, decision.Reason);
        }
        else if (decision.Reason is "it failed" or "it was interrupted")
        {
            Note(decision.Stage, $"continues: {decision.Reason}");
        }
        else if (decision.Reason != "not done yet")
        {
            Redone(decision.Stage, decision.Reason);
        }
    }

    private void Note(string stage, string text)
    {
        Finish();
        var now = host.Time.GetUtcNow();
        var rung = new Rung(new StageProgress(stage, 0, 0, string.Empty, text), now) { State = RungState.Note };
        _rungs.Add(rung);
        if (_live is not null)
        {
            Draw(now, force: true);
        }
        else if (!quiet)
        {
            host.Error.WriteLine(rung.Line(0));
        }
    }

    /// <summary>The stage that runs has ended, whether or not it said so.</summary>
    private void Finish()
    {
        if (_rungs.Count > 0 && _rungs[^1].State == RungState.Running)
        {
            _rungs[^1].State = RungState.Done;
            Draw(host.Time.GetUtcNow(), force: true);
        }
    }

    private void Draw(DateTimeOffset now, bool force)
    {
        if (_live is null || (!force && now - _lastDrawn < LiveEvery))
        {
            return;
        }

        _lastDrawn = now;
        var memory = host.ResidentBytes();
        // Text, never markup: a note may hold a document's brackets.
        _live.UpdateTarget(new Rows(_rungs.Select(rung => (IRenderable)new Spectre.Console.Text(rung.Line(memory), rung.Style)).ToArray()));
        _live.Refresh();
    }

    private enum RungState
    {
        Running,
        Done,
        Note,
    }

    private sealed class Rung(StageProgress first, DateTimeOffset start)
    {
        // A stage that continues begins with what was done before: its rate counts only what was done now.
        private readonly long _doneBefore = first.Done;
        private readonly DateTimeOffset _start = start;

        public StageProgress Last { get; set; } = first;

        public DateTimeOffset LastAt { get; set; } = start;

        public DateTimeOffset Printed { get; set; } = start;

        public RungState State { get; set; }

        public Style Style => State switch
        {
            RungState.Running => new Style(decoration: Decoration.Bold),
            RungState.Note => new Style(decoration: Decoration.Dim),
            _ => Style.Plain,
        };

        public string Line(long memory)
        {
            var stage = Plain.Line(Last.Stage).PadRight(14);
            if (State == RungState.Note)
            {
                return $"{stage} {Plain.Short(Last.Note ?? string.Empty, 160)}";
            }

            var parts = new List<string> { $"{Plain.Count(Last.Done)}{(Last.Total > 0 ? $"/{Plain.Count(Last.Total)}" : string.Empty)} {Last.Unit}" };
            var elapsed = LastAt - _start;
            var done = Last.Done - _doneBefore;
            if (done > 0 && elapsed > TimeSpan.Zero)
            {
                var rate = done / elapsed.TotalSeconds;
                parts.Add(rate >= 1 || rate == 0 ? $"{Rate(rate)}/s" : $"{Rate(rate * 60)}/min");
                if (State == RungState.Running && Last.Total > Last.Done)
                {
                    parts.Add($"{Plain.Duration(TimeSpan.FromSeconds((Last.Total - Last.Done) / rate))} left");
                }
            }

            if (State == RungState.Done)
            {
                parts.Add($"in {Plain.Duration(elapsed)}");
            }

            parts.Add(Plain.Bytes(memory));
            if (Last.Note is { Length: > 0 } note)
            {
                parts.Add(Plain.Short(note, 80));
            }

            return $"{stage} {string.Join("  ", parts)}";
        }

        private static string Rate(double rate) => rate.ToString(rate >= 100 ? "F0" : "F1", CultureInfo.InvariantCulture);
    }
}
