using System.Globalization;
using System.Text;

namespace GradientAtoms.Text.ChatTemplates;

/// <summary>Runs a template's statements; <c>TemplateEvaluator.Expressions.cs</c> has the expressions. One object a rendering.</summary>
internal sealed partial class TemplateEvaluator
{
    private readonly List<(int Start, int End)> generationSpans = [];
    private StringBuilder output = new();
    private Scope scope;
    private int captures;

    private TemplateEvaluator(Dictionary<string, object?> variables, TemplateLimits limits)
    {
        Budget = new(limits);
        scope = new(null, variables);
    }

    /// <summary>What an ended statement means for the loop around it.</summary>
    private enum Flow
    {
        Next,
        Break,
        Continue,
    }

    public TemplateBudget Budget { get; }

    /// <summary>The line that is being run, for error messages.</summary>
    private int Line { get; set; }

    /// <summary>Runs a template.</summary>
    /// <param name="body">The parsed template.</param>
    /// <param name="variables">What it is given; becomes its outermost scope.</param>
    /// <param name="limits">How much it may spend.</param>
    /// <param name="location">The template's name, for error messages.</param>
    public static TemplateRendering Run(IReadOnlyList<TemplateStatement> body, Dictionary<string, object?> variables, TemplateLimits limits, string location)
    {
        var evaluator = new TemplateEvaluator(variables, limits);
        try
        {
            evaluator.scope = new(evaluator.scope, []);
            evaluator.Run(body);
            return new(evaluator.output.ToString(), evaluator.generationSpans);
        }
        catch (TemplateFault fault)
        {
            throw TemplateErrors.From(fault, location, evaluator.Line);
        }
    }

    private Flow Run(IReadOnlyList<TemplateStatement> body)
    {
        foreach (var statement in body)
        {
            if (Run(statement) is not Flow.Next and var flow)
            {
                return flow;
            }
        }

        return Flow.Next;
    }

    private Flow Run(TemplateStatement statement)
    {
        Line = statement.Line;
        Budget.Spend(1);
        Budget.Enter();
        var flow = Flow.Next;
        switch (statement)
        {
            case DataStatement data:
                Write(data.Text);
                break;
            case OutputStatement written:
                Write(PythonValue.Print(Evaluate(written.Value), Budget));
                break;
            case IfStatement branches:
                flow = RunIf(branches);
                break;
            case ForStatement loop:
                RunLoop(loop, Evaluate(loop.Items), 0);
                break;
            case SetStatement set:
                Assign(set.Target, Evaluate(set.Value));
                break;
            case SetBlockStatement set:
                Assign(set.Target, Filtered(set.Filters, Captured(() => InScope(new(scope), () => Run(set.Body)))));
                break;
            case FilterBlockStatement filtered:
                Write(PythonValue.Print(Filtered(filtered.Filters, Captured(() => InScope(new(scope), () => Run(filtered.Body)))), Budget));
                break;
            case WithStatement with:
                var inner = new Scope(scope);
                foreach (var (target, value) in with.Assignments)
                {
                    inner.Variables[((NameExpression)target).Name] = Evaluate(value);
                }

                flow = InScope(inner, () => Run(with.Body));
                break;
            case MacroStatement macro:
                scope.Variables[macro.Name] = MacroFunction(macro.Name, macro.Parameters, macro.Body, scope);
                break;
            case CallBlockStatement call:
                Write(PythonValue.Print(Call(call.Call, MacroFunction("caller", call.Parameters, call.Body, scope)), Budget));
                break;
            case GenerationStatement generation:
                var start = output.Length;
                flow = InScope(new(scope), () => Run(generation.Body));
                if (captures == 0)
                {
                    generationSpans.Add((start, output.Length));
                }

                break;
            case BreakStatement:
                flow = Flow.Break;
                break;
            case ContinueStatement:
                flow = Flow.Continue;
                break;
        }

        Budget.Leave();
        return flow;
    }

    private Flow RunIf(IfStatement statement)
    {
        foreach (var (test, body) in statement.Branches)
        {
            if (PythonValue.IsTrue(Evaluate(test)))
            {
                return Run(body);
            }
        }

        return Run(statement.Otherwise);
    }

    private void RunLoop(ForStatement loop, object? iterable, int depth)
    {
        var outer = scope;
        var items = PythonValue.Items(iterable, Budget);
        if (loop.Test is { } test)
        {
            items = [.. items.Where(item =>
            {
                scope = new(outer);
                Assign(loop.Target, item);
                var kept = PythonValue.IsTrue(Evaluate(test));
                scope = outer;
                return kept;
            })];
        }

        var recurse = loop.IsRecursive ? new TemplateFunction("loop", arguments =>
        {
            var before = scope;
            scope = outer;
            Budget.Enter();
            var text = Captured(() => RunLoop(loop, arguments.Bind("loop", "iterable")[0], depth + 1));
            Budget.Leave();
            scope = before;
            return text;
        }) : null;
        var state = new TemplateLoop(items, depth, recurse);
        for (var index = 0; index < items.Count; index++)
        {
            Budget.Spend(1);
            state.Index = index;
            scope = new(outer); // a new one for every round: nothing that a round sets lasts
            scope.Variables["loop"] = state;
            Assign(loop.Target, items[index]);
            if (Run(loop.Body) == Flow.Break)
            {
                break;
            }
        }

        scope = outer;
        if (items.Count == 0)
        {
            InScope(new(outer), () => Run(loop.Otherwise));
        }
    }

