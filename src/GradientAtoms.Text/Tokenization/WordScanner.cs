namespace GradientAtoms.Text.Tokenization;

/// <summary>
/// The splitting patterns that nearly every byte-level tokenizer uses, written out by hand: the same cuts as the regular
/// expression, many times faster. Each of these expressions matches at every place of a text.
/// </summary>
internal sealed class WordScanner : TextPattern
{
    /// <summary>GPT-2's expression, which ByteLevel uses by itself.</summary>
    public const string Gpt2Expression =
        @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>The expression of Llama 3: numbers in groups of three.</summary>
    public const string Llama3Expression =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>The expression of Qwen 2 and 3: numbers digit by digit.</summary>
    public const string Qwen2Expression =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private readonly int _digits;

    private WordScanner(int digits) => _digits = digits;

    /// <summary>GPT-2's.</summary>
    public static WordScanner Gpt2 { get; } = new(digits: 0);

    /// <summary>Llama 3's.</summary>
    public static WordScanner Llama3 { get; } = new(digits: 3);

    /// <summary>Qwen 2's.</summary>
    public static WordScanner Qwen2 { get; } = new(digits: 1);

    /// <summary>The scanner for an expression, or null where it is not one of these.</summary>
    public static WordScanner? ForExpression(string expression) => expression switch
    {
        Gpt2Expression => Gpt2,
        Llama3Expression => Llama3,
        Qwen2Expression => Qwen2,
        _ => null,
    };

    /// <inheritdoc/>
    public override (int Start, int End) Next(ReadOnlySpan<int> text, int from) => from >= text.Length
        ? (-1, -1)
        : (from, _digits == 0 ? EndAsGpt2(text, from) : EndAsLlama(text, from, _digits));

    private static int EndAsGpt2(ReadOnlySpan<int> text, int at)
    {
        if (text[at] == '\'' && Contraction(text, at, ignoreCase: false) is > 0 and var contraction)
        {
            return at + contraction;
        }

        var word = text[at] == ' ' && at + 1 < text.Length ? at + 1 : at;
        var code = text[word];
        if (CharacterClass.IsLetter(code))
        {
            return SkipLetters(text, word);
        }

        if (CharacterClass.IsNumber(code))
        {
            return SkipNumbers(text, word, int.MaxValue);
        }

        return CharacterClass.IsOther(code) ? SkipOthers(text, word) : EndOfBlanks(text, at);
    }

    private static int EndAsLlama(ReadOnlySpan<int> text, int at, int digits)
    {
        var code = text[at];
        if (code == '\'' && Contraction(text, at, ignoreCase: true) is > 0 and var contraction)
        {
            return at + contraction;
        }

        if (CharacterClass.IsLetter(code))
        {
            return SkipLetters(text, at);
        }

        if (CharacterClass.IsNumber(code))
        {
            return SkipNumbers(text, at, digits);
        }

        if (code is not ('\r' or '\n') && at + 1 < text.Length && CharacterClass.IsLetter(text[at + 1]))
        {
            return SkipLetters(text, at + 1);
        }

        var mark = code == ' ' && at + 1 < text.Length ? at + 1 : at;
        if (CharacterClass.IsOther(text[mark]))
        {
            var end = SkipOthers(text, mark);
            while (end < text.Length && text[end] is '\r' or '\n')
            {
                end++;
            }

            return end;
        }

        // \s*[\r\n]+ : up to the last line break of the run of blanks.
        var blanks = SkipBlanks(text, at);
        for (var i = blanks - 1; i >= at; i--)
        {
            if (text[i] is '\r' or '\n')
            {
                return i + 1;
            }
        }

        return EndOfBlanks(text, at);
    }

    /// <summary><c>\s+(?!\S)|\s+</c>: the last blank before a word is left to the word, unless it is the only one.</summary>
    private static int EndOfBlanks(ReadOnlySpan<int> text, int at)
    {
        var end = SkipBlanks(text, at);
        return end < text.Length && end - at > 1 ? end - 1 : end;
    }

    private static int Contraction(ReadOnlySpan<int> text, int at, bool ignoreCase)
    {
        if (at + 1 >= text.Length)
        {
            return 0;
        }

        var first = Fold(text[at + 1], ignoreCase);
        if (first is 's' or 't' or 'm' or 'd')
        {
            return 2;
        }

        if (at + 2 >= text.Length)
        {
            return 0;
        }

        var second = Fold(text[at + 2], ignoreCase);
        return (first, second) is ('r', 'e') or ('v', 'e') or ('l', 'l') ? 3 : 0;
    }

    private static int Fold(int code, bool ignoreCase) => !ignoreCase ? code : code switch
    {
        >= 'A' and <= 'Z' => code | 0x20,
        0x17F => 's', // long s folds to s
        _ => code,
    };

    private static int SkipLetters(ReadOnlySpan<int> text, int at)
    {
        while (at < text.Length && CharacterClass.IsLetter(text[at]))
        {
            at++;
        }

        return at;
    }

    private static int SkipNumbers(ReadOnlySpan<int> text, int at, int most)
    {
        for (var count = 0; count < most && at < text.Length && CharacterClass.IsNumber(text[at]); count++)
        {
            at++;
        }

        return at;
    }

    private static int SkipOthers(ReadOnlySpan<int> text, int at)
    {
        while (at < text.Length && CharacterClass.IsOther(text[at]))
        {
            at++;
        }

        return at;
    }

    private static int SkipBlanks(ReadOnlySpan<int> text, int at)
    {
        while (at < text.Length && CharacterClass.IsSpace(text[at]))
        {
            at++;
        }

        return at;
    }
}
