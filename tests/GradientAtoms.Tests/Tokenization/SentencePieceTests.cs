using System.Text.Json;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Tests.Tokenization;

/// <summary>Small models that sentencepiece 0.1.97 trained, and what it makes of 360 texts (<c>tools/make_sentencepiece_cases.py</c>).</summary>
public sealed class SentencePieceTests
{
    private static readonly JsonElement File = JsonDocument.Parse(System.IO.File.ReadAllBytes(TokenizerKindTests.CaseFile("sentencepiece.json"))).RootElement;

    public static TheoryData<string> Models => [.. File.GetProperty("models").EnumerateObject().Select(model => model.Name)];

    [Theory]
    [MemberData(nameof(Models))]
    public void Ids_are_those_of_sentencepiece(string name)
    {
        var tokenizer = Load(name);
        var differences = Records(name)
            .Where(record => string.Join(' ', tokenizer.Encode(record.Text)) != record.Ids)
            .Select(record => $"{JsonSerializer.Serialize(record.Text)}\n  expected {record.Ids}\n  found    {string.Join(' ', tokenizer.Encode(record.Text))}")
            .ToList();
        Assert.True(differences.Count == 0, $"{differences.Count} differ:\n{string.Join('\n', differences.Take(8))}");
    }

    [Theory]
    [InlineData("unigram")]
    [InlineData("bpe-llama")]
    [InlineData("bpe-gemma")]
    public void Decodings_are_those_of_sentencepiece(string name)
    {
        var tokenizer = Load(name);
        // A mark that stands in the text itself comes back as a blank; at the start sentencepiece drops all of those, transformers one.
        Assert.All(Records(name).Where(record => !record.Text.Contains('▁', StringComparison.Ordinal)), record => Assert.Equal(record.Decoded, tokenizer.Decode([.. record.Ids.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)])));
    }

    [Fact]
    public void Special_tokens_are_those_of_the_folder()
    {
        Assert.Equal([1], Load("bpe-llama").Encode("", addSpecialTokens: true));
        var tokenizer = Load("bpe-llama", ("tokenizer_config.json", """{"add_bos_token": false, "add_eos_token": true, "added_tokens_decoder": {"2": {"content": "</s>", "special": true}, "900": {"content": "<|user|>", "special": true, "rstrip": true}}}"""), ("added_tokens.json", """{"<|user|>": 900, "<more>": 901}"""));
        Assert.Equal([2], tokenizer.Encode("", addSpecialTokens: true));
        Assert.Equal([900, 901], tokenizer.Encode("<|user|>  <more>"));
        Assert.True(tokenizer.IsSpecial(900));
        Assert.False(tokenizer.IsSpecial(901));
    }

    [Fact]
    public void A_folder_without_a_tokenizer_gets_a_code() =>
        Assert.Equal("GA2101", Assert.Throws<TokenizerException>(() => Tokenizer.LoadFolder(Path.Combine(Path.GetTempPath(), "no such folder"))).Code);

    [Fact]
    public void Models_of_whole_words_or_characters_are_refused_by_name()
    {
        // Field 2 (how it was trained), of which field 3 is the kind: 3 words, 4 characters.
        Assert.Contains("WORD", Assert.Throws<TokenizerException>(() => SentencePieceFile.Read([0x12, 2, 0x18, 3], "x")).Problem, StringComparison.Ordinal);
        Assert.Equal("GA2104", Assert.Throws<TokenizerException>(() => SentencePieceFile.Read([0x12, 2, 0x18, 4], "x")).Code);
        Assert.Equal("GA2111", Assert.Throws<TokenizerException>(() => SentencePieceFile.Read([], "x")).Code);
        Assert.Equal("GA2111", Assert.Throws<TokenizerException>(() => SentencePieceFile.Read([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F], "x")).Code);
    }

    private static IEnumerable<(string Text, string Ids, string Decoded)> Records(string name)
    {
        var model = File.GetProperty("models").GetProperty(name);
        // In a text the name of a control piece, or of one that is always a token, parts it (as the converters of transformers have it).
        return File.GetProperty("texts").EnumerateArray()
            .Select((text, i) => (Text: text.GetString()!, Ids: model.GetProperty("ids")[i].GetString()!, Decoded: model.GetProperty("decoded")[i].GetString()!))
            .Where(record => !new[] { "<s>", "</s>", "<unk>" }.Any(token => record.Text.Contains(token, StringComparison.Ordinal)));
    }

    private static Tokenizer Load(string name, params (string Name, string Content)[] beside)
    {
        var folder = Directory.CreateTempSubdirectory("gatoms-sentencepiece").FullName;
        try
        {
            System.IO.File.Copy(TokenizerKindTests.CaseFile($"{name}.model"), Path.Combine(folder, "tokenizer.model"));
            foreach (var file in beside)
            {
                System.IO.File.WriteAllText(Path.Combine(folder, file.Name), file.Content);
            }

            return Tokenizer.LoadFolder(folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
