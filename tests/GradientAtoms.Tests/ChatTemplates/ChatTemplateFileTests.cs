using GradientAtoms.Text.ChatTemplates;

namespace GradientAtoms.Tests.ChatTemplates;

public sealed class ChatTemplateFileTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("gatoms-templates").FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    [Fact]
    public void A_file_of_its_own_goes_before_the_tokenizers_configuration()
    {
        Write("tokenizer_config.json", """{"chat_template": "old", "bos_token": {"content": "<s>"}, "eos_token": "</s>", "pad_token": null}""");
        Assert.Equal("old", ChatTemplateFile.FromFolder(folder).Template!.Source);
        Write("chat_template.json", """{"chat_template": "json"}""");
        Assert.Equal("json", ChatTemplateFile.FromFolder(folder).Template!.Source);
        Write("chat_template.jinja", "\uFEFFjinja");
        var (template, special) = ChatTemplateFile.FromFolder(folder);
        Assert.Equal("jinja", template!.Source);
        Assert.Equal(new Dictionary<string, string> { ["bos_token"] = "<s>", ["eos_token"] = "</s>" }, special);
    }

    [Fact]
    public void Of_several_templates_the_default_is_the_one_for_chats()
    {
        Write("tokenizer_config.json", """{"chat_template": [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "yes"}]}""");
        Assert.Equal("yes", ChatTemplateFile.FromFolder(folder).Template!.Source);
    }

    [Fact]
    public void A_folder_without_a_template_has_none() => Assert.Null(ChatTemplateFile.FromFolder(folder).Template);

    [Theory]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("{\"chat_template\": 7}")]
    [InlineData("{\"chat_template\": [{\"name\": \"other\", \"template\": \"x\"}]}")]
    [InlineData("{\"chat_template\": [1, null, {}]}")]
    [InlineData("{\"chat_template\": \"\\ud800\"}")]
    public void Rubbish_in_the_configuration_is_a_coded_error(string text)
    {
        Write("tokenizer_config.json", text);
        Assert.Equal("GA2206", Assert.Throws<ChatTemplateException>(() => ChatTemplateFile.FromFolder(folder)).Code);
    }

    [Fact]
    public void A_template_file_that_is_missing_or_no_text_is_a_coded_error()
    {
        Assert.Equal("GA2206", Assert.Throws<ChatTemplateException>(() => ChatTemplateFile.FromFile(Path.Combine(folder, "none.jinja"))).Code);
        Assert.Equal("GA2206", Assert.Throws<ChatTemplateException>(() => ChatTemplateFile.FromFile(folder)).Code);
        File.WriteAllBytes(Path.Combine(folder, "bytes.jinja"), [0xC3, 0x28]);
        Assert.Equal("GA2206", Assert.Throws<ChatTemplateException>(() => ChatTemplateFile.FromFile(Path.Combine(folder, "bytes.jinja"))).Code);
        Write("other.json", "{}");
        Assert.Equal("GA2206", Assert.Throws<ChatTemplateException>(() => ChatTemplateFile.FromFile(Path.Combine(folder, "other.json"))).Code);
    }

    private void Write(string name, string text) => File.WriteAllText(Path.Combine(folder, name), text);
}
