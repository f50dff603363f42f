using System.Buffers;
using System.Text;

namespace GradientAtoms.Text.ChatTemplates;

/// <summary>The methods of strings, lists and dictionaries that a template may call; what changes a value is refused, as in the sandbox.</summary>
internal static class PythonMethods
{
    private delegate object? TextMethod(string self, string name, TemplateArguments arguments);

    private static readonly SearchValues<char> LineEnds = SearchValues.Create("\n\r\v\f\u001c\u001d\u001e\u0085\u2028\u2029");

    private static readonly HashSet<string> Changing = new(StringComparer.Ordinal)
    {
        "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove", "update", "setdefault", "popitem",
    };

    private static readonly Dictionary<string, TextMethod> OfText = new(StringComparer.Ordinal)
    {
        ["strip"] = Strip, ["lstrip"] = Strip, ["rstrip"] = Strip,
        ["split"] = Split, ["rsplit"] = Split, ["splitlines"] = SplitLines,
        ["startswith"] = StartsOrEnds, ["endswith"] = StartsOrEnds,
        ["upper"] = Case, ["lower"] = Case, ["title"] = Case, ["capitalize"] = Case, ["swapcase"] = Case, ["casefold"] = Case,
        ["replace"] = Replace, ["join"] = Join, ["format"] = Format,
        ["find"] = Find, ["rfind"] = Find, ["index"] = Find, ["rindex"] = Find, ["count"] = Count,
        ["removeprefix"] = Remove, ["removesuffix"] = Remove, ["partition"] = Partition, ["rpartition"] = Partition,
        ["center"] = Pad, ["ljust"] = Pad, ["rjust"] = Pad, ["zfill"] = Pad,
        ["isdigit"] = Is, ["isalpha"] = Is, ["isalnum"] = Is, ["isspace"] = Is, ["isupper"] = Is, ["islower"] = Is, ["isnumeric"] = Is, ["isdecimal"] = Is,
    };

    /// <summary>The method of that name, bound to the value; null where it has none.</summary>
    public static TemplateFunction? Find(object? self, string name) => self switch
    {
        string text when OfText.TryGetValue(name, out var method) => new(name, arguments => method(text, name, arguments)),
        TemplateMap map => OfMap(map, name),
        IReadOnlyList<object?> list => OfList(list, name),
        _ => null,
    };

    private static TemplateFunction? OfMap(TemplateMap map, string name) => name switch
    {
        "get" => new(name, arguments =>
        {
            var bound = arguments.Bind(name, "key", "default");
            return map.TryGetValue(PythonValue.Key(bound[0]), out var value) ? value : TemplateArguments.IsGiven(bound[1]) ? bound[1] : null;
        }),
        "keys" => new(name, arguments => WithoutArguments(arguments, name, map.Count, () => map.Keys.ToList<object?>())),
        "values" => new(name, arguments => WithoutArguments(arguments, name, map.Count, () => map.Values.ToList())),
        "items" => new(name, arguments => WithoutArguments(arguments, name, map.Count, () => Pairs(map))),
        "copy" => new(name, arguments => WithoutArguments(arguments, name, 1, () => map)), // nothing can change it
        _ => Refused(name),
    };

    /// <summary>A dictionary as a list of pairs.</summary>
    public static List<object?> Pairs(TemplateMap map) => [.. map.Select(pair => new TemplateTuple([pair.Key, pair.Value]))];

    private static TemplateFunction? OfList(IReadOnlyList<object?> list, string name) => name switch
    {
        "index" => new(name, arguments =>
        {
            var sought = arguments.Bind(name, "value")[0];
            for (var index = 0; index < list.Count; index++)
            {
                if (PythonValue.AreEqual(list[index], sought, arguments.Budget))
                {
                    return (long)index;
                }
            }

            throw new TemplateFault("index(): the value is not in the list");
        }),
        "count" => new(name, arguments =>
        {
            var sought = arguments.Bind(name, "value")[0];
            return (long)list.Count(item => PythonValue.AreEqual(item, sought, arguments.Budget));
        }),
        "copy" => new(name, arguments => WithoutArguments(arguments, name, 1, () => list)),
        _ => Refused(name),
    };

    private static TemplateFunction? Refused(string name) => Changing.Contains(name)
        ? new(name, _ => throw new TemplateFault($"{name}() would change a value, which templates are not allowed to"))
        : null;

    private static object? WithoutArguments(TemplateArguments arguments, string name, int cost, Func<object?> body)
    {
        arguments.Bind(name);
        arguments.Budget.Spend(cost);
        return body();
    }

