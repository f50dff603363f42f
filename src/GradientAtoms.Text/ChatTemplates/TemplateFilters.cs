using System.Globalization;
using System.Numerics;
using System.Text;

namespace GradientAtoms.Text.ChatTemplates;

/// <summary>The filters, <c>value | name(arguments)</c>.</summary>
internal static class TemplateFilters
{
    private delegate object? Filter(object? value, TemplateArguments arguments);

    private static readonly Dictionary<string, Filter> Known = new(StringComparer.Ordinal)
    {
        ["abs"] = (value, _) => PythonValue.AsNumber(value) is { } number ? number < 0 ? PythonOperators.Negate(value, "-") : PythonOperators.Negate(value, "+") : throw Not(value, "a number", "abs"),
        ["attr"] = (value, arguments) => arguments.Evaluator.AttributeOnly(value, TemplateArguments.Text(arguments.Bind("attr", "name")[0], "attr")),
        ["batch"] = Batch,
        ["capitalize"] = (value, arguments) => PythonMethods.Capitalize(Print(value, arguments)),
        ["center"] = Center,
        ["count"] = Length, ["length"] = Length,
        ["d"] = Default, ["default"] = Default,
        ["dictsort"] = DictionarySort,
        ["e"] = Escape, ["escape"] = Escape,
        ["first"] = First, ["last"] = Last,
        ["float"] = ToFloat, ["int"] = ToInteger,
        ["format"] = (value, arguments) => PythonOperators.Format(TemplateArguments.Text(value, "format"), arguments.Named.Count > 0 ? NamedValues(arguments) : new TemplateTuple(arguments.Positional), arguments.Budget),
        ["groupby"] = GroupBy,
        ["indent"] = Indent,
        ["items"] = (value, _) => value switch { Undefined => new List<object?>(), TemplateMap map => PythonMethods.Pairs(map), _ => throw Not(value, "a dictionary", "items") },
        ["join"] = Join,
        ["list"] = (value, arguments) => PythonValue.Items(value, arguments.Budget).ToList(),
        ["lower"] = (value, arguments) => Print(value, arguments).ToLowerInvariant(),
        ["upper"] = (value, arguments) => Print(value, arguments).ToUpperInvariant(),
        ["map"] = Map,
        ["max"] = (value, arguments) => Extreme(value, arguments, 1), ["min"] = (value, arguments) => Extreme(value, arguments, -1),
        ["reject"] = (value, arguments) => Select(value, arguments, keep: false, byAttribute: false),
        ["rejectattr"] = (value, arguments) => Select(value, arguments, keep: false, byAttribute: true),
        ["select"] = (value, arguments) => Select(value, arguments, keep: true, byAttribute: false),
        ["selectattr"] = (value, arguments) => Select(value, arguments, keep: true, byAttribute: true),
        ["replace"] = Replace,
        ["reverse"] = Reverse,
        ["round"] = Round,
        ["safe"] = (value, arguments) => Print(value, arguments), ["string"] = (value, arguments) => Print(value, arguments),
        ["sort"] = Sort,
        ["sum"] = Sum,
        ["title"] = (value, arguments) => Title(Print(value, arguments)),
        ["tojson"] = TemplateJson.Filter,
        ["trim"] = (value, arguments) => PythonText.Trim(Print(value, arguments), TemplateArguments.TextOrNull(arguments.Bind("trim", "chars")[0], "trim")),
        ["unique"] = Unique,
        ["wordcount"] = (value, arguments) => (long)Print(value, arguments).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length,
    };

    public static bool IsKnown(string name) => Known.ContainsKey(name);

    public static object? Apply(string name, object? value, TemplateArguments arguments)
    {
        arguments.Budget.Spend(value is string text ? 1 + (text.Length / 16) : 1);
        return Known.TryGetValue(name, out var filter) ? filter(value, arguments) : throw new TemplateFault(TemplateErrors.Unsupported, $"the filter '{name}' is not known");
    }

    private static string Print(object? value, TemplateArguments arguments) => PythonValue.Print(value, arguments.Budget);

    private static object? Length(object? value, TemplateArguments arguments) => PythonValue.Length(value, arguments.Budget);

    private static object? Default(object? value, TemplateArguments arguments)
    {
        var bound = arguments.Bind("default", "default_value", "boolean");
        var falseToo = TemplateArguments.IsGiven(bound[1]) && PythonValue.IsTrue(bound[1]);
        return value is Undefined || (falseToo && !PythonValue.IsTrue(value)) ? TemplateArguments.IsGiven(bound[0]) ? bound[0] : "" : value;
    }

