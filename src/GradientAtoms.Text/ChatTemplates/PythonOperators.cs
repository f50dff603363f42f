using System.Globalization;
using System.Text;

namespace GradientAtoms.Text.ChatTemplates;

/// <summary>Arithmetic, joining, formatting, items and slices, as Python has them.</summary>
internal static class PythonOperators
{
    public static object? Apply(string symbol, object? left, object? right, TemplateBudget budget)
    {
        if (symbol == "~")
        {
            return Join(PythonValue.Print(left, budget), PythonValue.Print(right, budget), budget);
        }

        PythonValue.FailIfUndefined(left);
        PythonValue.FailIfUndefined(right);
        switch (symbol)
        {
            case "+" when left is string first && right is string second: return Join(first, second, budget);
            case "+" when left is List<object?> first && right is List<object?> second:
                budget.Spend((long)first.Count + second.Count);
                return new List<object?>([.. first, .. second]);
            case "+" when left is TemplateTuple first && right is TemplateTuple second:
                budget.Spend((long)first.Count + second.Count);
                return new TemplateTuple([.. first, .. second]);
            case "*" when left is string or List<object?> or TemplateTuple && PythonValue.AsInteger(right) is { } times: return Repeat(left, times, budget);
            case "*" when right is string or List<object?> or TemplateTuple && PythonValue.AsInteger(left) is { } times: return Repeat(right, times, budget);
            case "%" when left is string format: return Format(format, right, budget);
        }

        if (PythonValue.AsInteger(left) is { } leftInteger && PythonValue.AsInteger(right) is { } rightInteger)
        {
            return OfIntegers(symbol, leftInteger, rightInteger);
        }

        if (PythonValue.AsNumber(left) is { } leftNumber && PythonValue.AsNumber(right) is { } rightNumber)
        {
            return OfFloats(symbol, leftNumber, rightNumber);
        }

        throw new TemplateFault($"'{symbol}' does not work between {PythonValue.TypeName(left)} and {PythonValue.TypeName(right)}");
    }

    public static object? Negate(object? value, string sign)
    {
        PythonValue.FailIfUndefined(value);
        return value switch
        {
            double real => sign == "-" ? -real : real,
            long.MinValue => throw TooLarge(),
            bool or long => sign == "-" ? -PythonValue.AsInteger(value) : PythonValue.AsInteger(value),
            _ => throw new TemplateFault($"'{sign}' does not work on {PythonValue.TypeName(value)}"),
        };
    }

    private static string Join(string left, string right, TemplateBudget budget)
    {
        budget.SpendCharacters((long)left.Length + right.Length);
        return left + right;
    }

    private static object? Repeat(object? value, long times, TemplateBudget budget)
    {
        times = Math.Max(times, 0);
        if (value is string text)
        {
            budget.SpendCharacters(ClampedProduct(text.Length, times));
            return text.Length == 0 ? "" : new StringBuilder().Insert(0, text, (int)times).ToString();
        }

        var items = PythonValue.AsSequence(value)!;
        budget.Spend(ClampedProduct(items.Count, times));
        var repeated = new List<object?>();
        for (var index = 0L; index < times && items.Count > 0; index++)
        {
            repeated.AddRange(items);
        }

        return value is TemplateTuple ? new TemplateTuple(repeated) : repeated;
    }

    /// <summary>A product that does not overflow: for counts that are compared with a limit.</summary>
    public static long ClampedProduct(long left, long right) => left == 0 || right <= long.MaxValue / 4 / left ? left * right : long.MaxValue / 4;

    private static object OfIntegers(string symbol, long left, long right)
    {
        try
        {
            checked
            {
                switch (symbol)
                {
                    case "+": return left + right;
                    case "-": return left - right;
                    case "*": return left * right;
                    case "/": return right == 0 ? throw DivisionByZero() : (double)left / right;
                    case "//":
                        var quotient = right == 0 ? throw DivisionByZero() : left / right;
                        return left % right != 0 && (left < 0) != (right < 0) ? quotient - 1 : quotient;
                    case "%":
                        var remainder = right == 0 ? throw DivisionByZero() : right == -1 ? 0 : left % right;
                        return remainder != 0 && (remainder < 0) != (right < 0) ? remainder + right : remainder;
                    default:
                        return Power(left, right);
                }
            }
        }
        catch (OverflowException)
        {
            throw TooLarge();
        }
    }

