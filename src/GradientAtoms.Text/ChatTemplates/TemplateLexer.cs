using System.Globalization;
using System.Text;

namespace GradientAtoms.Text.ChatTemplates;

/// <summary>Kinds of template tokens.</summary>
internal enum TemplateTokenKind
{
    Data,
    BlockBegin,
    BlockEnd,
    VariableBegin,
    VariableEnd,
    Name,
    Text,
    Integer,
    Float,
    Operator,
    End,
}

/// <summary>A token: its kind, its text (already decoded for strings) and the line it starts on, from 1.</summary>
internal readonly record struct TemplateToken(TemplateTokenKind Kind, string Value, int Line);

/// <summary>
/// Cuts a template into tokens, with Jinja's rules for white space as chat templates use them: <c>trim_blocks</c>,
/// <c>lstrip_blocks</c>, one newline at the end dropped, <c>-</c> and <c>+</c> at the delimiters.
/// </summary>
internal sealed class TemplateLexer
{
    private static readonly string[] Operators =
    [
        "//", "**", "==", "!=", ">=", "<=",
        "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";",
    ];

    private readonly string source;
    private readonly string location;
    private readonly List<TemplateToken> tokens = [];
    private int position;
    private int line = 1;

    private TemplateLexer(string source, string location)
    {
        this.source = source;
        this.location = location;
    }

    public static IReadOnlyList<TemplateToken> Read(string source, string location)
    {
        source = source.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n');
        if (source.EndsWith('\n'))
        {
            source = source[..^1];
        }

        var lexer = new TemplateLexer(source, location);
        lexer.ReadRoot();
        lexer.Add(TemplateTokenKind.End, "");
        return lexer.tokens;
    }

    private void ReadRoot()
    {
        var lineStarting = true;
        while (position < source.Length)
        {
            var begin = FindBegin(position);
            if (begin < 0)
            {
                AddData(source[position..]);
                Advance(source.Length);
                return;
            }

            var text = source[position..begin];
            var kind = source[begin + 1];
            var afterBegin = begin + 2;
            var sign = afterBegin < source.Length && source[afterBegin] is '-' or '+' ? source[afterBegin] : ' ';
            // "{#-#}" is a comment that strips; "{%-%}" likewise keeps its sign.
            if (sign != ' ')
            {
                afterBegin++;
            }

            AddData(Strip(text, sign, kind, lineStarting));
            Advance(begin);
            if (kind == '#')
            {
                ReadComment(afterBegin);
            }
            else if (kind == '%' && RawBegin(afterBegin) is var rawStart && rawStart >= 0)
            {
                ReadRaw(rawStart);
            }
            else
            {
                Add(kind == '%' ? TemplateTokenKind.BlockBegin : TemplateTokenKind.VariableBegin, "");
                Advance(afterBegin);
                ReadCode(kind);
            }

            lineStarting = source[position - 1] == '\n';
        }
    }

    private int FindBegin(int start)
    {
        for (var index = source.IndexOf('{', start); index >= 0 && index + 1 < source.Length; index = source.IndexOf('{', index + 1))
        {
            if (source[index + 1] is '%' or '{' or '#')
            {
                return index;
            }
        }

        return -1;
    }

    /// <summary>What is left of the text before a delimiter.</summary>
    private static string Strip(string text, char sign, char kind, bool lineStarting)
    {
        if (sign == '-')
        {
            return PythonText.TrimEnd(text, null);
        }

        if (sign == '+' || kind == '{')
        {
            return text;
        }

        var lineStart = text.LastIndexOf('\n') + 1;
        return (lineStart > 0 || lineStarting) && text.AsSpan(lineStart).IsWhiteSpace() ? text[..lineStart] : text;
    }

    private void ReadComment(int start)
    {
        var end = source.IndexOf("#}", start, StringComparison.Ordinal);
        if (end < 0)
        {
            throw Fault("a comment that begins here has no end (\"#}\")");
        }

        Advance(AfterEnd(end, end > start ? source[end - 1] : ' ', trimNewline: true));
    }

    /// <summary>Past a delimiter of two characters: white space after <c>-</c>, one newline where blocks are trimmed.</summary>
    private int AfterEnd(int end, char sign, bool trimNewline)
    {
        var after = end + 2;
        if (sign == '-')
        {
            while (after < source.Length && PythonText.IsSpace(source[after]))
            {
                after++;
            }
        }
        else if (sign != '+' && trimNewline && after < source.Length && source[after] == '\n')
        {
            after++;
        }

        return after;
    }

