using System.Globalization;
using System.Numerics;
using System.Text;

namespace GradientAtoms.Text.ChatTemplates;

/// <summary>Truth, equality, order, printing and items of values, as Python has them.</summary>
internal static class PythonValue
{
    public static bool IsTrue(object? value) => value switch
    {
        null or Undefined => false,
        bool flag => flag,
        long whole => whole != 0,
        double real => real != 0,
        string text => text.Length > 0,
        List<object?> list => list.Count > 0,
        TemplateTuple tuple => tuple.Count > 0,
        TemplateMap map => map.Count > 0,
        _ => true,
    };

    public static string TypeName(object? value) => value switch
    {
        null => "None",
        bool => "a boolean",
        long or BigInteger => "a whole number",
        double => "a float",
        string => "a string",
        List<object?> => "a list",
        TemplateTuple => "a tuple",
        TemplateMap => "a dictionary",
        Undefined => "something undefined",
        TemplateNamespace => "a namespace",
        TemplateIterator => "a generator",
        TemplateLoop => "a loop",
        _ => "a function",
    };

    /// <summary>A list or a tuple as its items; else null.</summary>
    public static IReadOnlyList<object?>? AsSequence(object? value) => value as IReadOnlyList<object?>;

    public static double? AsNumber(object? value) => value switch { bool flag => flag ? 1 : 0, long whole => whole, double real => real, _ => null };

    public static long? AsInteger(object? value) => value switch { bool flag => flag ? 1 : 0, long whole => whole, _ => null };

    public static bool AreEqual(object? left, object? right, TemplateBudget budget)
    {
        budget.Spend(1);
        switch (left, right)
        {
            case (null, null): return true;
            case (Undefined, Undefined): return true;
            case (string first, string second): return string.Equals(first, second, StringComparison.Ordinal);
            case (bool or long, bool or long): return AsInteger(left) == AsInteger(right);
            case (bool or long or double, bool or long or double): return AsNumber(left) == AsNumber(right);
            case (BigInteger first, BigInteger second): return first == second;
            case (List<object?> first, List<object?> second): return SameItems(first, second, budget);
            case (TemplateTuple first, TemplateTuple second): return SameItems(first, second, budget);
            case (TemplateMap first, TemplateMap second):
                if (first.Count != second.Count)
                {
                    return false;
                }

                budget.Enter();
                foreach (var (key, value) in first)
                {
                    if (!second.TryGetValue(key, out var other) || !AreEqual(value, other, budget))
                    {
                        budget.Leave();
                        return false;
                    }
                }

                budget.Leave();
                return true;
            default: return ReferenceEquals(left, right);
        }
    }

    private static bool SameItems(IReadOnlyList<object?> left, IReadOnlyList<object?> right, TemplateBudget budget)
    {
        if (left.Count != right.Count)
        {
            return false;
        }

        budget.Enter();
        var same = true;
        for (var index = 0; same && index < left.Count; index++)
        {
            same = AreEqual(left[index], right[index], budget);
        }

        budget.Leave();
        return same;
    }

    /// <summary>Negative, 0 or positive; numbers with numbers, strings with strings, sequences item by item.</summary>
    public static int Compare(object? left, object? right, TemplateBudget budget)
    {
        budget.Spend(1);
        if (AsInteger(left) is { } leftInteger && AsInteger(right) is { } rightInteger)
        {
            return leftInteger.CompareTo(rightInteger);
        }

        if (AsNumber(left) is { } leftNumber && AsNumber(right) is { } rightNumber)
        {
            return leftNumber.CompareTo(rightNumber);
        }

        if (left is string leftText && right is string rightText)
        {
            return PythonText.Compare(leftText, rightText);
        }

        if ((left is List<object?> && right is List<object?>) || (left is TemplateTuple && right is TemplateTuple))
        {
            var (first, second) = (AsSequence(left)!, AsSequence(right)!);
            budget.Enter();
            for (var index = 0; index < Math.Min(first.Count, second.Count); index++)
            {
                if (!AreEqual(first[index], second[index], budget))
                {
                    var order = Compare(first[index], second[index], budget);
                    budget.Leave();
                    return order;
                }
            }

            budget.Leave();
            return first.Count.CompareTo(second.Count);
        }

        FailIfUndefined(left);
        FailIfUndefined(right);
        throw new TemplateFault($"{TypeName(left)} and {TypeName(right)} have no order");
    }

    /// <summary>True where <paramref name="item"/> is in the container.</summary>
    public static bool Contains(object? container, object? item, TemplateBudget budget)
    {
        switch (container)
        {
            case string text:
                budget.SpendCharacters(text.Length);
                FailIfUndefined(item);
                return item is string part
                    ? text.Contains(part, StringComparison.Ordinal)
                    : throw new TemplateFault($"'in' a string needs a string, not {TypeName(item)}");
            case TemplateMap map:
                return map.ContainsKey(Key(item));
            case Undefined:
                return false;
            default:
                return Items(container, budget).Any(other => AreEqual(other, item, budget));
        }
    }

