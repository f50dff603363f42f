using System.Globalization;
using System.Text;

namespace GradientAtoms.Text.Tokenization;

/// <summary>
/// Translates a regular expression of Oniguruma's Ruby dialect to .NET's: possessive quantifiers become atomic groups,
/// nested and intersected classes lookaheads, folded letters classes of all their forms.
/// </summary>
internal sealed class OnigurumaTranslator(string expression, string location)
{
    // Deeper nesting is no tokenizer's, and would exhaust the stack.
    private const int DeepestNesting = 100;

    // Alphabetic, marks, decimal digits and connectors: \w in a class. By itself \w also has the superscripts and fractions of
    // Latin-1, for which Oniguruma asks another table.
    private const string WordItems = @"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u24B6-\u24E9";
    private const string LoneWordItems = WordItems + @"\u00B2\u00B3\u00B9\u00BC-\u00BE";
    private const string HanItems =
        @"\u2E80-\u2E99\u2E9B-\u2EF3\u2F00-\u2FD5\u3005\u3007\u3021-\u3029\u3038-\u303B\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFA6D\uFA70-\uFAD9";

    private const string HiraganaItems = @"\u3041-\u3096\u309D-\u309F";
    private const string KatakanaItems = @"\u30A1-\u30FA\u30FD-\u30FF\u31F0-\u31FF\u32D0-\u32FE\u3300-\u3357\uFF66-\uFF6F\uFF71-\uFF9D";
    private const string HangulItems =
        @"\u1100-\u11FF\u302E\u302F\u3131-\u318E\u3200-\u321E\u3260-\u327E\uA960-\uA97C\uAC00-\uD7A3\uD7B0-\uD7C6\uD7CB-\uD7FB\uFFA0-\uFFBE\uFFC2-\uFFC7\uFFCA-\uFFCF\uFFD2-\uFFD7\uFFDA-\uFFDC";

    private static readonly HashSet<string> Categories = new(StringComparer.Ordinal)
    {
        "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No",
        "P", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So",
        "Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Co", "Cn",
    };

    private int _at;
    private int _depth;
    private bool _foldsCase;

    /// <summary>The error for what cannot be translated.</summary>
    public static TokenizerException Unsupported(string location, string expression, string what, Exception? cause = null) => new(
        "GA2107",
        location,
        $"the expression \"{expression}\" cannot be used: {what}",
        "Use a model with another tokenizer, or ask for this expression.",
        cause);

    /// <summary>The whole expression.</summary>
    public string Translate()
    {
        var result = Alternatives();
        return _at == expression.Length ? result : throw Fail("a ) without (");
    }

    private string Alternatives()
    {
        if (++_depth > DeepestNesting)
        {
            throw Fail("groups are nested too deep");
        }

        var folds = _foldsCase;
        var result = new StringBuilder();
        while (_at < expression.Length && expression[_at] != ')')
        {
            if (expression[_at] == '|')
            {
                _at++;
                result.Append('|');
            }
            else
            {
                result.Append(Quantified());
            }
        }

        _foldsCase = folds;
        _depth--;
        return result.ToString();
    }

    private string Quantified()
    {
        var atom = Atom();
        while (_at < expression.Length)
        {
            var (quantifier, isInterval) = Quantifier();
            if (quantifier.Length == 0)
            {
                break;
            }

            if (atom.Length == 0)
            {
                throw Fail("a quantifier with nothing before it");
            }

            var suffix = _at < expression.Length ? expression[_at] : '\0';
            if (suffix == '+' && !isInterval)
            {
                _at++;
                atom = $"(?>{atom}{quantifier})";
            }
            else if (suffix == '?' && !(isInterval && !quantifier.Contains(',', StringComparison.Ordinal)))
            {
                _at++;
                atom = $"(?:{atom}{quantifier}?)";
            }
            else
            {
                // A group, so that a quantifier of a quantifier ({1,3}+ in this dialect) means itself.
                atom = $"(?:{atom}{quantifier})";
            }
        }

        return atom;
    }