    private static object Power(long left, long right)
    {
        if (right < 0)
        {
            return left == 0 ? throw DivisionByZero() : Math.Pow(left, right);
        }

        if (left is 0 or 1 or -1)
        {
            return right == 0 ? 1L : left == -1 && right % 2 == 0 ? 1L : left;
        }

        var power = 1L;
        for (; right > 0; right--)
        {
            power = checked(power * left);
        }

        return power;
    }

    private static double OfFloats(string symbol, double left, double right)
    {
        switch (symbol)
        {
            case "+": return left + right;
            case "-": return left - right;
            case "*": return left * right;
            case "/": return right == 0 ? throw DivisionByZero() : left / right;
            case "//": return right == 0 ? throw DivisionByZero() : Math.Floor(left / right);
            case "%":
                var remainder = right == 0 ? throw DivisionByZero() : left % right;
                return remainder != 0 && (remainder < 0) != (right < 0) ? remainder + right : remainder;
            default: return Math.Pow(left, right);
        }
    }

    /// <summary>The <c>%</c> of strings: <c>%s %r %d %i %f %.2f %x %%</c>, with width, and names from a dictionary.</summary>
    public static string Format(string format, object? values, TemplateBudget budget)
    {
        var output = new StringBuilder();
        var arguments = values is TemplateTuple tuple ? (IReadOnlyList<object?>)tuple : [values];
        var used = 0;
        for (var index = 0; index < format.Length; index++)
        {
            if (format[index] != '%')
            {
                output.Append(format[index]);
                continue;
            }

            string? name = null;
            if (++index < format.Length && format[index] == '(')
            {
                var close = format.IndexOf(')', index);
                name = close < 0 ? throw BadFormat() : format[(index + 1)..close];
                index = close + 1;
            }

            var flags = index;
            while (index < format.Length && format[index] is '-' or '+' or ' ' or '0' or '#')
            {
                index++;
            }

            var flagText = format[flags..index];
            var width = ReadNumber(format, ref index) ?? 0;
            int? precision = null;
            if (index < format.Length && format[index] == '.')
            {
                index++;
                precision = ReadNumber(format, ref index) ?? 0;
            }

            if (index >= format.Length)
            {
                throw BadFormat();
            }

            if (format[index] == '%')
            {
                output.Append('%');
                continue;
            }

            object? value;
            if (name is not null)
            {
                value = values is TemplateMap map && map.TryGetValue(name, out var found) ? found : throw new TemplateFault($"the format's name '{name}' is not in the values");
            }
            else
            {
                value = used < arguments.Count ? arguments[used++] : throw new TemplateFault("not enough values for the format string");
            }

            budget.SpendCharacters(width + output.Length / 16L);
            var text = FormatOne(format[index], value, precision, budget);
            if (flagText.Contains('+', StringComparison.Ordinal) && format[index] is 'd' or 'i' or 'f' && !text.StartsWith('-'))
            {
                text = "+" + text;
            }

            output.Append(flagText.Contains('-', StringComparison.Ordinal) ? text.PadRight(width)
                : flagText.Contains('0', StringComparison.Ordinal) && format[index] is not ('s' or 'r') ? PadZeros(text, width) : text.PadLeft(width));
        }

        if (used < arguments.Count && values is not TemplateMap)
        {
            throw new TemplateFault("not all values were used by the format string");
        }

        budget.SpendCharacters(output.Length);
        return output.ToString();
    }

