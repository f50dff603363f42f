using System.Globalization;
using System.Numerics;
using System.Text;

namespace GradientAtoms.Text.ChatTemplates;

/// <summary>The <c>tojson</c> of chat templates: Python's <c>json.dumps</c> without escapes for characters outside of ASCII.</summary>
internal sealed class TemplateJson(TemplateBudget budget, bool asciiOnly, string? indent, string itemSeparator, string keySeparator, bool sortKeys)
{
    private readonly StringBuilder output = new();

    public static object? Filter(object? value, TemplateArguments arguments)
    {
        var bound = arguments.Bind("tojson", "ensure_ascii", "indent", "separators", "sort_keys");
        var indent = bound[1] switch
        {
            string text => text,
            null => null,
            var given when !TemplateArguments.IsGiven(given) => null,
            var given => new string(' ', (int)Math.Clamp(TemplateArguments.Integer(given, "tojson"), 0, 100)),
        };
        var (itemSeparator, keySeparator) = (indent is null ? ", " : ",", ": ");
        if (TemplateArguments.IsGiven(bound[2]) && bound[2] is not null)
        {
            if (PythonValue.AsSequence(bound[2]) is not [string first, string second])
            {
                throw new TemplateFault("tojson() needs two strings as separators");
            }

            (itemSeparator, keySeparator) = (first, second);
        }

        var asciiOnly = TemplateArguments.IsGiven(bound[0]) && PythonValue.IsTrue(bound[0]);
        var sortKeys = TemplateArguments.IsGiven(bound[3]) && PythonValue.IsTrue(bound[3]);
        var writer = new TemplateJson(arguments.Budget, asciiOnly, indent, itemSeparator, keySeparator, sortKeys);
        writer.Write(value, 0);
        arguments.Budget.SpendCharacters(writer.output.Length);
        return writer.output.ToString();
    }

    private void Write(object? value, int level)
    {
        budget.SpendCharacters(output.Length > budget.MaxCharacters ? output.Length : 0);
        switch (value)
        {
            case null: output.Append("null"); break;
            case bool flag: output.Append(flag ? "true" : "false"); break;
            case long whole: output.Append(whole.ToString(CultureInfo.InvariantCulture)); break;
            case BigInteger big: output.Append(big.ToString(CultureInfo.InvariantCulture)); break;
            case double real: output.Append(Number(real)); break;
            case string text: WriteText(text); break;
            case IReadOnlyList<object?> list: WriteItems('[', list, ']', level, item => Write(item, level + 1)); break;
            case TemplateMap map:
                IEnumerable<KeyValuePair<object, object?>> pairs = map;
                if (sortKeys)
                {
                    pairs = map.Order(Comparer<KeyValuePair<object, object?>>.Create((left, right) => PythonValue.Compare(left.Key, right.Key, budget)));
                }

                WriteItems('{', pairs, '}', level, pair =>
                {
                    WriteText(pair.Key switch
                    {
                        string text => text,
                        bool flag => flag ? "true" : "false",
                        double real => Number(real),
                        var key => PythonValue.Print(key, budget),
                    });
                    output.Append(keySeparator);
                    Write(pair.Value, level + 1);
                });
                break;
            default:
                PythonValue.FailIfUndefined(value);
                throw new TemplateFault($"{PythonValue.TypeName(value)} cannot be written as JSON");
        }
    }

    private void WriteItems<T>(char open, IEnumerable<T> items, char close, int level, Action<T> write)
    {
        budget.Enter();
        output.Append(open);
        var any = false;
        foreach (var item in items)
        {
            budget.Spend(1);
            output.Append(any ? itemSeparator : "");
            any = true;
            NewLine(level + 1);
            write(item);
        }

        if (any)
        {
            NewLine(level);
        }

        output.Append(close);
        budget.Leave();
    }

    private void NewLine(int level)
    {
        if (indent is not null)
        {
            output.Append('\n');
            for (var count = 0; count < level; count++)
            {
                output.Append(indent);
            }
        }
    }

    private static string Number(double value) => double.IsFinite(value) ? PythonText.OfFloat(value) : double.IsNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";

    private void WriteText(string text)
    {
        budget.SpendCharacters(text.Length);
        output.Append('"');
        foreach (var unit in text)
        {
            switch (unit)
            {
                case '"': output.Append("\\\""); break;
                case '\\': output.Append("\\\\"); break;
                case '\n': output.Append("\\n"); break;
                case '\r': output.Append("\\r"); break;
                case '\t': output.Append("\\t"); break;
                case '\b': output.Append("\\b"); break;
                case '\f': output.Append("\\f"); break;
                default:
                    if (unit < ' ' || (asciiOnly && unit > '~'))
                    {
                        output.Append("\\u").Append(((int)unit).ToString("x4", CultureInfo.InvariantCulture));
                    }
                    else
                    {
                        output.Append(unit);
                    }

                    break;
            }
        }

        output.Append('"');
    }
}
