using CsCheck;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Tests.Tokenization;

public sealed class UnicodeFormsTests
{
    private static readonly Gen<int[]> MarkedText = Gen.OneOf<int>(
        'a', 'e', 0xC5, 0xE9, 0x1E69, 0x212B, 0x958, 0x915, 0x93C, 0x1100, 0x1161, 0x11A8, 0xAC00, 0xAC01, 0xD7A3, 0xFB01,
        0x300, 0x301, 0x30A, 0x323, 0x307, 0x345, 0x344, 0x1D15E, 0x3B1, 0x1F82).Array[0, 8];

    [Theory]
    [InlineData("e\u0301", "\u00E9", "e\u0301", "\u00E9", "e\u0301")]
    [InlineData("\u212B", "\u00C5", "A\u030A", "\u00C5", "A\u030A")] // a singleton
    [InlineData("\u0958", "\u0915\u093C", "\u0915\u093C", "\u0915\u093C", "\u0915\u093C")] // excluded from composition
    [InlineData("\uAC01", "\uAC01", "\u1100\u1161\u11A8", "\uAC01", "\u1100\u1161\u11A8")] // Hangul
    [InlineData("\u1100\u1161\u11A8", "\uAC01", "\u1100\u1161\u11A8", "\uAC01", "\u1100\u1161\u11A8")]
    [InlineData("s\u0307\u0323", "\u1E69", "s\u0323\u0307", "\u1E69", "s\u0323\u0307")] // marks change places
    [InlineData("\uFB01", "\uFB01", "\uFB01", "fi", "fi")]
    [InlineData("\u1E9B\u0323", "\u1E9B\u0323", "\u017F\u0323\u0307", "\u1E69", "s\u0323\u0307")] // figure 6 of UAX 15
    public void Forms_are_those_of_unicode_annex_15(string text, string nfc, string nfd, string nfkc, string nfkd)
    {
        Assert.Equal(nfc, Form(text, compose: true, compatibility: false));
        Assert.Equal(nfd, Form(text, compose: false, compatibility: false));
        Assert.Equal(nfkc, Form(text, compose: true, compatibility: true));
        Assert.Equal(nfkd, Form(text, compose: false, compatibility: true));
    }

    [Fact]
    public void Forms_are_stable_and_agree_with_each_other() => MarkedText.Sample(text =>
    {
        foreach (var compatibility in new[] { false, true })
        {
            var composed = Codes(text, compose: true, compatibility);
            var decomposed = Codes(text, compose: false, compatibility);
            Assert.Equal(composed, Codes(composed, compose: true, compatibility));
            Assert.Equal(decomposed, Codes(decomposed, compose: false, compatibility));
            Assert.Equal(composed, Codes(decomposed, compose: true, compatibility));
            Assert.Equal(decomposed, Codes(composed, compose: false, compatibility));
        }
    });

    [Fact]
    public void Every_character_of_a_text_is_taken_by_one_of_the_result() => MarkedText.Sample(text =>
        Assert.Equal(text.Length, UnicodeForms.Normalize(text, compose: true, compatibility: true).Sum(mark => mark.Taken)));

    private static string Form(string text, bool compose, bool compatibility) =>
        AlignedText.ToText(Codes(AlignedText.ToCodePoints(text), compose, compatibility));

    private static int[] Codes(int[] text, bool compose, bool compatibility) =>
        [.. UnicodeForms.Normalize(text, compose, compatibility).Select(mark => mark.Code)];
}