    /// <summary>Where the text of a raw block begins, or -1 where this is another block.</summary>
    private int RawBegin(int start)
    {
        var index = SkipSpace(start);
        if (!IsWordAt(index, "raw"))
        {
            return -1;
        }

        index = SkipSpace(index + 3);
        var sign = index < source.Length && source[index] is '-' ? source[index++] : ' ';
        return IsAt(index, "%}") ? AfterEnd(index, sign, trimNewline: false) : -1;
    }

    private void ReadRaw(int start)
    {
        for (var begin = source.IndexOf("{%", start, StringComparison.Ordinal); begin >= 0; begin = source.IndexOf("{%", begin + 2, StringComparison.Ordinal))
        {
            var index = begin + 2;
            var sign = index < source.Length && source[index] is '-' or '+' ? source[index++] : ' ';
            index = SkipSpace(index);
            if (!IsWordAt(index, "endraw"))
            {
                continue;
            }

            index = SkipSpace(index + 6);
            var endSign = index < source.Length && source[index] is '-' or '+' ? source[index++] : ' ';
            if (!IsAt(index, "%}"))
            {
                continue;
            }

            AddData(Strip(source[start..begin], sign, '%', lineStarting: start > 0 && source[start - 1] == '\n'));
            Advance(AfterEnd(index, endSign, trimNewline: true));
            return;
        }

        throw Fault("a raw block that begins here has no endraw");
    }

    private void ReadCode(char kind)
    {
        var close = kind == '%' ? "%}" : "}}";
        var open = new Stack<char>();
        var start = line;
        while (true)
        {
            if (position >= source.Length)
            {
                throw Fault($"the template ends inside of a block that began on line {start.ToString(CultureInfo.InvariantCulture)}");
            }

            var next = source[position];
            if (PythonText.IsSpace(next))
            {
                Advance(position + 1);
                continue;
            }

            if (open.Count == 0)
            {
                var sign = next == '-' || (next == '+' && kind == '%') ? next : ' ';
                var end = sign == ' ' ? position : position + 1;
                if (IsAt(end, close))
                {
                    Add(kind == '%' ? TemplateTokenKind.BlockEnd : TemplateTokenKind.VariableEnd, "");
                    Advance(AfterEnd(end, sign, trimNewline: kind == '%'));
                    return;
                }
            }

            if (next is '\'' or '"')
            {
                ReadText(next);
            }
            else if (char.IsAsciiDigit(next))
            {
                ReadNumber();
            }
            else if (next == '_' || char.IsLetter(next))
            {
                var end = position;
                while (end < source.Length && (source[end] == '_' || char.IsLetterOrDigit(source[end])))
                {
                    end++;
                }

                Add(TemplateTokenKind.Name, source[position..end]);
                Advance(end);
            }
            else
            {
                ReadOperator(open);
            }
        }
    }

    private void ReadOperator(Stack<char> open)
    {
        var found = Operators.FirstOrDefault(candidate => IsAt(position, candidate))
            ?? throw Fault($"unexpected character '{source[position]}'");
        switch (found)
        {
            case "(" or "[" or "{":
                open.Push(found[0]);
                break;
            case ")" or "]" or "}":
                var expected = found[0] switch { ')' => '(', ']' => '[', _ => '{' };
                if (open.Count == 0 || open.Pop() != expected)
                {
                    throw Fault($"unexpected '{found}'");
                }

                break;
        }

        Add(TemplateTokenKind.Operator, found);
        Advance(position + found.Length);
    }