    private (string Quantifier, bool IsInterval) Quantifier()
    {
        var character = expression[_at];
        if (character is '*' or '+' or '?')
        {
            _at++;
            return (character.ToString(), false);
        }

        if (character != '{')
        {
            return ("", false);
        }

        var end = expression.IndexOf('}', _at);
        var body = end < 0 ? "" : expression[(_at + 1)..end];
        var parts = body.Split(',');
        if (parts.Length > 2 || body is "" or "," || !parts.All(part => part.All(char.IsAsciiDigit)) || parts.Any(part => part.Length > 5))
        {
            return ("", false);
        }

        _at = end + 1;
        return parts.Length == 1
            ? ($"{{{parts[0]}}}", true)
            : ($"{{{(parts[0].Length == 0 ? "0" : parts[0])},{parts[1]}}}", true);
    }

    private string Atom()
    {
        var character = expression[_at];
        switch (character)
        {
            case '(':
                return Group();
            case '[':
                return Class();
            case '.':
                _at++;
                return ".";
            case '^':
                _at++;
                return "^";
            case '$':
                _at++;
                return "$";
            case '\\':
                return Escape(inClass: false);
            case '*' or '+' or '?':
                throw Fail("a quantifier with nothing before it");
            default:
                return Literal(Code());
        }
    }

    private string Group()
    {
        _at++;
        if (!Accept("?"))
        {
            return Close("(?:");
        }

        foreach (var opening in new[] { ":", "=", "!", ">", "<=", "<!" })
        {
            if (Accept(opening))
            {
                return Close($"(?{opening}");
            }
        }

        // (?i) holds to the end of the enclosing group, (?i:...) within itself.
        var before = _foldsCase;
        var turnsOn = true;
        for (; _at < expression.Length; _at++)
        {
            switch (expression[_at])
            {
                case '-':
                    turnsOn = false;
                    break;
                case 'i':
                    _foldsCase = turnsOn;
                    break;
                case ')':
                    _at++;
                    var flag = _foldsCase ? "(?i)" : "(?-i)";
                    return $"{flag}{Rest()}";
                case ':':
                    _at++;
                    var folds = _foldsCase;
                    var group = Close(folds ? "(?i:" : "(?-i:");
                    _foldsCase = before;
                    return group;
                default:
                    throw Fail($"the group (?{expression[_at]}");
            }
        }

        throw Fail("a group without end");
    }

    /// <summary>What follows a bare flag, as a group: in this dialect <c>a(?i)b|c</c> is <c>a(?i:b|c)</c>.</summary>
    private string Rest() => $"(?:{Alternatives()})";

    private string Close(string opening)
    {
        var inner = Alternatives();
        return Accept(")") ? $"{opening}{inner})" : throw Fail("a group without end");
    }

    /// <summary>
    /// A class. Where it has only items of its own it stays a class; a nested class, an intersection or its negation
    /// becomes alternatives and lookaheads of one character.
    /// </summary>
    private string Class()
    {
        if (++_depth > DeepestNesting)
        {
            throw Fail("classes are nested too deep");
        }

        _at++;
        var negated = Accept("^");
        var operands = new List<string>();
        var items = new StringBuilder();
        var nested = new List<string>();
        var isFirst = true;
        while (true)
        {
            if (_at >= expression.Length)
            {
                throw Fail("a class without end");
            }

            if (!isFirst && Accept("]"))
            {
                break;
            }

            isFirst = false;
            if (Accept("&&"))
            {
                operands.Add(Union(items, nested));
                items.Clear();
                nested.Clear();
            }
            else if (expression[_at] == '[')
            {
                if (expression.AsSpan(_at).StartsWith("[:"))
                {
                    throw Fail("a POSIX class [:…:]");
                }

                nested.Add(Class());
            }
            else
            {
                items.Append(ClassItem());
            }
        }

        _depth--;
        if (operands.Count == 0 && nested.Count == 0)
        {
            return items.Length == 0 ? throw Fail("an empty class") : $"[{(negated ? "^" : "")}{items}]";
        }

        operands.Add(Union(items, nested));
        var all = string.Concat(operands.SkipLast(1).Select(operand => $"(?={operand})")) + operands[^1];
        return negated ? $"(?:(?!{all})[\\s\\S])" : $"(?:{all})";
    }

