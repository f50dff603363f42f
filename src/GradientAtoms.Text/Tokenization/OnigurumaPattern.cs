using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace GradientAtoms.Text.Tokenization;

/// <summary>
/// Any other regular expression, written for Oniguruma (Ruby's dialect, which <c>tokenizers</c> uses), run by .NET's engine.
/// </summary>
/// <remarks>
/// .NET's engine sees UTF-16 units. So that every place is one code point, a character beyond U+FFFF is shown to it as a
/// stand-in of the same general category (and script, for Han), which no expression is likely to name. Kana beyond U+FFFF
/// (historic letters) have none of their script: they are letters, but not <c>\p{Hiragana}</c> or <c>\p{Katakana}</c>.
/// </remarks>
internal sealed class OnigurumaPattern : TextPattern
{
    private const char HanStandIn = '\u3400';

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly Regex _regex;
    private readonly string _expression;
    private readonly string _location;

    /// <summary>Translates an expression.</summary>
    /// <param name="expression">In Oniguruma's dialect.</param>
    /// <param name="location">How errors name it.</param>
    /// <exception cref="TokenizerException">The expression is wrong or uses what is not known here (GA2107).</exception>
    public OnigurumaPattern(string expression, string location)
    {
        _expression = expression;
        _location = location;
        try
        {
            _regex = new Regex(
                new OnigurumaTranslator(expression, location).Translate(),
                RegexOptions.CultureInvariant | RegexOptions.Multiline,
                Patience);
        }
        catch (ArgumentException error)
        {
            throw OnigurumaTranslator.Unsupported(location, expression, error.Message, error);
        }
    }

    /// <inheritdoc/>
    public override (int Start, int End) Next(ReadOnlySpan<int> text, int from) =>
        Find(text, match => match.Index >= from) is { } found ? (found.Index, found.Index + found.Length) : (-1, -1);

    /// <inheritdoc/>
    public override void Partition(ReadOnlySpan<int> text, List<PatternPart> parts)
    {
        var last = 0;
        Find(text, match =>
        {
            if (match.Index > last)
            {
                parts.Add(new PatternPart(last, match.Index, IsMatch: false));
            }

            parts.Add(new PatternPart(match.Index, match.Index + match.Length, IsMatch: true));
            last = match.Index + match.Length;
            return false;
        });
        if (last < text.Length)
        {
            parts.Add(new PatternPart(last, text.Length, IsMatch: false));
        }
    }

    private Match? Find(ReadOnlySpan<int> text, Func<Match, bool> isWanted)
    {
        try
        {
            for (var match = _regex.Match(Shadow(text)); match.Success; match = match.NextMatch())
            {
                if (isWanted(match))
                {
                    return match;
                }
            }

            return null;
        }
        catch (RegexMatchTimeoutException error)
        {
            throw new TokenizerException(
                "GA2109",
                _location,
                $"the expression \"{_expression}\" ran for more than {Patience.TotalSeconds} s on a text of {text.Length} characters",
                "Leave the document out, or use another tokenizer.",
                error);
        }
    }

    private static string Shadow(ReadOnlySpan<int> text)
    {
        var shadow = new StringBuilder(text.Length);
        foreach (var code in text)
        {
            shadow.Append(code < 0x10000 ? (char)code : StandIn(code));
        }

        return shadow.ToString();
    }

    private static char StandIn(int code) => CharUnicodeInfo.GetUnicodeCategory(code) switch
    {
        UnicodeCategory.ModifierLetter when code == 0x16FE3 => '\u3005', // Han
        // Letters in squares and circles count as word characters, as do their like below.
        UnicodeCategory.OtherSymbol when code is (>= 0x1F130 and <= 0x1F149) or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189) => '\u24D0',
        // Beyond U+FFFF: extensions B and later of Han, compatibility ideographs.
        UnicodeCategory.OtherLetter => code >= 0x20000 ? HanStandIn : '\u0E01',
        UnicodeCategory.UppercaseLetter => '\u03D2',
        UnicodeCategory.LowercaseLetter => '\u0138',
        UnicodeCategory.ModifierLetter => '\u02EC',
        UnicodeCategory.NonSpacingMark => '\u0DCA',
        UnicodeCategory.SpacingCombiningMark => '\u0903',
        UnicodeCategory.DecimalDigitNumber => '\u0E50',
        UnicodeCategory.LetterNumber => '\u16EE',
        UnicodeCategory.OtherNumber => '\u0F2A',
        UnicodeCategory.DashPunctuation => '\u058A',
        UnicodeCategory.OtherPunctuation => '\u0DF4',
        UnicodeCategory.MathSymbol => '\u2201',
        UnicodeCategory.CurrencySymbol => '\u0E3F',
        UnicodeCategory.ModifierSymbol => '\u02D7',
        UnicodeCategory.OtherSymbol => '\u0F01',
        UnicodeCategory.Format => '\u2061',
        UnicodeCategory.PrivateUse => '\uE000',
        _ => '\u0378', // not assigned
    };
}
