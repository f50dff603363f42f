namespace GradientAtoms.Text.Tokenization;

/// <summary>
/// Decodes ids one by one, for generation that shows its text as it comes. Never returns half a character: bytes of an
/// unfinished one wait for the next id. From <see cref="Tokenizer.NewDecoder"/>. Not safe for several threads.
/// </summary>
/// <remarks>
/// Some decoders treat the first token of a text apart, so a token is decoded together with those of the last text that
/// was returned, and the new text is what comes in addition.
/// </remarks>
public sealed class IncrementalDecoder
{
    private readonly Tokenizer _tokenizer;
    private readonly bool _skipSpecialTokens;
    private readonly List<int> _window = [];
    private int _shown;
    private string _shownText = "";

    internal IncrementalDecoder(Tokenizer tokenizer, bool skipSpecialTokens)
    {
        _tokenizer = tokenizer;
        _skipSpecialTokens = skipSpecialTokens;
    }

    /// <summary>Takes the next id.</summary>
    /// <param name="id">The id.</param>
    /// <returns>The text that became complete with it, often empty.</returns>
    public string Append(int id)
    {
        _window.Add(id);
        var text = _tokenizer.Decode(_window, _skipSpecialTokens);
        return text.Length <= _shownText.Length || text[^1] == '\uFFFD' ? "" : Advance(text);
    }

    /// <summary>Ends the text; the decoder is then at the start of a new one.</summary>
    /// <returns>What still waited; an unfinished character comes as U+FFFD.</returns>
    public string Flush()
    {
        var text = _tokenizer.Decode(_window, _skipSpecialTokens);
        var rest = text.Length > _shownText.Length ? text[_shownText.Length..] : "";
        _window.Clear();
        _shown = 0;
        _shownText = "";
        return rest;
    }

    private string Advance(string text)
    {
        var fresh = text[_shownText.Length..];
        _window.RemoveRange(0, _shown);
        _shown = _window.Count;
        _shownText = _tokenizer.Decode(_window, _skipSpecialTokens);
        return fresh;
    }
}
