using System.Text;
using CsCheck;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Tests.Tokenization;

public sealed class TokenizerTests
{
    private static readonly Tokenizer Tiny = TinyTokenizer.Make();

    // Scalar values of every width in UTF-8, and marks, blanks and joiners that splitting looks at.
    private static readonly Gen<string> AnyText = Gen.OneOf(
            Gen.Int[0, 0x7F],
            Gen.Int[0x80, 0xD7FF],
            Gen.Int[0xE000, 0x10FFFF],
            Gen.OneOf<int>(' ', '\n', '\r', '\t', '\'', 's', 'h', 'e', 'l', 'o', 0x301, 0x200D, 0x1F600, 0x20BB7, 0x85, 0x3000, 0x1D7D9))
        .Array[0, 40]
        .Select(codes => AlignedText.ToText(codes));

    [Fact]
    public void Merges_apply_by_rank_and_not_from_left_to_right()
    {
        // e+l has rank 8 and stands left of l+l with rank 1; of two l+l the left one goes first.
        Assert.Equal(["e", "ll"], Texts("ell"));
        Assert.Equal(["he", "l"], Texts("hel"));
        Assert.Equal(["hello", "Ġwor", "ld"], Texts("hello world"));
        Assert.Equal(["ll", "l"], Texts("lll"));
    }

    [Fact]
    public void Names_of_special_tokens_in_a_text_become_those_tokens()
    {
        Assert.Equal([TinyTokenizer.Bos, Tiny.TokenId("he")!.Value, TinyTokenizer.Eos], Tiny.Encode("<bos>he<eos>"));
        Assert.Equal("he", Tiny.Decode(Tiny.Encode("<bos>he<eos>"), skipSpecialTokens: true));
        Assert.Equal("<bos>he<eos>", Tiny.Decode(Tiny.Encode("<bos>he<eos>")));
        Assert.True(Tiny.IsSpecial(TinyTokenizer.Eos));
        Assert.False(Tiny.IsSpecial(0));
    }

    [Fact]
    public void The_template_puts_its_tokens_around_only_when_asked()
    {
        Assert.Equal([Tiny.TokenId("he")!.Value], Tiny.Encode("he"));
        Assert.Equal(
            [new Token(TinyTokenizer.Bos, 0, 0), new Token(Tiny.TokenId("he")!.Value, 0, 2), new Token(TinyTokenizer.Eos, 0, 0)],
            Tiny.EncodeWithOffsets("he", addSpecialTokens: true));
    }

    [Fact]
    public void Offsets_count_code_points_and_the_bytes_of_a_character_share_its_span()
    {
        // U+1F600 has four bytes and two UTF-16 units.
        var tokens = Tiny.EncodeWithOffsets("he\U0001F600he");
        Assert.Equal([(0, 2), (2, 3), (2, 3), (2, 3), (2, 3), (3, 5)], tokens.Select(token => (token.Start, token.End)));
    }

    [Fact]
    public void The_vocabulary_reaches_to_the_largest_id_and_may_have_gaps()
    {
        Assert.Equal(TinyTokenizer.Eos + 1, Tiny.VocabularySize);
        Assert.Null(Tiny.TokenText(299));
        Assert.Null(Tiny.TokenText(-1));
        Assert.Null(Tiny.TokenText(int.MaxValue));
        Assert.Equal("", Tiny.Decode([299, -5, int.MaxValue]));
        Assert.Null(Tiny.TokenId("nothing of the kind"));
    }

    [Fact]
    public void Every_text_comes_back_from_its_ids() =>
        AnyText.Sample(text => Assert.Equal(text, Tiny.Decode(Tiny.Encode(text))));

    [Fact]
    public void Offsets_cover_the_text_without_gap() => AnyText.Sample(text =>
    {
        var at = 0;
        foreach (var token in Tiny.EncodeWithOffsets(text))
        {
            Assert.True(token.Start == at || token.Start == at - 1, "a token starts where the one before ends, or shares its last character");
            Assert.True(token.End > token.Start);
            at = token.End;
        }

        Assert.Equal(text.EnumerateRunes().Count(), at);
    });

    [Fact]
    public void Decoding_any_ids_one_by_one_gives_what_decoding_them_at_once_gives() =>
        Gen.Select(Gen.Int[0, 310].Array[0, 30], Gen.Bool).Sample((ids, skips) =>
        {
            var decoder = Tiny.NewDecoder(skips);
            var text = string.Concat(ids.Select(decoder.Append)) + decoder.Flush();
            Assert.Equal(Tiny.Decode(ids, skips), text);
        });

    [Fact]
    public void Half_a_surrogate_pair_counts_as_a_replacement_character() =>
        Assert.Equal("a\uFFFDb", Tiny.Decode(Tiny.Encode("a\uD83Db")));

    [Fact]
    public void Unfinished_characters_wait_for_their_last_byte()
    {
        var decoder = Tiny.NewDecoder();
        var pieces = Encoding.UTF8.GetBytes("é\U0001F600").Select(value => decoder.Append(Tiny.TokenId(Alphabet(value))!.Value));
        Assert.Equal(",é,,,,\U0001F600", string.Join(',', pieces));
        Assert.Equal("", decoder.Append(Tiny.TokenId(Alphabet(0xF0))!.Value));
        Assert.Equal("\uFFFD", decoder.Flush());
    }

    [Fact]
    public void Threads_share_a_tokenizer()
    {
        var tokenizer = TinyTokenizer.Make();
        var texts = Enumerable.Range(0, 500).Select(i => $"hello world {i} held").ToArray();
        var expected = texts.Select(text => Tiny.Encode(text)).ToArray();
        var found = new int[texts.Length][];
        Parallel.For(0, texts.Length, i => found[i] = tokenizer.Encode(texts[i]));
        Assert.Equal(expected, found);
    }

    [Fact]
    public void A_very_long_word_takes_no_quadratic_time()
    {
        // 400,000 symbols without a blank: merging pair by pair over the whole list would take hours.
        var word = string.Concat(Enumerable.Repeat("hell", 100_000));
        Assert.Equal(100_000, Tiny.Encode(word).Length);
    }

    private static string Alphabet(byte value) => char.ConvertFromUtf32(ByteAlphabet.CodeOf(value));

    private static string[] Texts(string text) => [.. Tiny.Encode(text).Select(id => Tiny.TokenText(id)!)];
}
