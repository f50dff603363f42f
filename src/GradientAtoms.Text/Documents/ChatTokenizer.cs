using GradientAtoms.Text.ChatTemplates;

namespace GradientAtoms.Text.Documents;

/// <summary>Turns documents into token ids with the mask of the tokens that are trained on.</summary>
public sealed class ChatTokenizer
{
    /// <summary>Makes one.</summary>
    /// <param name="encode">Text, and whether the tokenizer adds its own special tokens → token ids.</param>
    /// <param name="template">Null where there is none: chats then fail with GA2207, plain text works.</param>
    /// <param name="specialTokens">By name, for the template.</param>
    /// <param name="options">Null for the defaults.</param>
    public ChatTokenizer(Func<string, bool, int[]> encode, ChatTemplate? template, IReadOnlyDictionary<string, string> specialTokens, ChatTokenizerOptions? options = null)
    {
    }

    /// <summary>Tokenises one document.</summary>
    /// <param name="document">A chat or plain text.</param>
    /// <exception cref="ChatTemplateException">GA2207: a chat, and no template.</exception>
    public TokenizedRow Tokenize(Document document) => throw new NotSupportedException();

    /// <summary>Tokenises documents and counts what was lost.</summary>
    /// <param name="documents">In the order wanted.</param>
    /// <param name="file">The data file, for the rejected rows.</param>
    /// <param name="progress">Documents done, documents in all.</param>
    /// <param name="cancellationToken">Looked at once a document.</param>
    /// <exception cref="ChatTemplateException">GA2207: a chat, and no template.</exception>
    public TokenizedSet TokenizeAll(IReadOnlyList<Document> documents, string file, IProgress<(int Done, int Total)>? progress = null, CancellationToken cancellationToken = default) => throw new NotSupportedException();
}
