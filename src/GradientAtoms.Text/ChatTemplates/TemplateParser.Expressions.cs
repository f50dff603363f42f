using System.Globalization;

namespace GradientAtoms.Text.ChatTemplates;

/// <summary>Expressions, by Jinja's order of binding: condition, or, and, not, comparison, + -, ~, * / // %, **, sign, filter.</summary>
internal sealed partial class TemplateParser
{
    private TemplateExpression ParseExpression()
    {
        Enter();
        var line = Current.Line;
        var value = ParseOr();
        var chain = 0;
        while (SkipName("if"))
        {
            var test = ParseOr();
            value = new ConditionExpression(line, test, value, SkipName("else") ? ParseExpression() : null);
            chain = Chain(chain);
        }

        depth--;
        return value;
    }

    private TemplateExpression ParseOr() => ParseLogical("or", ParseAnd);

    private TemplateExpression ParseAnd() => ParseLogical("and", ParseNot);

    private TemplateExpression ParseLogical(string name, Func<TemplateExpression> next)
    {
        var left = next();
        var chain = 0;
        while (Current is { Kind: TemplateTokenKind.Name } token && token.Value == name)
        {
            position++;
            left = new BinaryExpression(token.Line, name, left, next());
            chain = Chain(chain);
        }

        return left;
    }

    private TemplateExpression ParseNot()
    {
        var line = Current.Line;
        if (!SkipName("not"))
        {
            return ParseCompare();
        }

        Enter();
        var operand = ParseNot();
        depth--;
        return new UnaryExpression(line, "not", operand);
    }

    private TemplateExpression ParseCompare()
    {
        var line = Current.Line;
        var first = ParseBinary(0);
        var rest = new List<(string, TemplateExpression)>();
        while (true)
        {
            string? found = null;
            if (Current.Kind == TemplateTokenKind.Operator && Current.Value is "==" or "!=" or "<" or "<=" or ">" or ">=")
            {
                found = Take().Value;
            }
            else if (SkipName("in"))
            {
                found = "in";
            }
            else if (IsName("not") && tokens[position + 1] is { Kind: TemplateTokenKind.Name, Value: "in" })
            {
                position += 2;
                found = "not in";
            }

            if (found is null)
            {
                return rest.Count == 0 ? first : new CompareExpression(line, first, rest);
            }

            rest.Add((found, ParseBinary(0)));
        }
    }

    private static readonly string[][] BinaryLevels = [["+", "-"], ["~"], ["*", "/", "//", "%"], ["**"]];

    private TemplateExpression ParseBinary(int level)
    {
        if (level == BinaryLevels.Length)
        {
            return ParseUnary(withFilter: true);
        }

        var left = ParseBinary(level + 1);
        var chain = 0;
        while (Current is { Kind: TemplateTokenKind.Operator } token && BinaryLevels[level].Contains(token.Value, StringComparer.Ordinal))
        {
            position++;
            left = new BinaryExpression(token.Line, token.Value, left, ParseBinary(level + 1));
            chain = Chain(chain);
        }

        return left;
    }

    /// <summary>A chain of operators of one level leans to the left, as deep as it is long.</summary>
    private int Chain(int length) => ++length <= 500 ? length : throw Fault(Current.Line, "an expression that is too long");

    private TemplateExpression ParseUnary(bool withFilter)
    {
        var token = Current;
        TemplateExpression value;
        if (token is { Kind: TemplateTokenKind.Operator, Value: "-" or "+" })
        {
            position++;
            Enter();
            value = new UnaryExpression(token.Line, token.Value, ParseUnary(withFilter: false));
            depth--;
        }
        else
        {
            value = ParsePrimary();
        }

        value = ParsePostfix(value);
        return withFilter ? ParseFilters(value) : value;
    }