    private static object? Strip(string self, string name, TemplateArguments arguments)
    {
        var characters = TemplateArguments.TextOrNull(arguments.Bind(name, "chars")[0], name);
        arguments.Budget.SpendCharacters(self.Length);
        return name switch
        {
            "strip" => PythonText.Trim(self, characters),
            "lstrip" => PythonText.TrimStart(self, characters),
            _ => PythonText.TrimEnd(self, characters),
        };
    }

    private static object? Split(string self, string name, TemplateArguments arguments)
    {
        var bound = arguments.Bind(name, "sep", "maxsplit");
        var separator = TemplateArguments.TextOrNull(bound[0], name);
        var most = TemplateArguments.IntegerOr(bound[1], -1, name);
        arguments.Budget.Spend(self.Length);
        if (separator?.Length == 0)
        {
            throw new TemplateFault("split() needs a separator that is not empty");
        }

        IReadOnlyList<string> parts = separator is null ? SplitAtSpace(self, most, fromEnd: name == "rsplit")
            : name == "rsplit" && most >= 0 ? SplitFromEnd(self, separator, most) : SplitAt(self, separator, most);
        return parts.ToList<object?>();
    }

    private static string[] SplitAt(string self, string separator, long most) =>
        self.Split(separator, most < 0 || most >= int.MaxValue ? int.MaxValue : (int)most + 1, StringSplitOptions.None);

    private static List<string> SplitFromEnd(string self, string separator, long most)
    {
        var parts = new List<string>();
        var end = self.Length;
        for (; most > 0; most--)
        {
            var at = end < separator.Length ? -1 : self.LastIndexOf(separator, end - 1, StringComparison.Ordinal);
            if (at < 0)
            {
                break;
            }

            parts.Insert(0, self[(at + separator.Length)..end]);
            end = at;
        }

        parts.Insert(0, self[..end]);
        return parts;
    }

    private static List<string> SplitAtSpace(string self, long most, bool fromEnd)
    {
        var words = new List<(int Start, int End)>();
        for (var index = 0; index < self.Length; index++)
        {
            if (!PythonText.IsSpace(self[index]))
            {
                var start = index;
                while (index < self.Length && !PythonText.IsSpace(self[index]))
                {
                    index++;
                }

                words.Add((start, index));
            }
        }

        if (most < 0 || words.Count <= most + 1)
        {
            return [.. words.Select(word => self[word.Start..word.End])];
        }

        var kept = (int)most;
        return fromEnd
            ? [self[..words[^(kept + 1)].End].TrimStart(), .. words.Skip(words.Count - kept).Select(word => self[word.Start..word.End])]
            : [.. words.Take(kept).Select(word => self[word.Start..word.End]), PythonText.TrimEnd(self[words[kept].Start..], null)];
    }

    private static object? SplitLines(string self, string name, TemplateArguments arguments)
    {
        var keepEnds = arguments.Bind(name, "keepends")[0] is var keep && TemplateArguments.IsGiven(keep) && PythonValue.IsTrue(keep);
        arguments.Budget.Spend(self.Length);
        var lines = new List<object?>();
        var start = 0;
        while (start < self.Length)
        {
            var end = self.AsSpan(start).IndexOfAny(LineEnds);
            if (end < 0)
            {
                lines.Add(self[start..]);
                break;
            }

            end += start;
            var after = end + (self[end] == '\r' && end + 1 < self.Length && self[end + 1] == '\n' ? 2 : 1);
            lines.Add(self[start..(keepEnds ? after : end)]);
            start = after;
        }

        return lines;
    }

    private static object? StartsOrEnds(string self, string name, TemplateArguments arguments)
    {
        var given = arguments.Bind(name, "prefix")[0];
        var affixes = given is TemplateTuple several ? several : (IReadOnlyList<object?>)[given];
        return affixes.Any(affix => name == "startswith"
            ? self.StartsWith(TemplateArguments.Text(affix, name), StringComparison.Ordinal)
            : self.EndsWith(TemplateArguments.Text(affix, name), StringComparison.Ordinal));
    }

    private static object? Case(string self, string name, TemplateArguments arguments)
    {
        arguments.Bind(name);
        arguments.Budget.SpendCharacters(self.Length);
        return name switch
        {
            "upper" => self.ToUpperInvariant(),
            "lower" or "casefold" => self.ToLowerInvariant(),
            "capitalize" => Capitalize(self),
            "swapcase" => string.Concat(self.Select(letter => char.IsUpper(letter) ? char.ToLowerInvariant(letter) : char.ToUpperInvariant(letter))),
            _ => Title(self),
        };
    }