    private string Union(StringBuilder items, List<string> nested)
    {
        var parts = items.Length > 0 ? nested.Prepend($"[{items}]").ToList() : nested;
        return parts.Count == 0 ? throw Fail("an empty operand of &&") : $"(?:{string.Join('|', parts)})";
    }

    private string ClassItem()
    {
        if (expression[_at] == '\\' && !IsCodeEscape())
        {
            return Escape(inClass: true);
        }

        var first = Code();
        if (_at + 1 < expression.Length && expression[_at] == '-' && expression[_at + 1] is not (']' or '[')
            && !(expression[_at + 1] == '\\' && expression.Length > _at + 2 && "sSdDwWpPhH".Contains(expression[_at + 2], StringComparison.Ordinal)))
        {
            _at++;
            var last = Code();
            return last >= first ? $"{Quote(first)}-{Quote(last)}{FoldedInto(first, last)}" : throw Fail("a range from high to low");
        }

        return _foldsCase ? string.Concat(Folded(first).Select(Quote)) : Quote(first);
    }

    /// <summary>The letters outside of a range that fold into it and that .NET's engine does not know to: long s.</summary>
    private string FoldedInto(int first, int last) => _foldsCase && ((first <= 's' && last >= 's') || (first <= 'S' && last >= 'S')) ? @"\u017F" : "";

    /// <summary>An escape that stands for a set or a place.</summary>
    private string Escape(bool inClass)
    {
        if (IsCodeEscape())
        {
            var code = Code();
            return inClass ? Quote(code) : Literal(code);
        }

        _at++;
        var kind = _at < expression.Length ? expression[_at++] : '\0';
        switch (kind)
        {
            case 's' or 'S':
                return $"\\{kind}";
            case 'd' or 'D':
                return kind == 'd' ? @"\p{Nd}" : @"\P{Nd}";
            case 'w' or 'W':
                return Set(inClass ? WordItems : LoneWordItems, kind == 'W', inClass);
            case 'h' or 'H':
                return Set("0-9a-fA-F", kind == 'H', inClass);
            case 'p' or 'P':
                return Property(kind == 'P', inClass);
            case 'A' when !inClass:
                return @"\A";
            case 'z' or 'Z' when !inClass:
                return $"\\{kind}";
            case 'b' when !inClass:
                return $"(?:(?<=[{LoneWordItems}])(?![{LoneWordItems}])|(?<![{LoneWordItems}])(?=[{LoneWordItems}]))";
            case 'R' when !inClass:
                return @"(?>\r\n|[\n-\r\u0085\u2028\u2029])";
            default:
                throw Fail($"the escape \\{kind}");
        }
    }

    private string Property(bool negated, bool inClass)
    {
        var end = _at < expression.Length && expression[_at] == '{' ? expression.IndexOf('}', _at) : -1;
        if (end < 0)
        {
            throw Fail("\\p without {…}");
        }

        var name = expression[(_at + 1)..end];
        _at = end + 1;
        if (name.StartsWith('^'))
        {
            (name, negated) = (name[1..], !negated);
        }

        if (Categories.Contains(name))
        {
            return $"\\{(negated ? 'P' : 'p')}{{{name}}}";
        }

        return name switch
        {
            "Letter" => negated ? @"\P{L}" : @"\p{L}",
            "Number" => negated ? @"\P{N}" : @"\p{N}",
            "Punctuation" => negated ? @"\P{P}" : @"\p{P}",
            "Symbol" => negated ? @"\P{S}" : @"\p{S}",
            "Mark" => negated ? @"\P{M}" : @"\p{M}",
            "Han" => Set(HanItems, negated, inClass),
            "Hiragana" => Set(HiraganaItems, negated, inClass),
            "Katakana" => Set(KatakanaItems, negated, inClass),
            "Hangul" => Set(HangulItems, negated, inClass),
            _ => throw Fail($"the property {name}"),
        };
    }

