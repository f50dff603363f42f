using GradientAtoms.Tests.Support;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Tests.Tokenization;

public sealed class SpecialTokensTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("special-tokens").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Names_come_as_texts_or_as_objects_and_the_map_fills_what_the_configuration_leaves_open()
    {
        Write("tokenizer_config.json", """{"bos_token": {"content": "<b>", "lstrip": false}, "eos_token": "<e>", "pad_token": null}""");
        Write("special_tokens_map.json", """{"eos_token": "<other>", "pad_token": {"content": "<p>"}}""");
        Assert.Equal(new SpecialTokens { Bos = "<b>", Eos = "<e>", Pad = "<p>" }, SpecialTokens.Load(_folder));
    }

    [Fact]
    public void A_folder_without_the_files_has_no_names() => Assert.Equal(new SpecialTokens(), SpecialTokens.Load(_folder));

    [Theory]
    [InlineData("{", "GA2102")]
    [InlineData("[]", "GA2103")]
    [InlineData("""{"eos_token": 3}""", "GA2103")]
    [InlineData("""{"eos_token": {"text": "<e>"}}""", "GA2103")]
    public void Rubbish_gets_a_code(string json, string code)
    {
        Write("tokenizer_config.json", json);
        Assert.Equal(code, Assert.Throws<TokenizerException>(() => SpecialTokens.Load(_folder)).Code);
    }

    [Fact]
    public void The_names_of_smollm2_are_found() => Assert.Equal(
        new SpecialTokens { Bos = "<|im_start|>", Eos = "<|im_end|>", Pad = "<|im_end|>", Unk = "<|endoftext|>" },
        SpecialTokens.Load(Fixtures.Need("tokenizers/smollm2")));

    private void Write(string name, string content) => File.WriteAllText(Path.Combine(_folder, name), content);
}