    public static string Capitalize(string text) => text.Length == 0 ? text : char.ToUpperInvariant(text[0]) + text[1..].ToLowerInvariant();

    /// <summary>Every run of letters begins with a capital.</summary>
    private static string Title(string text)
    {
        var output = new StringBuilder(text.Length);
        var inWord = false;
        foreach (var letter in text)
        {
            output.Append(inWord ? char.ToLowerInvariant(letter) : char.ToUpperInvariant(letter));
            inWord = char.IsLetter(letter);
        }

        return output.ToString();
    }

    private static object? Replace(string self, string name, TemplateArguments arguments)
    {
        var bound = arguments.Bind(name, "old", "new", "count");
        return Replace(self, TemplateArguments.Text(bound[0], name), TemplateArguments.Text(bound[1], name), TemplateArguments.IntegerOr(bound[2], -1, name), arguments.Budget);
    }

    /// <summary>Replaces the first <paramref name="most"/> occurrences; all where it is negative.</summary>
    public static string Replace(string self, string old, string replacement, long most, TemplateBudget budget)
    {
        var limit = most < 0 ? long.MaxValue : most;
        var output = new StringBuilder();
        var start = 0;
        budget.SpendCharacters(self.Length);
        while (limit > 0 && start <= self.Length)
        {
            // An empty string is found before every code point and at the end.
            var at = old.Length > 0 ? self.IndexOf(old, start, StringComparison.Ordinal) : start;
            if (at < 0)
            {
                break;
            }

            output.Append(self, start, at - start).Append(replacement);
            budget.SpendCharacters(Math.Max(replacement.Length, output.Length > budget.MaxCharacters ? output.Length : 0));
            limit--;
            start = at + old.Length;
            if (old.Length == 0)
            {
                var step = start + 1 < self.Length && char.IsSurrogatePair(self, start) ? 2 : 1;
                output.Append(self, start, Math.Min(step, self.Length - start));
                start += step;
            }
        }

        if (start < self.Length)
        {
            output.Append(self, start, self.Length - start);
        }

        return output.ToString();
    }

    private static object? Join(string self, string name, TemplateArguments arguments)
    {
        var items = PythonValue.Items(arguments.Bind(name, "iterable")[0], arguments.Budget);
        return Join(self, [.. items.Select(item => TemplateArguments.Text(item, name))], arguments.Budget);
    }

    public static string Join(string separator, IReadOnlyList<string> parts, TemplateBudget budget)
    {
        budget.SpendCharacters(parts.Sum(part => (long)part.Length) + PythonOperators.ClampedProduct(parts.Count, separator.Length));
        return string.Join(separator, parts);
    }

    /// <summary>Replaces <c>{}</c>, <c>{0}</c> and <c>{name}</c>; formats after a colon are not known here.</summary>
    private static object? Format(string self, string name, TemplateArguments arguments)
    {
        var output = new StringBuilder();
        var next = 0;
        for (var index = 0; index < self.Length; index++)
        {
            var unit = self[index];
            if (unit is '{' or '}' && index + 1 < self.Length && self[index + 1] == unit)
            {
                output.Append(unit);
                index++;
            }
            else if (unit == '{')
            {
                var close = self.IndexOf('}', index);
                var field = close < 0 ? throw new TemplateFault("format(): '{' without '}'") : self[(index + 1)..close];
                if (field.AsSpan().IndexOfAny(":!.[") >= 0)
                {
                    throw new TemplateFault(TemplateErrors.Unsupported, "format() with a format of its own, or with an attribute, is not supported");
                }

                object? value;
                if (field.Length == 0 || char.IsAsciiDigit(field[0]))
                {
                    var at = field.Length == 0 ? next++ : int.TryParse(field, out var number) ? number : int.MaxValue;
                    value = at < arguments.Positional.Count ? arguments.Positional[at] : throw new TemplateFault("format(): not enough values");
                }
                else
                {
                    value = arguments.Named.TryGetValue(field, out var named) ? named : throw new TemplateFault($"format(): no value is named '{field}'");
                }

                var text = PythonValue.Print(value, arguments.Budget);
                arguments.Budget.SpendCharacters(output.Length + (long)text.Length);
                output.Append(text);
                index = close;
            }
            else if (unit == '}')
            {
                throw new TemplateFault("format(): '}' without '{'");
            }
            else
            {
                output.Append(unit);
            }
        }

        return output.ToString();
    }