    private void Assign(TemplateExpression target, object? value)
    {
        switch (target)
        {
            case NameExpression name:
                scope.Variables[name.Name] = value;
                break;
            case AttributeExpression { Target: NameExpression name } attribute:
                if (scope.Find(name.Name, out var found) && found is TemplateNamespace names)
                {
                    names.Attributes[attribute.Name] = value;
                    break;
                }

                throw new TemplateFault($"an attribute can be set on a namespace only, and '{name.Name}' is none");
            case TupleExpression tuple:
                var items = PythonValue.Items(value, Budget);
                if (items.Count != tuple.Items.Count)
                {
                    throw new TemplateFault($"{tuple.Items.Count} names cannot take {items.Count} values");
                }

                for (var index = 0; index < items.Count; index++)
                {
                    Assign(tuple.Items[index], items[index]);
                }

                break;
        }
    }

    private TemplateFunction MacroFunction(string name, IReadOnlyList<MacroParameter> parameters, IReadOnlyList<TemplateStatement> body, Scope home) => new(name, arguments =>
    {
        var inner = new Scope(home);
        for (var index = 0; index < parameters.Count; index++)
        {
            var parameter = parameters[index];
            if (index < arguments.Positional.Count)
            {
                inner.Variables[parameter.Name] = arguments.Positional[index];
            }
            else if (arguments.Named.TryGetValue(parameter.Name, out var named))
            {
                inner.Variables[parameter.Name] = named;
            }
            else
            {
                inner.Variables[parameter.Name] = parameter.Default is { } standard
                    ? InScope(inner, () => Evaluate(standard))
                    : new Undefined($"parameter '{parameter.Name}' was not provided");
            }
        }

        var others = new TemplateMap();
        foreach (var (key, value) in arguments.Named.Where(pair => !parameters.Any(parameter => parameter.Name == pair.Key)))
        {
            others[key] = value;
        }

        inner.Variables.TryAdd("varargs", new TemplateTuple([.. arguments.Positional.Skip(parameters.Count)]));
        inner.Variables.TryAdd("kwargs", others);
        if (others.TryGetValue("caller", out var caller))
        {
            inner.Variables["caller"] = caller;
        }

        var line = Line;
        Budget.Enter();
        var text = Captured(() => InScope(inner, () => Run(body)));
        Budget.Leave();
        Line = line;
        return text;
    });

    private object? Filtered(IReadOnlyList<CallOf> filters, object? value)
    {
        foreach (var filter in filters)
        {
            value = TemplateFilters.Apply(filter.Name, value, Arguments(filter.Arguments));
        }

        return value;
    }

    private T InScope<T>(Scope inner, Func<T> body)
    {
        (var outer, scope) = (scope, inner);
        var result = body();
        scope = outer;
        return result;
    }

    /// <summary>The text that a body writes, instead of writing it.</summary>
    private string Captured(Action body)
    {
        (var outer, output) = (output, new());
        captures++;
        body();
        captures--;
        var text = output.ToString();
        output = outer;
        return text;
    }

    private void Write(string text)
    {
        Budget.SpendCharacters((long)text.Length);
        if ((long)output.Length + text.Length > Budget.MaxCharacters)
        {
            throw new TemplateFault(TemplateErrors.OverLimit, $"the template writes more than {Budget.MaxCharacters.ToString(CultureInfo.InvariantCulture)} characters");
        }

        output.Append(text);
    }

    /// <summary>Names and their values; an inner scope sees the outer ones, and sets only its own.</summary>
    private sealed class Scope(Scope? outer, Dictionary<string, object?> variables)
    {
        public Scope(Scope outer)
            : this(outer, new(StringComparer.Ordinal))
        {
        }

        public Dictionary<string, object?> Variables { get; } = variables;

        public bool Find(string name, out object? value)
        {
            for (var at = this; at is not null; at = at.Outer)
            {
                if (at.Variables.TryGetValue(name, out value))
                {
                    return true;
                }
            }

            value = null;
            return false;
        }

        private Scope? Outer { get; } = outer;
    }
}

/// <summary>What a template wrote.</summary>
/// <param name="Text">The whole text.</param>
/// <param name="GenerationSpans">Where its <c>{% generation %}</c> blocks are, in UTF-16 units: from, up to.</param>
internal sealed record TemplateRendering(string Text, IReadOnlyList<(int Start, int End)> GenerationSpans);