    private static string FormatOne(char kind, object? value, int? precision, TemplateBudget budget)
    {
        PythonValue.FailIfUndefined(value);
        switch (kind)
        {
            case 's' or 'r':
                var text = kind == 's' ? PythonValue.Print(value, budget) : Repr(value, budget);
                return precision is { } length && length < PythonText.Length(text) ? text[..PythonText.ToUnits(text, length)] : text;
            case 'd' or 'i' when PythonValue.AsNumber(value) is { } number:
                return PythonValue.AsInteger(value) is { } whole ? whole.ToString(CultureInfo.InvariantCulture) : Math.Truncate(number).ToString("F0", CultureInfo.InvariantCulture);
            case 'x' or 'X' when PythonValue.AsInteger(value) is { } hex and >= 0:
                return hex.ToString(kind.ToString(), CultureInfo.InvariantCulture);
            case 'f' or 'F' when PythonValue.AsNumber(value) is { } real:
                return real.ToString("F" + Math.Min(precision ?? 6, 300).ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
            default:
                throw new TemplateFault($"the format '%{kind}' does not work on {PythonValue.TypeName(value)}, or is not known");
        }
    }

    private static string Repr(object? value, TemplateBudget budget)
    {
        var output = new StringBuilder();
        PythonValue.AppendRepr(output, value, budget);
        return output.ToString();
    }

    /// <summary>Zeros between the sign and the digits.</summary>
    public static string PadZeros(string text, int width)
    {
        var sign = text.Length > 0 && text[0] is '-' or '+' ? 1 : 0;
        return text[..sign] + new string('0', Math.Max(0, width - text.Length)) + text[sign..];
    }

    private static int? ReadNumber(string format, ref int index)
    {
        var start = index;
        while (index < format.Length && char.IsAsciiDigit(format[index]))
        {
            index++;
        }

        return index == start ? null : int.TryParse(format.AsSpan(start, index - start), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : throw BadFormat();
    }

    /// <summary><c>value[index]</c>: null where there is no such item; the caller tries attributes next.</summary>
    public static bool TryItem(object? value, object? index, TemplateBudget budget, out object? item)
    {
        item = null;
        switch (value)
        {
            case TemplateMap map when index is string or bool or long or double:
                return map.TryGetValue(index, out item);
            case string text when PythonValue.AsInteger(index) is { } at:
                var length = PythonValue.Length(text, budget);
                at += at < 0 ? length : 0;
                if (at < 0 || at >= length)
                {
                    return false;
                }

                var start = PythonText.ToUnits(text, (int)at);
                item = text.Substring(start, start + 1 < text.Length && char.IsSurrogatePair(text, start) ? 2 : 1);
                return true;
            case IReadOnlyList<object?> sequence when PythonValue.AsInteger(index) is { } at:
                at += at < 0 ? sequence.Count : 0;
                if (at < 0 || at >= sequence.Count)
                {
                    return false;
                }

                item = sequence[(int)at];
                return true;
            default:
                return false;
        }
    }

    /// <summary><c>value[start:stop:step]</c> of a list, a tuple or a string.</summary>
    public static object? Slice(object? value, object? start, object? stop, object? step, TemplateBudget budget)
    {
        PythonValue.FailIfUndefined(value);
        IReadOnlyList<object?> items = value switch
        {
            string text => PythonValue.Items(text, budget),
            IReadOnlyList<object?> sequence => sequence,
            _ => throw new TemplateFault($"{PythonValue.TypeName(value)} cannot be sliced"),
        };
        var by = Bound(step) ?? 1;
        if (by == 0)
        {
            throw new TemplateFault("a slice's step cannot be zero");
        }

        var count = (long)items.Count;
        var (low, high) = by > 0 ? (0L, count) : (-1L, count - 1);
        var from = Clamp(Bound(start), by > 0 ? low : high);
        var to = Clamp(Bound(stop), by > 0 ? high : low);
        budget.Spend(count);
        var taken = new List<object?>();
        for (var index = from; by > 0 ? index < to : index > to; index += by)
        {
            taken.Add(items[(int)index]);
            if (by > count || by < -count)
            {
                break; // the next index is past the end, and could overflow
            }
        }

        return value is string ? string.Concat(taken.Cast<string>()) : value is TemplateTuple ? new TemplateTuple(taken) : taken;

        long Clamp(long? bound, long standard) => bound is { } at ? Math.Clamp(at < 0 ? at + count : at, low, high) : standard;
    }

    private static long? Bound(object? value)
    {
        PythonValue.FailIfUndefined(value);
        return value is null ? null : PythonValue.AsInteger(value) ?? throw new TemplateFault("a slice needs whole numbers");
    }

    private static TemplateFault DivisionByZero() => new("division by zero");

    private static TemplateFault TooLarge() => new("a number that is too large");

    private static TemplateFault BadFormat() => new("a format string that cannot be read");
}
