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
        { """{"model": {"vocab": {"a": 0}, "merges": [], "end_of_word_suffix": "</w>"}}""", "GA2104" },
        { """{"model": {"type": "Unigram", "vocab": {}}}""", "GA2104" },
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
    [InlineData("normalizer", """{"type": "Precompiled"}""")]
    [InlineData("pre_tokenizer", """{"type": "BertPreTokenizer"}""")]
    [InlineData("pre_tokenizer", """{"type": "Sequence", "pretokenizers": [{"type": "UnicodeScripts"}]}""")]
    [InlineData("post_processor", """{"type": "RobertaProcessing"}""")]
    [InlineData("decoder", """{"type": "WordPiece"}""")]
    [InlineData("pre_tokenizer", """{"type": "Metaspace", "prepend_scheme": "sometimes"}""")]
    [InlineData("pre_tokenizer", """{"type": "Split", "pattern": {"String": "a"}, "behavior": "Halved"}""")]
    public void A_step_that_is_not_known_is_refused_by_name(string step, string value)
    {
        var json = TinyTokenizer.Json();
        json[step] = JsonNode.Parse(value);
        var error = Assert.Throws<TokenizerException>(() => Tokenizer.Parse(json.ToJsonString(), "tiny"));
        Assert.Equal("GA2104", error.Code);
        var names = new[] { "Precompiled", "BertPreTokenizer", "UnicodeScripts", "RobertaProcessing", "WordPiece", "sometimes", "Halved" };
        Assert.Contains(names, name => value.Contains(name, StringComparison.Ordinal) && error.Problem.Contains(name, StringComparison.Ordinal));
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