    private string Set(string items, bool negated, bool inClass) => (inClass, negated) switch
    {
        (true, true) => throw Fail("a negated set within a class"),
        (true, false) => items,
        _ => $"[{(negated ? "^" : "")}{items}]",
    };

    private bool IsCodeEscape() => expression[_at] == '\\'
        && _at + 1 < expression.Length
        && (!char.IsAsciiLetterOrDigit(expression[_at + 1]) || "rntfvaexu0".Contains(expression[_at + 1], StringComparison.Ordinal));

    /// <summary>One character, written plainly or as an escape.</summary>
    private int Code()
    {
        if (expression[_at] != '\\')
        {
            if (!Rune.TryGetRuneAt(expression, _at, out var rune))
            {
                throw Fail("half a surrogate pair");
            }

            _at += rune.Utf16SequenceLength;
            return rune.Value;
        }

        if (!IsCodeEscape())
        {
            throw Fail("an escape where a character is expected");
        }

        var kind = expression[_at + 1];
        _at += 2;
        switch (kind)
        {
            case 'r': return '\r';
            case 'n': return '\n';
            case 't': return '\t';
            case 'f': return '\f';
            case 'v': return '\v';
            case 'a': return '\a';
            case 'e': return 0x1B;
            case '0': return 0;
            case 'u': return Hex(4);
            case 'x' when Accept("{"):
                var end = expression.IndexOf('}', _at);
                var code = end < 0 ? throw Fail("\\x{ without }") : Hex(end - _at);
                _at++;
                return code;
            case 'x': return Hex(2);
            default:
                _at--;
                return Rune.TryGetRuneAt(expression, _at, out var rune) && (_at += rune.Utf16SequenceLength) > 0
                    ? rune.Value
                    : throw Fail("half a surrogate pair");
        }
    }

    private int Hex(int digits)
    {
        if (digits is < 1 or > 8
            || _at + digits > expression.Length
            || !int.TryParse(expression.AsSpan(_at, digits), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var code))
        {
            throw Fail("a character number that is not hexadecimal");
        }

        _at += digits;
        return code;
    }

    private string Literal(int code)
    {
        if (!_foldsCase)
        {
            return Quote(code);
        }

        var forms = Folded(code).ToList();
        return forms.Count == 1 ? Quote(code) : $"[{string.Concat(forms.Select(Quote))}]";
    }

    /// <summary>All characters that fold to the same one by simple case folding.</summary>
    private static IEnumerable<int> Folded(int code)
    {
        if (!Rune.IsValid(code))
        {
            return [code];
        }

        var rune = new Rune(code);
        List<int> forms = [code, Rune.ToLowerInvariant(rune).Value, Rune.ToUpperInvariant(rune).Value];
        int[][] families = [['s', 'S', 0x17F], ['k', 'K', 0x212A], [0xE5, 0xC5, 0x212B]];
        return forms.Concat(families.Where(family => family.Intersect(forms).Any()).SelectMany(family => family)).Distinct();
    }

    private string Quote(int code) => code is >= 0 and < 0x10000
        ? string.Create(CultureInfo.InvariantCulture, $"\\u{code:X4}")
        : throw Fail("a character beyond U+FFFF in the expression");

    private bool Accept(string text)
    {
        if (!expression.AsSpan(_at).StartsWith(text, StringComparison.Ordinal))
        {
            return false;
        }

        _at += text.Length;
        return true;
    }

    private TokenizerException Fail(string what) => Unsupported(location, expression, $"{what} at character {_at}");
}
