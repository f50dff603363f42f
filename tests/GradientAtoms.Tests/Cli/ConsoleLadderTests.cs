using GradientAtoms.Cli;

namespace GradientAtoms.Tests.Cli;

public class ConsoleLadderTests
{
    [Fact]
    public void Plain_lines_are_the_first_one_about_every_ten_seconds_and_the_last()
    {
        var lines = Lines(clock: (ladder, clock) =>
        {
            for (var done = 0; done <= 100; done++)
            {
                ladder.Report(new("gradients", done, 100, "documents", done == 100 ? "loss 1.2" : null));
                clock.Advance(TimeSpan.FromSeconds(0.5));
            }
        });
        Assert.Equal(6, lines.Length); // 0, 10, 20, 30 and 40 seconds, and the end at 50
        Assert.Equal("gradients      0/100 documents  2.0 GiB", lines[0]);
        Assert.Equal("gradients      20/100 documents  2.0/s  40 s left  2.0 GiB", lines[1]);
        Assert.Equal("gradients      100/100 documents  2.0/s  in 50 s  2.0 GiB  loss 1.2", lines[^1]);
    }

    [Fact]
    public void A_continued_stage_counts_only_what_is_done_now_for_its_rate()
    {
        var lines = Lines((ladder, clock) =>
        {
            ladder.Report(new("gradients", 800, 1000, "documents"));
            clock.Advance(TimeSpan.FromSeconds(20));
            ladder.Report(new("gradients", 810, 1000, "documents"));
        });
        Assert.Equal("gradients      810/1,000 documents  30.0/min  6 min 20 s left  2.0 GiB", lines[1]);
    }

    [Fact]
    public void A_reused_stage_says_why_and_a_new_stage_begins_a_new_line()
    {
        var lines = Lines((ladder, clock) =>
        {
            ladder.Reused("curvature", "same inputs");
            ladder.Redone("dictionary", "options changed: atoms 100 -> 200");
            ladder.Report(new("dictionary", 1, 30, "rounds"));
            clock.Advance(TimeSpan.FromSeconds(1));
            ladder.Report(new("dictionary", 1, 30, "rounds"));
            ladder.Report(new("atoms", 1, 200, "atoms"));
        });
        Assert.Equal(["curvature      reused: same inputs", "dictionary     redone: options changed: atoms 100 -> 200", "dictionary     1/30 rounds  2.0 GiB", "atoms          1/200 atoms  2.0 GiB"], lines);
    }

    [Fact]
    public void Quiet_prints_nothing() => Assert.Empty(Lines((ladder, _) => ladder.Report(new("gradients", 1, 2, "documents")), quiet: true));

    [Fact]
    public void A_terminal_gets_a_live_ladder_in_which_brackets_are_text()
    {
        var clock = new Clock();
        using var error = new StringWriter();
        var host = new CliHost { Out = TextWriter.Null, Error = error, ErrorIsTerminal = true, Variable = _ => null, Time = clock, ResidentBytes = () => 2L << 30 };
        var ladder = new ConsoleLadder(host, quiet: false);
        var result = ladder.Run(() =>
        {
            ladder.Report(new("gradients", 1, 2, "documents", "[red]not markup[/] \e[31m"));
            clock.Advance(TimeSpan.FromSeconds(3));
            ladder.Report(new("gradients", 2, 2, "documents", "[red]not markup[/]"));
            return 7;
        });
        Assert.Equal(7, result);
        Assert.Contains("[red]not markup[/]", error.ToString(), StringComparison.Ordinal);
        Assert.Contains("2/2 documents", error.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("\e[31m", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void NO_COLOR_makes_a_terminal_plain()
    {
        using var error = new StringWriter();
        var host = new CliHost { Out = TextWriter.Null, Error = error, ErrorIsTerminal = true, Variable = name => name == "NO_COLOR" ? "1" : null };
        var ladder = new ConsoleLadder(host, quiet: false);
        ladder.Run(() => { ladder.Report(new("gradients", 2, 2, "documents")); return 0; });
        Assert.DoesNotContain("\e", error.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("a\nb", "a⏎b")]
    [InlineData("\e[2Jgone", "�[2Jgone")]
    [InlineData("x\u202ey\0z\u0085", "x�y�z�")]
    [InlineData("tab\there\r\n", "tab here⏎")]
    public void Text_of_documents_cannot_command_the_terminal(string text, string expected) => Assert.Equal(expected, Plain.Line(text));

    [Fact]
    public void Short_text_is_cut_between_characters()
    {
        Assert.Equal("abc", Plain.Short("abc", 3));
        Assert.Equal("ab…", Plain.Short("abcd", 3));
        Assert.Equal("a…", Plain.Short("a😀bcd", 3));
    }

    private static string[] Lines(Action<ConsoleLadder, Clock> clock, bool quiet = false)
    {
        var time = new Clock();
        using var error = new StringWriter();
        var host = new CliHost { Out = TextWriter.Null, Error = error, Variable = _ => null, Time = time, ResidentBytes = () => 2L << 30 };
        var ladder = new ConsoleLadder(host, quiet);
        ladder.Run(() =>
        {
            clock(ladder, time);
            return 0;
        });
        return error.ToString().Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries);
    }

    private sealed class Clock : TimeProvider
    {
        private DateTimeOffset _now = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

        public void Advance(TimeSpan time) => _now += time;

        public override DateTimeOffset GetUtcNow() => _now;
    }
}
