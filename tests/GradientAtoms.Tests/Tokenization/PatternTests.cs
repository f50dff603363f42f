using CsCheck;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Tests.Tokenization;

public sealed class PatternTests
{
    // What the well-known expressions tell apart: letters and numbers of several widths, blanks, breaks, contractions.
    private static readonly Gen<int[]> TrickyText = Gen.OneOf<int>(
        'a', 'S', 's', 't', 'r', 'e', 'V', 'l', 'L', 'd', 'm', 'é', 0x17F, 0x301, 0x1D518, 0x20BB7, '1', '2', '²', 0x2167, 0x1D7D9,
        ' ', ' ', ' ', '\n', '\r', '\t', 0x85, 0xA0, 0x3000, 0x1C, 0x200B, '\'', '\'', '.', '-', '_', 0x1F600, 0x4E00, 0x2028).Array[0, 14];

    [Theory]
    [InlineData(WordScanner.Gpt2Expression)]
    [InlineData(WordScanner.Llama3Expression)]
    [InlineData(WordScanner.Qwen2Expression)]
    public void A_scanner_cuts_as_its_expression_does(string expression)
    {
        var scanner = WordScanner.ForExpression(expression)!;
        var general = new OnigurumaPattern(expression, "test");
        TrickyText.Sample(text => Assert.Equal(Parts(general, text), Parts(scanner, text)), iter: 5000);
    }

    [Theory]
    [InlineData(@"\p{L}+", "a𝔘𠮷1", "a𝔘𠮷")] // beyond U+FFFF are letters too
    [InlineData(@"\p{N}", "a𝟙²Ⅷ", "𝟙", "²", "Ⅷ")]
    [InlineData(@"[^\r\n\p{L}\p{N}]?\p{L}+", "😀a", "😀a")] // not half of the pair
    [InlineData(@"^a", "a\na", "a", "a")] // ^ and $ hold at every line
    [InlineData(@"a$", "a\na", "a", "a")]
    [InlineData(@"a.b", "a\nbacb", "acb")] // . stops at a line break
    [InlineData(@"\s", "a\u001Cb\u0085c\u200Bd\u3000", "\u0085", "\u3000")]
    [InlineData(@"(?i:'s)", "'s 'S '\u017F", "'s", "'S", "'\u017F")] // long s folds to s
    [InlineData(@"(?i:k)", "k K \u212A", "k", "K", "\u212A")] // as does the sign of kelvin to k
    [InlineData(@"(?i:ss)", "ß ss", "ss")]
    [InlineData(@"a(?i)b|c", "aB C ac", "aB", "ac")] // the flag opens a group: a(?i:b|c)
    [InlineData(@"a++a", "aaa")] // possessive: gives nothing back
    [InlineData(@"a?+b", "ab", "ab")]
    [InlineData(@"(?>a*)b", "aab", "aab")]
    [InlineData(@"(?:a{1,2}+)b", "aaaab", "aaaab")] // {1,2}+ is a repetition of a repetition in this dialect
    [InlineData(@"a{,2}b", "aaab", "aab")]
    [InlineData(@"x{a", "x{a", "x{a")] // no quantifier, so it stands for itself
    [InlineData(@"[a-z&&[^aeiou]]+", "hello", "h", "ll")]
    [InlineData(@"[^a-z&&[^aeiou]]+", "hello1", "e", "o1")]
    [InlineData(@"[a[0-9]]+", "a1b2", "a1", "2")]
    [InlineData(@"[\p{Han}&&[^一]]+", "一二𠮷あ", "二𠮷")]
    [InlineData(@"\p{Hiragana}+", "あいアa", "あい")]
    [InlineData(@"\p{^L}+", "ab12", "12")]
    [InlineData(@"(?<=a)b(?!c)", "ab abc bb", "b")]
    [InlineData(@"\w+", "a_1²-é", "a_1²", "é")]
    [InlineData(@"[\w-]+", "a-b c", "a-b", "c")]
    [InlineData(@"[\]\-]", "a]-", "]", "-")]
    [InlineData(@"\x{4E00}|\u4E8C|\x41", "一二A", "一", "二", "A")]
    public void An_expression_means_what_it_means_to_oniguruma(string expression, string text, params string[] matches)
    {
        var codes = AlignedText.ToCodePoints(text);
        var found = Parts(new OnigurumaPattern(expression, "test"), codes)
            .Where(part => part.IsMatch)
            .Select(part => AlignedText.ToText(codes.AsSpan(part.From, part.To - part.From)));
        Assert.Equal(string.Join('|', matches), string.Join('|', found));
    }

    [Theory]
    [InlineData(@"(")]
    [InlineData(@"a)")]
    [InlineData(@"[")]
    [InlineData(@"[]")]
    [InlineData(@"[z-a]")]
    [InlineData(@"*a")]
    [InlineData(@"\p{Klingon}")]
    [InlineData(@"\p")]
    [InlineData(@"\")]
    [InlineData(@"\k<a>")]
    [InlineData(@"[[:alpha:]]")]
    [InlineData(@"(?x)a")]
    [InlineData(@"😀")]
    public void An_expression_that_cannot_be_used_is_refused(string expression)
    {
        var error = Assert.Throws<TokenizerException>(() => new OnigurumaPattern(expression, "test"));
        Assert.Equal("GA2107", error.Code);
        Assert.Contains(expression, error.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void Deep_nesting_is_refused_and_does_not_exhaust_the_stack() => Assert.Equal(
        "GA2107",
        Assert.Throws<TokenizerException>(() => new OnigurumaPattern(new string('(', 100_000) + new string('[', 100_000), "test")).Code);

    [Theory]
    [InlineData(SplitKind.Removed, "a|b|c")]
    [InlineData(SplitKind.Isolated, "a|-|b|-|-|c")]
    [InlineData(SplitKind.MergedWithPrevious, "a-|b-|-|c")]
    [InlineData(SplitKind.MergedWithNext, "a|-b|-|-c")]
    [InlineData(SplitKind.Contiguous, "a|-|b|--|c")]
    internal void Matches_become_pieces_by_the_behavior(SplitKind kind, string expected)
    {
        var text = AlignedText.Of("a-b--c");
        text.Cut(new LiteralPattern("-"), new SplitBehavior(kind), invert: false);
        Assert.Equal(expected, string.Join('|', text.Pieces.Select(piece => AlignedText.ToText(text.Codes.AsSpan(piece.From, piece.To - piece.From)))));
    }

    private static List<PatternPart> Parts(TextPattern pattern, int[] text)
    {
        var parts = new List<PatternPart>();
        pattern.Partition(text, parts);
        return parts;
    }
}
