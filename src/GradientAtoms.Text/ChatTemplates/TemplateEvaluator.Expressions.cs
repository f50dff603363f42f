using System.Globalization;

namespace GradientAtoms.Text.ChatTemplates;

/// <summary>Values of expressions.</summary>
internal sealed partial class TemplateEvaluator
{
    private object? Evaluate(TemplateExpression expression)
    {
        Budget.Spend(1);
        Budget.Enter();
        Line = expression.Line;
        var value = expression switch
        {
            ConstantExpression constant => constant.Value,
            NameExpression name => Look(name.Name),
            ListExpression list => list.Items.Select(Evaluate).ToList(),
            TupleExpression tuple => new TemplateTuple(tuple.Items.Select(Evaluate).ToList()),
            MapExpression map => NewMap(map),
            AttributeExpression attribute => Attribute(Evaluate(attribute.Target), attribute.Name),
            ItemExpression { Index: SliceExpression slice } item => PythonOperators.Slice(
                Evaluate(item.Target), Optional(slice.Start), Optional(slice.Stop), Optional(slice.Step), Budget),
            ItemExpression item => Item(Evaluate(item.Target), Evaluate(item.Index)),
            CallExpression call => Call(call, caller: null),
            FilterExpression filter => Filtered([filter.Filter], Evaluate(filter.Target)),
            TestExpression test => TemplateTests.Apply(test.Test.Name, Evaluate(test.Target), Arguments(test.Test.Arguments)),
            UnaryExpression { Operator: "not" } not => !PythonValue.IsTrue(Evaluate(not.Operand)),
            UnaryExpression sign => PythonOperators.Negate(Evaluate(sign.Operand), sign.Operator),
            BinaryExpression { Operator: "and" } and => Evaluate(and.Left) is var left && !PythonValue.IsTrue(left) ? left : Evaluate(and.Right),
            BinaryExpression { Operator: "or" } or => Evaluate(or.Left) is var left && PythonValue.IsTrue(left) ? left : Evaluate(or.Right),
            BinaryExpression binary => PythonOperators.Apply(binary.Operator, Evaluate(binary.Left), Evaluate(binary.Right), Budget),
            CompareExpression compare => Compare(compare),
            ConditionExpression condition => Choose(condition),
            _ => throw new TemplateFault("a slice can stand only alone between brackets"),
        };
        Line = expression.Line;
        Budget.Leave();
        return value;
    }

    private object? Optional(TemplateExpression? expression) => expression is null ? null : Evaluate(expression);

    private object? Look(string name) => scope.Find(name, out var value) ? value : new Undefined(name == "strftime_now"
        ? "the template asks for the current date (strftime_now), and none was given"
        : $"'{name}' is undefined");

    private TemplateMap NewMap(MapExpression expression)
    {
        var map = new TemplateMap();
        foreach (var (key, value) in expression.Items)
        {
            map[PythonValue.Key(Evaluate(key))] = Evaluate(value);
        }

        return map;
    }

    private object? Choose(ConditionExpression condition) => PythonValue.IsTrue(Evaluate(condition.Test))
        ? Evaluate(condition.Then)
        : condition.Otherwise is { } otherwise
            ? Evaluate(otherwise)
            : new Undefined("an if without else, in an expression, was false");

    private object Compare(CompareExpression expression)
    {
        var left = Evaluate(expression.First);
        foreach (var (symbol, operand) in expression.Rest)
        {
            var right = Evaluate(operand);
            var holds = symbol switch
            {
                "==" => PythonValue.AreEqual(left, right, Budget),
                "!=" => !PythonValue.AreEqual(left, right, Budget),
                "in" => PythonValue.Contains(right, left, Budget),
                "not in" => !PythonValue.Contains(right, left, Budget),
                "<" => PythonValue.Compare(left, right, Budget) < 0,
                "<=" => PythonValue.Compare(left, right, Budget) <= 0,
                ">" => PythonValue.Compare(left, right, Budget) > 0,
                _ => PythonValue.Compare(left, right, Budget) >= 0,
            };
            if (!holds)
            {
                return false;
            }

            left = right;
        }

        return true;
    }

    /// <summary><c>value.name</c>: an attribute or a method, else the item of that name.</summary>
    private object? Attribute(object? value, string name)
    {
        PythonValue.FailIfUndefined(value);
        return Own(value, name, out var found) || PythonOperators.TryItem(value, name, Budget, out found) ? found : Missing(value, name);
    }

    /// <summary><c>value[index]</c>: an item, else the attribute of that name; undefined where there is neither.</summary>
    public object? Item(object? value, object? index)
    {
        PythonValue.FailIfUndefined(value);
        return PythonOperators.TryItem(value, index, Budget, out var found) || (index is string name && Own(value, name, out found)) ? found : Missing(value, index);
    }

    /// <summary>An attribute or a method, never an item.</summary>
    public object? AttributeOnly(object? value, string name)
    {
        PythonValue.FailIfUndefined(value);
        return Own(value, name, out var found) ? found : Missing(value, name);
    }

    private bool Own(object? value, string name, out object? found)
    {
        switch (value)
        {
            case TemplateNamespace names:
                return names.Attributes.TryGetValue(name, out found);
            case TemplateLoop loop:
                found = loop.Attribute(name, Budget);
                return true;
            default:
                found = PythonMethods.Find(value, name);
                return found is not null;
        }
    }

    private static Undefined Missing(object? value, object? index) => new(index switch
    {
        string name => $"{PythonValue.TypeName(value)} has no '{name}'",
        long position => $"{PythonValue.TypeName(value)} has no item {position.ToString(CultureInfo.InvariantCulture)}",
        _ => $"{PythonValue.TypeName(value)} has no such item",
    });

    private object? Call(CallExpression call, TemplateFunction? caller)
    {
        var target = Evaluate(call.Target);
        var function = target switch
        {
            TemplateFunction named => named,
            TemplateLoop { Recurse: { } recurse } => recurse,
            _ => null,
        };
        PythonValue.FailIfUndefined(target);
        if (function is null)
        {
            throw new TemplateFault($"{PythonValue.TypeName(target)} cannot be called");
        }

        var arguments = Arguments(call.Arguments);
        Line = call.Line;
        if (caller is not null)
        {
            arguments = new(arguments.Positional, new Dictionary<string, object?>(arguments.Named, StringComparer.Ordinal) { ["caller"] = caller }, this);
        }

        return function.Call(arguments);
    }

    private TemplateArguments Arguments(CallArguments written)
    {
        if (ReferenceEquals(written, CallArguments.None))
        {
            return new([], TemplateArguments.NoNames, this);
        }

        var positional = written.Positional.Select(Evaluate).ToList();
        if (written.Spread is { } spread)
        {
            positional.AddRange(PythonValue.Items(Evaluate(spread), Budget));
        }

        if (written.Named.Count == 0 && written.NamedSpread is null)
        {
            return new(positional, TemplateArguments.NoNames, this);
        }

        var named = new Dictionary<string, object?>(StringComparer.Ordinal);
        foreach (var (name, value) in written.Named)
        {
            named[name] = Evaluate(value);
        }

        if (written.NamedSpread is { } namedSpread)
        {
            foreach (var (key, value) in Evaluate(namedSpread) as TemplateMap ?? throw new TemplateFault("'**' needs a dictionary"))
            {
                named[key as string ?? throw new TemplateFault("'**' needs names that are strings")] = value;
            }
        }

        return new(positional, named, this);
    }
}
