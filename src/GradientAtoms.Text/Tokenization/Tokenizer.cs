namespace GradientAtoms.Text.Tokenization;

/// <summary>
/// Text to token ids and back, as <c>tokenizer.json</c> says: the same ids, offsets and decodings as the
/// <c>tokenizers</c> library. Safe for use by several threads at once.
/// </summary>
public sealed class Tokenizer
{
    /// <summary>The largest id + 1, added tokens included.</summary>
    public int VocabularySize => throw new InvalidOperationException("not built yet");

    /// <summary>Reads a <c>tokenizer.json</c>.</summary>
    /// <param name="tokenizerJsonPath">The file.</param>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="TokenizerException">The file is missing, rubbish, or uses a step that is not known here (named).</exception>
    public static Tokenizer Load(string tokenizerJsonPath) => throw new InvalidOperationException("not built yet");

    /// <summary>Reads the content of a <c>tokenizer.json</c>.</summary>
    /// <param name="json">The content.</param>
    /// <param name="location">How errors name it.</param>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="TokenizerException">The content is rubbish, or uses a step that is not known here (named).</exception>
    public static Tokenizer Parse(string json, string location) => throw new InvalidOperationException("not built yet");

    /// <summary>Makes a tokenizer from the vocabulary of a GGUF file.</summary>
    /// <param name="model"><c>tokenizer.ggml.model</c>: <c>gpt2</c> (byte-level BPE); others are refused by name.</param>
    /// <param name="pre"><c>tokenizer.ggml.pre</c>, such as <c>smollm</c>, <c>gpt-2</c>, <c>llama-bpe</c> or <c>qwen2</c>; null stands for <c>default</c>.</param>
    /// <param name="tokens"><c>tokenizer.ggml.tokens</c>, one for each id.</param>
    /// <param name="merges"><c>tokenizer.ggml.merges</c>, such as <c>Ġ t</c>, best first.</param>
    /// <param name="tokenTypes"><c>tokenizer.ggml.token_type</c>: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte; null for all normal.</param>
    /// <param name="location">How errors name the file.</param>
    /// <returns>The tokenizer.</returns>
    /// <exception cref="TokenizerException">The model or its splitting is not known here, or the lists do not fit each other.</exception>
    public static Tokenizer FromGguf(
        string model,
        string? pre,
        IReadOnlyList<string> tokens,
        IReadOnlyList<string> merges,
        IReadOnlyList<int>? tokenTypes,
        string location) => throw new InvalidOperationException("not built yet");

    /// <summary>Text to ids. Names of special tokens in the text become those tokens.</summary>
    /// <param name="text">The text.</param>
    /// <param name="addSpecialTokens">Whether the tokenizer adds the tokens of its template, such as a bos.</param>
    /// <returns>The ids, <c>[n]</c>.</returns>
    public int[] Encode(string text, bool addSpecialTokens = false) => throw new InvalidOperationException("not built yet");

    /// <summary>Text to ids and the place of each in the text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="addSpecialTokens">Whether the tokenizer adds the tokens of its template, such as a bos.</param>
    /// <returns>The tokens, <c>[n]</c>, offsets in Unicode code points.</returns>
    public IReadOnlyList<Token> EncodeWithOffsets(string text, bool addSpecialTokens = false) => throw new InvalidOperationException("not built yet");

    /// <summary>Ids to text. Bytes that are no UTF-8 become U+FFFD; ids that no token has are passed over.</summary>
    /// <param name="ids">The ids, <c>[n]</c>.</param>
    /// <param name="skipSpecialTokens">Whether special tokens are left out.</param>
    /// <returns>The text.</returns>
    public string Decode(IReadOnlyList<int> ids, bool skipSpecialTokens = false) => throw new InvalidOperationException("not built yet");

    /// <summary>The id of a token as it is written in the vocabulary (byte-level: <c>Ġthe</c>), or null.</summary>
    /// <param name="token">The token.</param>
    public int? TokenId(string token) => throw new InvalidOperationException("not built yet");

    /// <summary>The token of an id as it is written in the vocabulary, or null where no token has it.</summary>
    /// <param name="id">The id.</param>
    public string? TokenText(int id) => throw new InvalidOperationException("not built yet");

    /// <summary>Whether an id is that of a special token: one that is no text of the author's.</summary>
    /// <param name="id">The id.</param>
    public bool IsSpecial(int id) => throw new InvalidOperationException("not built yet");

    /// <summary>A decoder that takes ids one by one.</summary>
    /// <param name="skipSpecialTokens">Whether special tokens are left out.</param>
    /// <returns>A new decoder at the start of a text.</returns>
    public IncrementalDecoder NewDecoder(bool skipSpecialTokens = false) => new(this, skipSpecialTokens);
}
