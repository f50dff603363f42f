using System.Globalization;
using System.Text;

namespace GradientAtoms.Text.Tokenization;

/// <summary>The kinds of characters that the splitting patterns tell apart, over whole code points.</summary>
internal static class CharacterClass
{
    private const byte LetterBit = 1;
    private const byte NumberBit = 2;
    private const byte SpaceBit = 4;

    private static readonly byte[] Low = MakeLow();

    /// <summary><c>\p{L}</c>.</summary>
    public static bool IsLetter(int code) => (Bits(code) & LetterBit) != 0;

    /// <summary><c>\p{N}</c>: Nd, Nl and No.</summary>
    public static bool IsNumber(int code) => (Bits(code) & NumberBit) != 0;

    /// <summary><c>\s</c>: White_Space.</summary>
    public static bool IsSpace(int code) => (Bits(code) & SpaceBit) != 0;

    /// <summary><c>[^\s\p{L}\p{N}]</c>.</summary>
    public static bool IsOther(int code) => Bits(code) == 0;

    /// <summary>ASCII punctuation (with <c>$+&lt;=&gt;^`|~</c>) and category P.</summary>
    public static bool IsPunctuation(int code) => code < 128
        ? char.IsPunctuation((char)code) || char.IsSymbol((char)code)
        : CharUnicodeInfo.GetUnicodeCategory(code) is UnicodeCategory.ConnectorPunctuation
            or UnicodeCategory.DashPunctuation
            or UnicodeCategory.OpenPunctuation
            or UnicodeCategory.ClosePunctuation
            or UnicodeCategory.InitialQuotePunctuation
            or UnicodeCategory.FinalQuotePunctuation
            or UnicodeCategory.OtherPunctuation;

    /// <summary><c>\w</c> of UTS 18: Alphabetic, marks, decimal digits, connectors, joiners.</summary>
    public static bool IsWord(int code) => code is 0x200C or 0x200D or (>= 0x24B6 and <= 0x24E9)
        || CharUnicodeInfo.GetUnicodeCategory(code) is UnicodeCategory.UppercaseLetter
            or UnicodeCategory.LowercaseLetter
            or UnicodeCategory.TitlecaseLetter
            or UnicodeCategory.ModifierLetter
            or UnicodeCategory.OtherLetter
            or UnicodeCategory.LetterNumber
            or UnicodeCategory.NonSpacingMark
            or UnicodeCategory.SpacingCombiningMark
            or UnicodeCategory.EnclosingMark
            or UnicodeCategory.DecimalDigitNumber
            or UnicodeCategory.ConnectorPunctuation;

    private static byte Bits(int code) => code < Low.Length ? Low[code] : Compute(code);

    private static byte[] MakeLow()
    {
        var low = new byte[0x800];
        for (var code = 0; code < low.Length; code++)
        {
            low[code] = Compute(code);
        }

        return low;
    }

    private static byte Compute(int code) => CharUnicodeInfo.GetUnicodeCategory(code) switch
    {
        UnicodeCategory.UppercaseLetter
            or UnicodeCategory.LowercaseLetter
            or UnicodeCategory.TitlecaseLetter
            or UnicodeCategory.ModifierLetter
            or UnicodeCategory.OtherLetter => LetterBit,
        UnicodeCategory.DecimalDigitNumber
            or UnicodeCategory.LetterNumber
            or UnicodeCategory.OtherNumber => NumberBit,
        _ => Rune.IsValid(code) && Rune.IsWhiteSpace(new Rune(code)) ? SpaceBit : (byte)0,
    };
}