    private static object? Find(string self, string name, TemplateArguments arguments)
    {
        var bound = arguments.Bind(name, "sub", "start", "end");
        var sought = TemplateArguments.Text(bound[0], name);
        arguments.Budget.SpendCharacters(self.Length);
        var length = PythonText.Length(self);
        var start = Position(TemplateArguments.IntegerOrNull(bound[1], name) ?? 0);
        var end = Position(TemplateArguments.IntegerOrNull(bound[2], name) ?? length);
        var at = -1;
        if (start <= end)
        {
            var window = self.AsSpan()[PythonText.ToUnits(self, start)..PythonText.ToUnits(self, end)];
            var units = name.StartsWith('r') ? window.LastIndexOf(sought, StringComparison.Ordinal) : window.IndexOf(sought, StringComparison.Ordinal);
            at = units < 0 ? -1 : PythonText.ToCodePoints(self, PythonText.ToUnits(self, start) + units);
        }

        return at >= 0 || name.EndsWith("find", StringComparison.Ordinal) ? (long)at : throw new TemplateFault($"{name}(): the text is not found");

        int Position(long given) => (int)Math.Clamp(given < 0 ? given + length : given, 0, length);
    }

    private static object? Count(string self, string name, TemplateArguments arguments)
    {
        var sought = TemplateArguments.Text(arguments.Bind(name, "sub")[0], name);
        arguments.Budget.SpendCharacters(self.Length);
        return sought.Length == 0 ? PythonText.Length(self) + 1L : (self.Length - self.Replace(sought, "", StringComparison.Ordinal).Length) / (long)sought.Length;
    }

    private static object? Remove(string self, string name, TemplateArguments arguments)
    {
        var affix = TemplateArguments.Text(arguments.Bind(name, "affix")[0], name);
        return name == "removeprefix"
            ? self.StartsWith(affix, StringComparison.Ordinal) ? self[affix.Length..] : self
            : self.EndsWith(affix, StringComparison.Ordinal) ? self[..^affix.Length] : self;
    }

    private static object? Partition(string self, string name, TemplateArguments arguments)
    {
        var separator = TemplateArguments.Text(arguments.Bind(name, "sep")[0], name);
        if (separator.Length == 0)
        {
            throw new TemplateFault($"{name}() needs a separator that is not empty");
        }

        var at = name == "partition" ? self.IndexOf(separator, StringComparison.Ordinal) : self.LastIndexOf(separator, StringComparison.Ordinal);
        return new TemplateTuple(at >= 0 ? [self[..at], separator, self[(at + separator.Length)..]] : name == "partition" ? [self, "", ""] : ["", "", self]);
    }

    private static object? Pad(string self, string name, TemplateArguments arguments)
    {
        var bound = name == "zfill" ? arguments.Bind(name, "width") : arguments.Bind(name, "width", "fillchar");
        var width = TemplateArguments.Integer(bound[0], name);
        arguments.Budget.SpendCharacters(Math.Max(width, self.Length));
        if (name == "zfill")
        {
            return PythonOperators.PadZeros(self, (int)width);
        }

        var fill = TemplateArguments.TextOr(bound[1], " ", name);
        if (fill.Length != 1)
        {
            throw new TemplateFault($"{name}() needs one character to fill with");
        }

        return Pad(self, width, name, fill[0]);
    }

    /// <summary>Fills up to a width in code points, as <c>center</c>, <c>ljust</c> and <c>rjust</c> do.</summary>
    public static string Pad(string self, long width, string kind, char fill)
    {
        var missing = (int)Math.Max(0, width - PythonText.Length(self));
        var before = kind switch { "ljust" => 0, "rjust" => missing, _ => (missing / 2) + (missing & (int)width & 1) };
        return new string(fill, before) + self + new string(fill, missing - before);
    }

    private static object? Is(string self, string name, TemplateArguments arguments)
    {
        arguments.Bind(name);
        arguments.Budget.SpendCharacters(self.Length);
        return name switch
        {
            "isdigit" or "isnumeric" or "isdecimal" => self.Length > 0 && self.All(char.IsDigit),
            "isalpha" => self.Length > 0 && self.All(char.IsLetter),
            "isalnum" => self.Length > 0 && self.All(char.IsLetterOrDigit),
            "isspace" => self.Length > 0 && self.All(PythonText.IsSpace),
            "isupper" => IsUpper(self),
            _ => IsLower(self),
        };
    }

    public static bool IsUpper(string text) => text.Any(char.IsUpper) && !text.Any(char.IsLower);

    public static bool IsLower(string text) => text.Any(char.IsLower) && !text.Any(char.IsUpper);
}
