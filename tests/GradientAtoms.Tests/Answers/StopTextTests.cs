using System.Text;
using GradientAtoms.Runs.Answers;
using GradientAtoms.Tests.Tokenization;

namespace GradientAtoms.Tests.Answers;

/// <summary>The tiny tokenizer has a token a byte, so that every text here comes in the smallest pieces there are.</summary>
public sealed class StopTextTests
{
    [Theory]
    [InlineData("one two three", "two", "one ")]
    [InlineData("one two three", "four", "one two three")]
    [InlineData("aaab", "aab", "a")]
    [InlineData("ababac tail", "abac", "ab")]
    [InlineData("stop", "stop", "")]
    [InlineData("almost sto", "stop", "almost sto")]
    [InlineData("über größe", "ö", "über gr")]
    [InlineData("smile 😀 end", "😀", "smile ")]
    public void An_answer_ends_before_its_stop_text_wherever_the_tokens_cut_it(string text, string stop, string expected)
    {
        var (shown, isStopped) = Show(text, stop);
        Assert.Equal(expected, string.Concat(shown));
        Assert.Equal(text.Contains(stop, StringComparison.Ordinal), isStopped);
    }

    [Fact]
    public void The_first_of_several_stop_texts_ends_it()
    {
        Assert.Equal("one ", string.Concat(Show("one two three", "three", "two", "wo").Shown));
        Assert.Equal("one t", string.Concat(Show("one two three", "wo t", "wo three").Shown));
    }

    [Fact]
    public void What_cannot_be_a_stop_text_is_shown_at_once_and_what_may_become_one_is_held_back()
    {
        var text = new StopText(TinyTokenizer.Make(), ["##end"]);
        Assert.Equal("a", text.Append('a'));
        Assert.Equal("", text.Append('#'));
        Assert.Equal("", text.Append('#'));
        Assert.Equal("#", text.Append('#')); // of three the first cannot begin the stop text any more
        Assert.Equal("##x", text.Append('x'));
        Assert.Equal("", text.Append('#'));
        Assert.Equal("#", text.Finish());
    }

    [Fact]
    public void No_piece_has_half_a_character()
    {
        var (shown, _) = Show("smile 😀, größe", "never");
        Assert.All(shown, piece => Assert.DoesNotContain('\uFFFD', piece));
        Assert.Equal("smile 😀, größe", string.Concat(shown));
        Assert.Contains("😀", shown);
    }

    private static (List<string> Shown, bool IsStopped) Show(string text, params string[] stops)
    {
        var reader = new StopText(TinyTokenizer.Make(), stops);
        var shown = Encoding.UTF8.GetBytes(text).Select(value => reader.Append(value)).ToList();
        shown.Add(reader.Finish());
        return (shown, reader.IsStopped);
    }
}
