using System.Globalization;
using System.Text;

namespace GradientAtoms.Text.ChatTemplates;

/// <summary>The functions that every template can call.</summary>
internal static class TemplateFunctions
{
    /// <summary>Jinja's sandbox has the same.</summary>
    private const int LongestRange = 100_000;

    public static void AddTo(IDictionary<string, object?> variables, DateTime? now)
    {
        variables["raise_exception"] = new TemplateFunction("raise_exception", arguments =>
            throw new TemplateFault(TemplateErrors.Raised, PythonValue.Print(arguments.Bind("raise_exception", "message")[0] is var message && TemplateArguments.IsGiven(message) ? message : "", arguments.Budget)));
        variables["namespace"] = new TemplateFunction("namespace", Namespace);
        variables["dict"] = new TemplateFunction("dict", arguments => Fill(new TemplateMap(), arguments));
        variables["range"] = new TemplateFunction("range", Range);
        variables["joiner"] = new TemplateFunction("joiner", Joiner);
        variables["cycler"] = new TemplateFunction("cycler", arguments =>
        {
            var (items, next) = (arguments.Positional, 0);
            return new TemplateFunction("cycler", _ => items.Count > 0 ? items[next++ % items.Count] : throw new TemplateFault("cycler() needs items"));
        });
        if (now is { } moment)
        {
            variables["strftime_now"] = new TemplateFunction("strftime_now", arguments =>
                FormatTime(moment, TemplateArguments.Text(arguments.Bind("strftime_now", "format")[0], "strftime_now")));
        }
    }

    private static object Namespace(TemplateArguments arguments)
    {
        var result = new TemplateNamespace();
        foreach (var (key, value) in Fill(new TemplateMap(), arguments))
        {
            result.Attributes[key as string ?? throw new TemplateFault("a namespace's names are strings")] = value;
        }

        return result;
    }

    private static TemplateMap Fill(TemplateMap map, TemplateArguments arguments)
    {
        if (arguments.Positional.Count > 1)
        {
            throw new TemplateFault("one dictionary, or a list of pairs, can be given without a name");
        }

        if (arguments.Positional is [TemplateMap source])
        {
            arguments.Budget.Spend(source.Count);
            foreach (var (key, value) in source)
            {
                map[key] = value;
            }
        }
        else if (arguments.Positional is [var pairs])
        {
            foreach (var item in PythonValue.Items(pairs, arguments.Budget))
            {
                if (PythonValue.AsSequence(item) is not [var key, var value])
                {
                    throw new TemplateFault("a dictionary is made of pairs");
                }

                map[PythonValue.Key(key)] = value;
            }
        }

        foreach (var (key, value) in arguments.Named)
        {
            map[key] = value;
        }

        return map;
    }

    private static List<object?> Range(TemplateArguments arguments)
    {
        var bound = arguments.Bind("range", "start", "stop", "step");
        var first = TemplateArguments.Integer(bound[0], "range");
        var (start, stop) = TemplateArguments.IsGiven(bound[1]) ? (first, TemplateArguments.Integer(bound[1], "range")) : (0, first);
        var step = TemplateArguments.IntegerOr(bound[2], 1, "range");
        if (step == 0)
        {
            throw new TemplateFault("range() needs a step that is not zero");
        }

        var numbers = new List<object?>();
        for (Int128 value = start; step > 0 ? value < stop : value > stop; value += step)
        {
            if (numbers.Count == LongestRange)
            {
                throw new TemplateFault(TemplateErrors.OverLimit, "range() gives at most 100000 numbers");
            }

            numbers.Add((long)value);
        }

        arguments.Budget.Spend(numbers.Count);
        return numbers;
    }

    private static TemplateFunction Joiner(TemplateArguments arguments)
    {
        var separator = TemplateArguments.TextOr(arguments.Bind("joiner", "sep")[0], ", ", "joiner");
        var used = false;
        return new("joiner", _ =>
        {
            var text = used ? separator : "";
            used = true;
            return text;
        });
    }

    /// <summary>C's <c>strftime</c> in the C locale.</summary>
    public static string FormatTime(DateTime moment, string format)
    {
        var output = new StringBuilder();
        for (var index = 0; index < format.Length; index++)
        {
            if (format[index] != '%' || index + 1 == format.Length)
            {
                output.Append(format[index]);
                continue;
            }

            var unpadded = format[index + 1] == '-' && index + 2 < format.Length;
            index += unpadded ? 2 : 1;
            var text = format[index] switch
            {
                'd' => Of("dd"),
                'e' => moment.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2),
                'm' => Of("MM"),
                'b' or 'h' => Of("MMM"),
                'B' => Of("MMMM"),
                'y' => Of("yy"),
                'Y' => Of("yyyy"),
                'a' => Of("ddd"),
                'A' => Of("dddd"),
                'H' => Of("HH"),
                'I' => Of("hh"),
                'M' => Of("mm"),
                'S' => Of("ss"),
                'f' => Of("ffffff"),
                'p' => Of("tt"),
                'j' => moment.DayOfYear.ToString("000", CultureInfo.InvariantCulture),
                'w' => ((int)moment.DayOfWeek).ToString(CultureInfo.InvariantCulture),
                'F' => Of("yyyy-MM-dd"),
                'T' => Of("HH:mm:ss"),
                'R' => Of("HH:mm"),
                'D' => Of("MM/dd/yy"),
                'c' => $"{Of("ddd MMM")} {moment.Day.ToString(CultureInfo.InvariantCulture),2} {Of("HH:mm:ss yyyy")}",
                'x' => Of("MM/dd/yy"),
                'X' => Of("HH:mm:ss"),
                'z' or 'Z' => "", // the time carries no zone
                'n' => "\n",
                't' => "\t",
                '%' => "%",
                var other => throw new TemplateFault(TemplateErrors.Unsupported, $"the time format '%{other}' is not known"),
            };
            output.Append(unpadded && text.Length > 1 ? text.TrimStart('0', ' ') is { Length: > 0 } trimmed ? trimmed : "0" : text);
        }

        return output.ToString();

        string Of(string pattern) => moment.ToString(pattern, CultureInfo.InvariantCulture);
    }
}
