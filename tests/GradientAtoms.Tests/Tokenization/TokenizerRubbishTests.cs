using System.Text;
using System.Text.Json.Nodes;
using CsCheck;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Tests.Tokenization;

public sealed class TokenizerRubbishTests
{
    public static TheoryData<string, string> Contents => new()
    {
        { "", "GA2102" },
        { "{", "GA2102" },
        { "\0\0\0", "GA2102" },
        { "[]", "GA2103" },
        { "3", "GA2103" },
        { "{}", "GA2103" },
        { """{"model": 3}""", "GA2103" },
        { """{"model": {"vocab": {}, "merges": 5}}""", "GA2103" },
        { """{"model": {"vocab": [], "merges": []}}""", "GA2103" },
        { """{"model": {"vocab": {"a": "b"}, "merges": []}}""", "GA2103" },
        { """{"model": {"vocab": {"a": 1.5}, "merges": []}}""", "GA2103" },
        { """{"model": {"vocab": {"a": 99999999999}, "merges": []}}""", "GA2103" },
        { """{"model": {"vocab": {"a": -1}, "merges": []}}""", "GA2106" },
        { """{"model": {"vocab": {"a": 2147483647}, "merges": []}}""", "GA2106" },
        { """{"model": {"vocab": {"a": 1, "b": 1}, "merges": []}}""", "GA2106" },
        { """{"model": {"vocab": {"a": 1, "a": 2}, "merges": []}}""", "GA2106" },
        { """{"model": {"vocab": {"\ud800": 1}, "merges": []}}""", "GA2102" },
        { """{"model": {"vocab": {}, "merges": ["a b"]}}""", "GA2105" },
        { """{"model": {"vocab": {"a": 0, "b": 1}, "merges": ["a b"]}}""", "GA2105" },
        { """{"model": {"vocab": {"a": 0}, "merges": ["a"]}}""", "GA2105" },
        { """{"model": {"vocab": {"a": 0}, "merges": ["a  a"]}}""", "GA2105" },
        { """{"model": {"vocab": {"a": 0}, "merges": [["a"]]}}""", "GA2105" },
        { """{"model": {"vocab": {"a": 0}, "merges": [], "unk_token": "<unk>"}}""", "GA2106" },
        { """{"model": {"vocab": {"a": 0}, "merges": [], "dropout": 0.1}}""", "GA2104" },
        { """{"model": {"type": "Klingon", "vocab": {}}}""", "GA2104" },
        { """{"model": {"type": "Unigram", "vocab": {}}}""", "GA2103" },
        { """{"model": {"type": "Unigram", "vocab": [["a"]]}}""", "GA2103" },
        { """{"model": {"type": "Unigram", "vocab": [["a", "b"]]}}""", "GA2103" },
        { """{"model": {"type": "Unigram", "vocab": [["a", 1e999]]}}""", "GA2103" },
        { """{"model": {"type": "Unigram", "vocab": [["a", 0], ["a", 0]]}}""", "GA2106" },
        { """{"model": {"type": "Unigram", "vocab": [["a", 0]], "unk_id": 1}}""", "GA2106" },
        { """{"model": {"type": "WordPiece", "vocab": {"a": 0}}}""", "GA2106" },
    };

    [Theory]
    [MemberData(nameof(Contents))]
    public void Rubbish_gets_a_code(string json, string code)
    {
        var error = Assert.Throws<TokenizerException>(() => Tokenizer.Parse(json, "rubbish.json"));
        Assert.Equal(code, error.Code);
        Assert.StartsWith("rubbish.json", error.Location, StringComparison.Ordinal);
        Assert.NotEmpty(error.Remedy);
    }

