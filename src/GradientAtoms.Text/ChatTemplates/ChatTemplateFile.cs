namespace GradientAtoms.Text.ChatTemplates;

/// <summary>The chat template and the special tokens that belong to a tokenizer folder.</summary>
/// <param name="Template">Null where the folder has none.</param>
/// <param name="SpecialTokens">By name: <c>bos_token</c>, <c>eos_token</c>, …</param>
public sealed record ChatTemplateFile(ChatTemplate? Template, IReadOnlyDictionary<string, string> SpecialTokens)
{
    /// <summary>Looks for <c>chat_template.jinja</c>, <c>chat_template.json</c>, then <c>tokenizer_config.json</c>; special tokens from the last and from <c>special_tokens_map.json</c>.</summary>
    /// <param name="folder">A Hugging Face model or tokenizer folder.</param>
    /// <exception cref="ChatTemplateException">GA2201, GA2202: the template cannot be read. GA2206: a file is not what it should be.</exception>
    public static ChatTemplateFile FromFolder(string folder) => throw new NotSupportedException();

    /// <summary>Reads a template from a file of its own (<c>--chat-template FILE</c>).</summary>
    /// <param name="path">A jinja file, or a JSON file with a <c>chat_template</c> key.</param>
    /// <exception cref="ChatTemplateException">GA2201, GA2202: the template cannot be read. GA2206: the file cannot be read.</exception>
    public static ChatTemplate FromFile(string path) => throw new NotSupportedException();
}