    /// <summary>The items that a loop goes through: of a list, the keys of a dictionary, the code points of a string.</summary>
    public static IReadOnlyList<object?> Items(object? value, TemplateBudget budget)
    {
        IReadOnlyList<object?> items = value switch
        {
            IReadOnlyList<object?> sequence => sequence,
            TemplateMap map => [.. map.Keys],
            string text => CodePoints(text, budget),
            TemplateIterator iterator => iterator.TakeAll(),
            Undefined => [],
            _ => throw new TemplateFault($"{TypeName(value)} has no items to go through"),
        };
        budget.Spend(items.Count);
        return items;
    }

    private static List<object?> CodePoints(string text, TemplateBudget budget)
    {
        budget.Spend(text.Length);
        return PythonText.CodePoints(text);
    }

    public static long Length(object? value, TemplateBudget budget)
    {
        switch (value)
        {
            case string text:
                budget.SpendCharacters(text.Length);
                return PythonText.Length(text);
            case IReadOnlyList<object?> sequence: return sequence.Count;
            case TemplateMap map: return map.Count;
            case Undefined: return 0;
            default: throw new TemplateFault($"{TypeName(value)} has no length");
        }
    }

    /// <summary>A value as a dictionary's key.</summary>
    public static object Key(object? value) => value switch
    {
        string or bool or long or double => value,
        _ => throw new TemplateFault($"{TypeName(value)} cannot be a dictionary's key"),
    };

    public static void FailIfUndefined(object? value)
    {
        if (value is Undefined undefined)
        {
            throw new TemplateFault(undefined.Reason);
        }
    }

    /// <summary>What <c>{{ value }}</c> prints.</summary>
    public static string Print(object? value, TemplateBudget budget)
    {
        switch (value)
        {
            case string text: return text;
            case Undefined: return "";
            case long whole: return whole.ToString(CultureInfo.InvariantCulture);
            default:
                var output = new StringBuilder();
                AppendRepr(output, value, budget);
                budget.SpendCharacters(output.Length);
                return output.ToString();
        }
    }

    /// <summary>Python's <c>repr</c>.</summary>
    public static void AppendRepr(StringBuilder output, object? value, TemplateBudget budget)
    {
        budget.Spend(1);
        switch (value)
        {
            case null: output.Append("None"); break;
            case bool flag: output.Append(flag ? "True" : "False"); break;
            case long whole: output.Append(whole.ToString(CultureInfo.InvariantCulture)); break;
            case BigInteger big: output.Append(big.ToString(CultureInfo.InvariantCulture)); break;
            case double real: output.Append(PythonText.OfFloat(real)); break;
            case string text:
                budget.SpendCharacters(output.Length / 16L + text.Length);
                PythonText.AppendQuoted(output, text);
                break;
            case Undefined: output.Append("Undefined"); break;
            case List<object?> list: AppendItems(output, '[', list, "]", budget); break;
            case TemplateTuple tuple: AppendItems(output, '(', tuple, tuple.Count == 1 ? ",)" : ")", budget); break;
            case TemplateMap map: AppendPairs(output, "{", map, "}", budget); break;
            case TemplateNamespace names: AppendPairs(output, "<Namespace {", names.Attributes.Select(pair => KeyValuePair.Create((object)pair.Key, pair.Value)), "}>", budget); break;
            case TemplateIterator: output.Append("<generator object>"); break;
            case TemplateFunction function: output.Append("<function ").Append(function.Name).Append('>'); break;
            default: output.Append("<object>"); break;
        }

        if (output.Length > budget.MaxCharacters)
        {
            budget.SpendCharacters(output.Length);
        }
    }

    private static void AppendItems(StringBuilder output, char open, IReadOnlyList<object?> items, string close, TemplateBudget budget)
    {
        budget.Enter();
        output.Append(open);
        for (var index = 0; index < items.Count; index++)
        {
            output.Append(index > 0 ? ", " : "");
            AppendRepr(output, items[index], budget);
        }

        output.Append(close);
        budget.Leave();
    }

    private static void AppendPairs(StringBuilder output, string open, IEnumerable<KeyValuePair<object, object?>> pairs, string close, TemplateBudget budget)
    {
        budget.Enter();
        output.Append(open);
        var first = true;
        foreach (var (key, value) in pairs)
        {
            output.Append(first ? "" : ", ");
            first = false;
            AppendRepr(output, key, budget);
            output.Append(": ");
            AppendRepr(output, value, budget);
        }

        output.Append(close);
        budget.Leave();
    }

    /// <summary>Parsed JSON and plain .NET values as values of a template. Anything else is the caller's mistake.</summary>
    public static object? From(object? value, int depth = 0) => depth > 200
        ? throw new TemplateFault(TemplateErrors.OverLimit, "a value is nested more than 200 levels deep")
        : value switch
        {
            null or bool or long or double or string or BigInteger or TemplateMap or TemplateTuple or TemplateFunction or TemplateNamespace or Undefined => value,
            int whole => (long)whole,
            float real => (double)real,
            IReadOnlyDictionary<string, object?> map => FromMap(map, depth),
            IEnumerable<object?> list => list.Select(item => From(item, depth + 1)).ToList(),
            _ => throw new ArgumentException($"a template cannot be given a {value.GetType().Name}", nameof(value)),
        };

    private static TemplateMap FromMap(IReadOnlyDictionary<string, object?> map, int depth)
    {
        var result = new TemplateMap();
        foreach (var (key, value) in map)
        {
            result[key] = From(value, depth + 1);
        }

        return result;
    }
}