    private TemplateExpression ParsePrimary()
    {
        var token = Current;
        position++;
        switch (token.Kind)
        {
            case TemplateTokenKind.Name:
                return token.Value switch
                {
                    "true" or "True" => new ConstantExpression(token.Line, true),
                    "false" or "False" => new ConstantExpression(token.Line, false),
                    "none" or "None" => new ConstantExpression(token.Line, null),
                    _ => new NameExpression(token.Line, token.Value),
                };
            case TemplateTokenKind.Text:
                var parts = new List<string> { token.Value };
                while (Current.Kind == TemplateTokenKind.Text)
                {
                    parts.Add(Take().Value);
                }

                return new ConstantExpression(token.Line, string.Concat(parts));
            case TemplateTokenKind.Integer:
                return new ConstantExpression(token.Line, long.Parse(token.Value, CultureInfo.InvariantCulture));
            case TemplateTokenKind.Float:
                return new ConstantExpression(token.Line, double.Parse(token.Value, CultureInfo.InvariantCulture));
            case TemplateTokenKind.Operator when token.Value == "(":
                var inner = IsOperator(")") ? new TupleExpression(token.Line, []) : ParseTuple(withCondition: true);
                ExpectOperator(")");
                return inner;
            case TemplateTokenKind.Operator when token.Value == "[":
                return new ListExpression(token.Line, ParseItems("]", ParseExpression));
            case TemplateTokenKind.Operator when token.Value == "{":
                return new MapExpression(token.Line, ParseItems("}", () =>
                {
                    var key = ParseExpression();
                    ExpectOperator(":");
                    return (key, ParseExpression());
                }));
            default:
                position--;
                throw Unexpected();
        }
    }

    private List<T> ParseItems<T>(string close, Func<T> next)
    {
        var items = new List<T>();
        while (!SkipOperator(close))
        {
            if (items.Count > 0)
            {
                ExpectOperator(",");
                if (SkipOperator(close))
                {
                    break;
                }
            }

            items.Add(next());
        }

        return items;
    }

    /// <summary>One expression, or several with commas between: a tuple.</summary>
    private TemplateExpression ParseTuple(bool withCondition, params string[] endNames)
    {
        var line = Current.Line;
        var items = new List<TemplateExpression>();
        var isTuple = false;
        while (true)
        {
            var atEnd = Current.Kind is TemplateTokenKind.VariableEnd or TemplateTokenKind.BlockEnd || IsOperator(")") || endNames.Any(IsName);
            if (atEnd && items.Count > 0)
            {
                break;
            }

            if (withCondition)
            {
                items.Add(ParseExpression());
            }
            else
            {
                Enter();
                items.Add(ParseOr());
                depth--;
            }

            if (!SkipOperator(","))
            {
                break;
            }

            isTuple = true;
        }

        return isTuple ? new TupleExpression(line, items) : items[0];
    }

    /// <summary>What a loop or a set assigns to: names, a tuple of names, or an attribute of a namespace.</summary>
    private TemplateExpression ParseTarget(string before)
    {
        var line = Current.Line;
        var items = new List<TemplateExpression>();
        var isTuple = false;
        while (items.Count == 0 || !(IsName(before) || IsOperator(before)))
        {
            if (SkipOperator("("))
            {
                Enter();
                items.Add(ParseTarget(")"));
                depth--;
                ExpectOperator(")");
            }
            else
            {
                var name = new NameExpression(Current.Line, ExpectIdentifier());
                items.Add(before == "=" && SkipOperator(".") ? new AttributeExpression(name.Line, name, ExpectIdentifier()) : name);
            }

            if (!SkipOperator(","))
            {
                break;
            }

            isTuple = true;
        }

        return isTuple ? new TupleExpression(line, items) : items[0];
    }

    private TemplateExpression ParsePostfix(TemplateExpression value)
    {
        var chain = 0;
        while (Current.Kind == TemplateTokenKind.Operator && Current.Value is "." or "[" or "(")
        {
            var token = Take();
            chain = Chain(chain);
            value = token.Value switch
            {
                "." => ParseAttribute(value, token.Line),
                "[" => ParseSubscript(value, token.Line),
                _ => new CallExpression(token.Line, value, ParseArguments()),
            };
        }

        return value;
    }

    private TemplateExpression ParseAttribute(TemplateExpression value, int line)
    {
        var token = Take();
        return token.Kind switch
        {
            TemplateTokenKind.Name => new AttributeExpression(line, value, token.Value),
            TemplateTokenKind.Integer => new ItemExpression(line, value, new ConstantExpression(line, long.Parse(token.Value, CultureInfo.InvariantCulture))),
            _ => throw Fault(line, "a name or a number was expected after '.'"),
        };
    }