    private static object? First(object? value, TemplateArguments arguments) => value is TemplateIterator iterator
        ? iterator.TryTake(out var item) ? item : new Undefined("No first item, sequence was empty.")
        : PythonValue.Items(value, arguments.Budget) is [var first, ..] ? first : new Undefined("No first item, sequence was empty.");

    private static object? Last(object? value, TemplateArguments arguments) => value is TemplateIterator
        ? throw new TemplateFault("last() does not work on a generator; make a list of it first")
        : PythonValue.Items(value, arguments.Budget) is [.., var last] ? last : new Undefined("No last item, sequence was empty.");

    private static object? Join(object? value, TemplateArguments arguments)
    {
        var bound = arguments.Bind("join", "d", "attribute");
        var separator = TemplateArguments.IsGiven(bound[0]) ? Print(bound[0], arguments) : "";
        var items = PythonValue.Items(value, arguments.Budget);
        var parts = TemplateArguments.IsGiven(bound[1]) && bound[1] is not null ? items.Select(item => Attribute(item, bound[1], arguments)) : items;
        return PythonMethods.Join(separator, [.. parts.Select(part => Print(part, arguments))], arguments.Budget);
    }

    /// <summary>An attribute by a path with dots, as <c>map</c>, <c>sort</c> and others take it.</summary>
    private static object? Attribute(object? item, object? path, TemplateArguments arguments)
    {
        if (path is not string text)
        {
            return arguments.Evaluator.Item(item, path);
        }

        foreach (var part in text.Split('.'))
        {
            item = arguments.Evaluator.Item(item, part.Length > 0 && part.All(char.IsAsciiDigit) && long.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out var index) ? index : part);
        }