    private void ReadNumber()
    {
        var end = Digits(position);
        var isFloat = false;
        if (source[position] == '0' && position + 1 < source.Length && char.ToLowerInvariant(source[position + 1]) is 'x' or 'o' or 'b')
        {
            var (radix, digits) = char.ToLowerInvariant(source[position + 1]) switch { 'x' => (16, "0123456789abcdef"), 'o' => (8, "01234567"), _ => (2, "01") };
            end = position + 2;
            while (end < source.Length && (source[end] == '_' || digits.Contains(char.ToLowerInvariant(source[end]), StringComparison.Ordinal)))
            {
                end++;
            }

            var digitsText = source[(position + 2)..end].Replace("_", "", StringComparison.Ordinal);
            if (digitsText.Length is 0 or > 63)
            {
                throw Fault("a number that cannot be read");
            }

            long value = 0;
            foreach (var digit in digitsText)
            {
                try
                {
                    value = checked((value * radix) + digits.IndexOf(char.ToLowerInvariant(digit), StringComparison.Ordinal));
                }
                catch (OverflowException)
                {
                    throw Fault("a number that is too large");
                }
            }

            Add(TemplateTokenKind.Integer, value.ToString(CultureInfo.InvariantCulture));
            Advance(end);
            return;
        }

        // "x.0.1" is an item of an item, not a float.
        var afterDot = tokens.Count > 0 && position > 0 && source[position - 1] == '.';
        if (!afterDot && end + 1 < source.Length && source[end] == '.' && char.IsAsciiDigit(source[end + 1]))
        {
            isFloat = true;
            end = Digits(end + 1);
        }

        if (!afterDot && end < source.Length && source[end] is 'e' or 'E')
        {
            var exponent = end + 1 < source.Length && source[end + 1] is '+' or '-' ? end + 2 : end + 1;
            if (exponent < source.Length && char.IsAsciiDigit(source[exponent]))
            {
                isFloat = true;
                end = Digits(exponent);
            }
        }

        var text = source[position..end].Replace("_", "", StringComparison.Ordinal);
        if (!isFloat && !long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out _))
        {
            throw Fault("a number that is too large");
        }

        Add(isFloat ? TemplateTokenKind.Float : TemplateTokenKind.Integer, text);
        Advance(end);
    }

    private int Digits(int start)
    {
        var end = start;
        while (end < source.Length && (char.IsAsciiDigit(source[end]) || (source[end] == '_' && end + 1 < source.Length && char.IsAsciiDigit(source[end + 1]))))
        {
            end++;
        }

        return end;
    }

    /// <summary>A string with Python's escapes; an unknown escape keeps its backslash.</summary>
    private void ReadText(char quote)
    {
        var text = new StringBuilder();
        var index = position + 1;
        while (true)
        {
            if (index >= source.Length)
            {
                throw Fault("a string that begins here has no end");
            }

            var next = source[index++];
            if (next == quote)
            {
                break;
            }

            if (next != '\\' || index >= source.Length)
            {
                text.Append(next);
                continue;
            }

            var escape = source[index++];
            switch (escape)
            {
                case '\n': break;
                case '\\' or '\'' or '"': text.Append(escape); break;
                case 'n': text.Append('\n'); break;
                case 't': text.Append('\t'); break;
                case 'r': text.Append('\r'); break;
                case 'a': text.Append('\a'); break;
                case 'b': text.Append('\b'); break;
                case 'f': text.Append('\f'); break;
                case 'v': text.Append('\v'); break;
                case 'x': index = AppendHex(text, index, 2); break;
                case 'u': index = AppendHex(text, index, 4); break;
                case 'U': index = AppendHex(text, index, 8); break;
                case >= '0' and <= '7':
                    var octal = escape - '0';
                    for (var more = 0; more < 2 && index < source.Length && source[index] is >= '0' and <= '7'; more++)
                    {
                        octal = (octal * 8) + (source[index++] - '0');
                    }

                    text.Append((char)octal);
                    break;
                default: text.Append('\\').Append(escape); break;
            }
        }

        Add(TemplateTokenKind.Text, text.ToString());
        Advance(index);
    }

    private int AppendHex(StringBuilder text, int index, int length)
    {
        if (index + length > source.Length || !uint.TryParse(source.AsSpan(index, length), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value) || value > 0x10FFFF)
        {
            throw Fault("an escape in a string that cannot be read");
        }

        if (value <= 0xFFFF)
        {
            text.Append((char)value);
        }
        else
        {
            text.Append(new Rune(value).ToString());
        }

        return index + length;
    }

    private bool IsAt(int index, string text) => string.CompareOrdinal(source, index, text, 0, text.Length) == 0;

    private bool IsWordAt(int index, string word) =>
        IsAt(index, word) && !(index + word.Length < source.Length && (char.IsLetterOrDigit(source[index + word.Length]) || source[index + word.Length] == '_'));

    private int SkipSpace(int index)
    {
        while (index < source.Length && PythonText.IsSpace(source[index]))
        {
            index++;
        }

        return index;
    }

    private void AddData(string text)
    {
        if (text.Length > 0)
        {
            Add(TemplateTokenKind.Data, text);
        }
    }

    private void Add(TemplateTokenKind kind, string value) => tokens.Add(new(kind, value, line));

    private void Advance(int to)
    {
        line += source.AsSpan(position, to - position).Count('\n');
        position = to;
    }

    private ChatTemplateException Fault(string problem) => TemplateErrors.Syntax(location, line, problem);
}