    private ItemExpression ParseSubscript(TemplateExpression value, int line)
    {
        var items = new List<TemplateExpression>();
        while (items.Count == 0 || SkipOperator(","))
        {
            items.Add(ParseIndex());
        }

        ExpectOperator("]");
        return new(line, value, items.Count == 1 ? items[0] : new TupleExpression(line, items));
    }

    private TemplateExpression ParseIndex()
    {
        var line = Current.Line;
        var start = IsOperator(":") ? null : ParseExpression();
        if (!SkipOperator(":"))
        {
            return start!;
        }

        var stop = IsOperator(":") || IsOperator("]") || IsOperator(",") ? null : ParseExpression();
        var step = SkipOperator(":") && !IsOperator("]") && !IsOperator(",") ? ParseExpression() : null;
        return new SliceExpression(line, start, stop, step);
    }

    private CallArguments ParseArguments()
    {
        var positional = new List<TemplateExpression>();
        var named = new List<(string, TemplateExpression)>();
        TemplateExpression? spread = null;
        TemplateExpression? namedSpread = null;
        ParseItems(")", () =>
        {
            if (SkipOperator("**"))
            {
                namedSpread = ParseExpression();
            }
            else if (SkipOperator("*"))
            {
                spread = ParseExpression();
            }
            else if (Current.Kind == TemplateTokenKind.Name && tokens[position + 1] is { Kind: TemplateTokenKind.Operator, Value: "=" })
            {
                var name = Take().Value;
                position++;
                named.Add((name, ParseExpression()));
            }
            else if (named.Count > 0 || spread is not null || namedSpread is not null)
            {
                throw Fault(Current.Line, "an argument without a name follows a named one");
            }
            else
            {
                positional.Add(ParseExpression());
            }

            return true;
        });
        return new(positional, named, spread, namedSpread);
    }

    private TemplateExpression ParseFilters(TemplateExpression value)
    {
        var chain = 0;
        while (true)
        {
            var line = Current.Line;
            if (SkipOperator("|"))
            {
                value = new FilterExpression(line, value, ParseFilterName());
            }
            else if (SkipName("is"))
            {
                value = ParseTest(value, line);
            }
            else if (SkipOperator("("))
            {
                value = new CallExpression(line, value, ParseArguments());
            }
            else
            {
                return value;
            }

            chain = Chain(chain);
        }
    }

    private CallOf ParseFilterName()
    {
        var line = Current.Line;
        var name = ParseDottedName();
        if (!TemplateFilters.IsKnown(name))
        {
            throw TemplateErrors.NotKnown(location, line, $"the filter '{name}' is not known");
        }

        return new(line, name, SkipOperator("(") ? ParseArguments() : CallArguments.None);
    }

    private string ParseDottedName()
    {
        var name = ExpectIdentifier();
        while (SkipOperator("."))
        {
            name += "." + ExpectIdentifier();
        }

        return name;
    }

    private TemplateExpression ParseTest(TemplateExpression value, int line)
    {
        var negated = SkipName("not");
        var name = ParseDottedName();
        if (!TemplateTests.IsKnown(name))
        {
            throw TemplateErrors.NotKnown(location, line, $"the test '{name}' is not known");
        }

        var arguments = CallArguments.None;
        if (SkipOperator("("))
        {
            arguments = ParseArguments();
        }
        else if (Current.Kind is TemplateTokenKind.Name or TemplateTokenKind.Text or TemplateTokenKind.Integer or TemplateTokenKind.Float || IsOperator("[") || IsOperator("{"))
        {
            if (IsName("is"))
            {
                throw Fault(Current.Line, "tests cannot be chained with 'is'");
            }

            if (!IsName("else") && !IsName("or") && !IsName("and") && !IsName("if") && !IsName("in") && !IsName("not"))
            {
                arguments = new([ParsePostfix(ParsePrimary())], [], null, null);
            }
        }

        TemplateExpression test = new TestExpression(line, value, new(line, name, arguments));
        return negated ? new UnaryExpression(line, "not", test) : test;
    }
}