        return item;
    }

    private static object? Map(object? value, TemplateArguments arguments)
    {
        var items = ItemsOrNone(value, arguments);
        if (arguments.Named.TryGetValue("attribute", out var attribute))
        {
            var standard = arguments.Named.GetValueOrDefault("default", TemplateArguments.Missing);
            return new TemplateIterator([.. items.Select(item =>
            {
                var found = Attribute(item, attribute, arguments);
                return found is Undefined && TemplateArguments.IsGiven(standard) ? standard : found;
            })]);
        }

        if (arguments.Positional is not [string name, ..])
        {
            throw new TemplateFault("map() needs a filter's name or an attribute");
        }

        var passed = new TemplateArguments([.. arguments.Positional.Skip(1)], arguments.Named, arguments.Evaluator);
        return new TemplateIterator([.. items.Select(item => Apply(name, item, passed))]);
    }

    private static object? Select(object? value, TemplateArguments arguments, bool keep, bool byAttribute)
    {
        if (byAttribute && arguments.Positional.Count == 0)
        {
            throw new TemplateFault("selectattr() and rejectattr() need an attribute");
        }

        var given = arguments.Positional.Skip(byAttribute ? 1 : 0).ToList();
        var test = given.Count > 0 ? TemplateArguments.Text(given[0], "select") : null;
        var passed = new TemplateArguments([.. given.Skip(1)], arguments.Named, arguments.Evaluator);
        return new TemplateIterator([.. ItemsOrNone(value, arguments).Where(item =>
        {
            var looked = byAttribute ? Attribute(item, arguments.Positional[0], arguments) : item;
            return (test is null ? PythonValue.IsTrue(looked) : TemplateTests.Apply(test, looked, passed)) == keep;
        })]);
    }

    /// <summary>These filters take None, and whatever else is false, for nothing.</summary>
    private static IReadOnlyList<object?> ItemsOrNone(object? value, TemplateArguments arguments) => PythonValue.IsTrue(value) ? PythonValue.Items(value, arguments.Budget) : [];

    private static object? Sort(object? value, TemplateArguments arguments)
    {
        var bound = arguments.Bind("sort", "reverse", "case_sensitive", "attribute");
        return Sorted(PythonValue.Items(value, arguments.Budget), bound[2], Flag(bound[1]), Flag(bound[0]), arguments);
    }

    private static List<object?> Sorted(IReadOnlyList<object?> items, object? attribute, bool caseSensitive, bool reverse, TemplateArguments arguments)
    {
        var keyed = items.Select(item => (Key: SortKey(item), Item: item)).ToList();
        var comparer = Comparer<object?>.Create((left, right) => PythonValue.Compare(left, right, arguments.Budget));
        try
        {
            return [.. (reverse ? keyed.OrderByDescending(pair => pair.Key, comparer) : keyed.OrderBy(pair => pair.Key, comparer)).Select(pair => pair.Item)];
        }
        catch (InvalidOperationException failure) when (failure.InnerException is TemplateFault fault)
        {
            throw new TemplateFault(fault.Code, fault.Message);
        }

        object? SortKey(object? item)
        {
            var key = TemplateArguments.IsGiven(attribute) && attribute is not null ? Attribute(item, attribute, arguments) : item;
            return key is string text && !caseSensitive ? text.ToLowerInvariant() : key;
        }
    }

    private static object? DictionarySort(object? value, TemplateArguments arguments)
    {
        var bound = arguments.Bind("dictsort", "case_sensitive", "by", "reverse");
        var by = TemplateArguments.TextOr(bound[1], "key", "dictsort");
        var pairs = value is TemplateMap map ? PythonMethods.Pairs(map) : throw Not(value, "a dictionary", "dictsort");
        return Sorted(pairs, by == "value" ? 1L : 0L, Flag(bound[0]), Flag(bound[2]), arguments);
    }

    private static object? GroupBy(object? value, TemplateArguments arguments)
    {
        var attribute = arguments.Bind("groupby", "attribute")[0];
        var groups = new List<object?>();
        object? current = TemplateArguments.Missing;
        List<object?> members = [];
        foreach (var item in Sorted(PythonValue.Items(value, arguments.Budget), attribute, caseSensitive: false, reverse: false, arguments))
        {
            var key = Attribute(item, attribute, arguments);
            if (!TemplateArguments.IsGiven(current) || !PythonValue.AreEqual(key, current, arguments.Budget))
            {
                (current, members) = (key, []);
                groups.Add(new TemplateTuple([key, members]));
            }

            members.Add(item);
        }

        return groups;
    }

    private static object? Unique(object? value, TemplateArguments arguments)
    {
        var bound = arguments.Bind("unique", "case_sensitive", "attribute");
        var kept = new List<object?>();
        var keys = new List<object?>();
        foreach (var item in PythonValue.Items(value, arguments.Budget))
        {
            var key = TemplateArguments.IsGiven(bound[1]) && bound[1] is not null ? Attribute(item, bound[1], arguments) : item;
            key = key is string text && !Flag(bound[0]) ? text.ToLowerInvariant() : key;
            if (!keys.Exists(other => PythonValue.AreEqual(other, key, arguments.Budget)))
            {
                keys.Add(key);
                kept.Add(item);
            }
        }

        return new TemplateIterator(kept);
    }

    private static object? Extreme(object? value, TemplateArguments arguments, int sign)
    {
        var bound = arguments.Bind("max", "case_sensitive", "attribute");
        var sorted = Sorted(PythonValue.Items(value, arguments.Budget), bound[1], Flag(bound[0]), reverse: sign > 0, arguments);
        return sorted.Count > 0 ? sorted[0] : new Undefined("No aggregated item, sequence was empty.");
    }

    private static object? Sum(object? value, TemplateArguments arguments)
    {
        var bound = arguments.Bind("sum", "attribute", "start");
        object? total = TemplateArguments.IsGiven(bound[1]) ? bound[1] : 0L;
        foreach (var item in PythonValue.Items(value, arguments.Budget))
        {
            var part = TemplateArguments.IsGiven(bound[0]) && bound[0] is not null ? Attribute(item, bound[0], arguments) : item;
            total = PythonOperators.Apply("+", total, part, arguments.Budget);
        }

        return total;
    }

    private static object? Replace(object? value, TemplateArguments arguments)
    {
        var bound = arguments.Bind("replace", "old", "new", "count");
        return PythonMethods.Replace(Print(value, arguments), Print(bound[0], arguments), Print(bound[1], arguments), TemplateArguments.IntegerOrNull(bound[2], "replace") ?? -1, arguments.Budget);
    }

    private static object? Reverse(object? value, TemplateArguments arguments)
    {
        var items = PythonValue.Items(value, arguments.Budget).Reverse();
        return value is string ? string.Concat(items.Cast<string>()) : new TemplateIterator([.. items]);
    }

    private static object? Batch(object? value, TemplateArguments arguments)
    {
        var bound = arguments.Bind("batch", "linecount", "fill_with");
        var size = Math.Clamp(TemplateArguments.Integer(bound[0], "batch"), 1, 1_000_000);
        var batches = new List<object?>();
        foreach (var chunk in PythonValue.Items(value, arguments.Budget).Chunk((int)size))
        {
            var batch = chunk.ToList();
            if (TemplateArguments.IsGiven(bound[1]) && bound[1] is not null)
            {
                arguments.Budget.Spend(size);
                batch.AddRange(Enumerable.Repeat(bound[1], (int)size - batch.Count));
            }

            batches.Add(batch);
        }

        return new TemplateIterator(batches);
    }

    private static object? Round(object? value, TemplateArguments arguments)
    {
        var bound = arguments.Bind("round", "precision", "method");
        var number = PythonValue.AsNumber(value) ?? throw Not(value, "a number", "round");
        var precision = (int)Math.Clamp(TemplateArguments.IntegerOr(bound[0], 0, "round"), -15, 15);
        var scale = Math.Pow(10, precision);
        var rounded = TemplateArguments.TextOr(bound[1], "common", "round") switch
        {
            "ceil" => Math.Ceiling(number * scale) / scale,
            "floor" => Math.Floor(number * scale) / scale,
            _ => precision >= 0 ? Math.Round(number, precision, MidpointRounding.ToEven) : Math.Round(number * scale, MidpointRounding.ToEven) / scale,
        };
        return rounded;
    }

    private static object? ToInteger(object? value, TemplateArguments arguments)
    {
        var bound = arguments.Bind("int", "default", "base");
        PythonValue.FailIfUndefined(value);
        var standard = TemplateArguments.IsGiven(bound[0]) ? bound[0] : 0L;
        switch (value)
        {
            case BigInteger: return value;
            case bool or long: return PythonValue.AsInteger(value);
            case double real: return Truncated(real);
            case string text:
                text = PythonText.Trim(text, null).Replace("_", "", StringComparison.Ordinal);
                if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole))
                {
                    return whole;
                }

                return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? Truncated(number) : standard;
            default: return standard;
        }

        object? Truncated(double real) => Math.Abs(real) < 9e18 ? (long)Math.Truncate(real) : standard;
    }

    private static object? ToFloat(object? value, TemplateArguments arguments)
    {
        var standard = arguments.Bind("float", "default")[0] is var given && TemplateArguments.IsGiven(given) ? given : 0.0;
        PythonValue.FailIfUndefined(value);
        return value is string text
            ? double.TryParse(PythonText.Trim(text, null), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : standard
            : PythonValue.AsNumber(value) ?? standard;
    }

    private static object? Indent(object? value, TemplateArguments arguments)
    {
        var bound = arguments.Bind("indent", "width", "first", "blank");
        var prefix = bound[0] is string text ? text : new string(' ', (int)Math.Clamp(TemplateArguments.IntegerOr(bound[0], 4, "indent"), 0, 1000));
        var lines = Print(value, arguments).Split('\n');
        arguments.Budget.SpendCharacters(PythonOperators.ClampedProduct(lines.Length, prefix.Length + 1L));
        var output = new StringBuilder();
        for (var index = 0; index < lines.Length; index++)
        {
            output.Append(index > 0 ? "\n" : "");
            output.Append(index == 0 ? Flag(bound[1]) ? prefix : "" : lines[index].Length > 0 || Flag(bound[2]) ? prefix : "").Append(lines[index]);
        }

        return output.ToString();
    }

    private static object? Center(object? value, TemplateArguments arguments)
    {
        var width = TemplateArguments.IntegerOr(arguments.Bind("center", "width")[0], 80, "center");
        arguments.Budget.SpendCharacters(width);
        return PythonMethods.Pad(Print(value, arguments), width, "center", ' ');
    }

    private static object? Escape(object? value, TemplateArguments arguments) => new StringBuilder(Print(value, arguments))
        .Replace("&", "&amp;").Replace("<", "&lt;").Replace(">", "&gt;").Replace("'", "&#39;").Replace("\"", "&#34;").ToString();

    /// <summary>Jinja's own rule: words begin after a space, a hyphen or an opening bracket.</summary>
    private static string Title(string text)
    {
        var output = new StringBuilder(text.Length);
        var atStart = true;
        foreach (var letter in text)
        {
            output.Append(atStart ? char.ToUpperInvariant(letter) : char.ToLowerInvariant(letter));
            atStart = letter is '-' or '(' or '{' or '[' or '<' || PythonText.IsSpace(letter);
        }

        return output.ToString();
    }

    private static TemplateMap NamedValues(TemplateArguments arguments)
    {
        var map = new TemplateMap();
        foreach (var (key, value) in arguments.Named)
        {
            map[key] = value;
        }

        return map;
    }

    private static bool Flag(object? value) => TemplateArguments.IsGiven(value) && PythonValue.IsTrue(value);

    private static TemplateFault Not(object? value, string needed, string filter)
    {
        PythonValue.FailIfUndefined(value);
        return new($"{filter}() needs {needed}, not {PythonValue.TypeName(value)}");
    }
}