    [Theory]
    [InlineData("normalizer", """{"type": "Transliterate"}""", "Transliterate")]
    [InlineData("pre_tokenizer", """{"type": "Sequence", "pretokenizers": [{"type": "Syllables"}]}""", "Syllables")]
    [InlineData("pre_tokenizer", """{"type": "Metaspace", "prepend_scheme": "sometimes"}""", "sometimes")]
    [InlineData("pre_tokenizer", """{"type": "Split", "pattern": {"String": "a"}, "behavior": "Halved"}""", "Halved")]
    [InlineData("pre_tokenizer", """{"type": "FixedLength", "length": 0}""", "length 0")]
    [InlineData("pre_tokenizer", """{"type": "CharDelimiterSplit", "delimiter": "ab"}""", "delimiter")]
    [InlineData("post_processor", """{"type": "PairProcessing"}""", "PairProcessing")]
    [InlineData("post_processor", """{"type": "BertProcessing", "cls": ["a"], "sep": ["a", 1]}""", "text and id")]
    [InlineData("decoder", """{"type": "Morse"}""", "Morse")]
    public void A_step_that_is_not_known_is_refused_by_name(string step, string value, string name)
    {
        var json = TinyTokenizer.Json();
        json[step] = JsonNode.Parse(value);
        var error = Assert.Throws<TokenizerException>(() => Tokenizer.Parse(json.ToJsonString(), "tiny"));
        Assert.Equal("GA2104", error.Code);
        Assert.Contains(name, error.Problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", false)]
    [InlineData("%", true)]
    [InlineData("AAAA", true)] // less than a size
    [InlineData("/////wAAAAA=", true)] // a size beyond the end
    [InlineData("AwAAAAAAAAA=", true)] // a size that is no whole number of units
    public void A_character_map_whose_sizes_do_not_fit_gets_a_code(string base64, bool isRefused)
    {
        var json = TinyTokenizer.Json();
        json["normalizer"] = new JsonObject { ["type"] = "Precompiled", ["precompiled_charsmap"] = base64 };
        if (isRefused)
        {
            Assert.Equal("GA2103", Assert.Throws<TokenizerException>(() => Tokenizer.Parse(json.ToJsonString(), "tiny")).Code);
        }
        else
        {
            Assert.Equal("he", Tokenizer.Parse(json.ToJsonString(), "tiny").Decode(Tokenizer.Parse(json.ToJsonString(), "tiny").Encode("he")));
        }
    }

    [Fact]
    public void A_damaged_character_map_gives_some_text_or_a_coded_error()
    {
        var blob = Convert.FromBase64String(File.ReadAllText(TokenizerKindTests.CaseFile("charsmap.b64")));
        Gen.Select(Gen.Int[0, blob.Length - 1], Gen.Byte).Sample((at, value) =>
        {
            byte[] damaged = [.. blob];
            damaged[at] = value;
            try
            {
                var text = AlignedText.Of("aA\u212B e\u0301 \uFB01\u2460 \U0001F600 \u30AB");
                new PrecompiledNormalizer(CharacterMap.Read(damaged, "map")!).Apply(text);
                Assert.Equal(text.Count, text.Pieces.Sum(piece => piece.To - piece.From));
            }
            catch (TokenizerException error)
            {
                Assert.Equal("GA2103", error.Code);
            }
        });
    }

    [Fact]
    public void A_damaged_sentencepiece_model_gives_a_tokenizer_or_a_coded_error()
    {
        var model = File.ReadAllBytes(TokenizerKindTests.CaseFile("unigram.model"));
        Gen.Select(Gen.Int[0, model.Length], Gen.Int[0, model.Length - 1], Gen.Byte).Sample((end, at, value) =>
        {
            byte[] damaged = [.. model];
            damaged[at] = value;
            try
            {
                Assert.NotNull(SentencePieceFile.Read(damaged.AsSpan(0, end), "damaged").Model.Encode([0x2581, 'a']));
            }
            catch (TokenizerException error)
            {
                Assert.StartsWith("GA21", error.Code, StringComparison.Ordinal);
            }
        });
    }

    [Fact]
    public void An_added_token_must_not_take_the_id_of_another()
    {
        var json = TinyTokenizer.Json();
        json["added_tokens"]![0]!["id"] = 5;
        Assert.Equal("GA2106", Assert.Throws<TokenizerException>(() => Tokenizer.Parse(json.ToJsonString(), "tiny")).Code);
    }

    [Fact]
    public void A_template_must_not_add_an_id_that_no_token_has()
    {
        var json = TinyTokenizer.Json();
        json["post_processor"]!["special_tokens"]!["<bos>"]!["ids"]![0] = 299;
        Assert.Equal("GA2106", Assert.Throws<TokenizerException>(() => Tokenizer.Parse(json.ToJsonString(), "tiny")).Code);
    }

    [Fact]
    public void A_missing_file_gets_a_code() =>
        Assert.Equal("GA2101", Assert.Throws<TokenizerException>(() => Tokenizer.Load(Path.Combine(Path.GetTempPath(), "no", "such", "tokenizer.json"))).Code);

    [Fact]
    public void Damaged_content_gives_a_tokenizer_or_a_coded_error_and_nothing_else()
    {
        var json = TinyTokenizer.Json();
        json["normalizer"] = JsonNode.Parse("""{"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Prepend", "prepend": "x"}]}""");
        json["pre_tokenizer"] = JsonNode.Parse("""{"type": "Split", "pattern": {"Regex": "(?i:a|[^b&&[c-e]]?+)\\p{L}{1,3}"}, "behavior": "Isolated", "invert": false}""");
        json["model"]!["vocab"] = new JsonObject { ["a"] = 0, ["b"] = 1, ["ab"] = 2 };
        json["model"]!["merges"] = new JsonArray("a b");
        var content = json.ToJsonString();
        Gen.Select(Gen.Int[0, content.Length - 1], Gen.Int[0, 20], Gen.String["{}[]\",:0123456789-abn\\()?*+^$|"]).Sample((at, length, patch) =>
        {
            var damaged = content[..at] + patch + content[Math.Min(content.Length, at + length)..];
            try
            {
                Tokenizer.Parse(damaged, "damaged").Encode("ab <bos> cd");
            }
            catch (TokenizerException error)
            {
                Assert.StartsWith("GA21", error.Code, StringComparison.Ordinal);
            }
        });
    }

    [Fact]
    public void A_byte_order_mark_is_passed_over()
    {
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, TinyTokenizer.Json().ToJsonString(), new UTF8Encoding(encoderShouldEmitUTF8Identifier: true));
            Assert.Equal(TinyTokenizer.Eos + 1, Tokenizer.Load(file).VocabularySize);
        }
        finally
        {
            File.Delete(file);
        }
    }
}
