using System.Collections;

namespace GradientAtoms.Text.ChatTemplates;

// The values of a template are Python's: null is None; bool, long, double and string are themselves; a list is
// List<object?>; the rest is here. Lists and dictionaries never change once a template can see them (as in the sandbox
// that chat templates run in), so only a namespace can make a cycle.

/// <summary>A name, key or attribute that does not exist: prints as nothing, is false, and fails in nearly every operation.</summary>
internal sealed class Undefined(string reason)
{
    /// <summary>Why it is undefined: the message where something is done with it.</summary>
    public string Reason { get; } = reason;
}

/// <summary>A tuple.</summary>
internal sealed class TemplateTuple(IReadOnlyList<object?> items) : IReadOnlyList<object?>
{
    public int Count => items.Count;

    public object? this[int index] => items[index];

    public IEnumerator<object?> GetEnumerator() => items.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => items.GetEnumerator();
}

/// <summary>A dictionary in the order of insertion. Keys: strings, numbers, booleans.</summary>
internal sealed class TemplateMap() : OrderedDictionary<object, object?>(KeyComparer.Instance)
{
    private sealed class KeyComparer : IEqualityComparer<object>
    {
        public static readonly KeyComparer Instance = new();

        public new bool Equals(object? x, object? y) =>
            x is string || y is string ? x is string left && y is string right && string.Equals(left, right, StringComparison.Ordinal) : Number(x!) == Number(y!);

        public int GetHashCode(object obj) => obj is string text ? string.GetHashCode(text, StringComparison.Ordinal) : Number(obj).GetHashCode();

        // True, 1 and 1.0 are one key.
        private static double Number(object key) => key switch { bool flag => flag ? 1 : 0, long whole => whole, double real => real, _ => double.NaN };
    }
}

/// <summary>What filters such as <c>select</c> give: can be gone through once, is always true, has no length.</summary>
internal sealed class TemplateIterator(List<object?> items)
{
    private List<object?> left = items;

    public List<object?> TakeAll()
    {
        (var all, left) = (left, []);
        return all;
    }

    public bool TryTake(out object? item)
    {
        item = left.Count > 0 ? left[0] : null;
        var found = left.Count > 0;
        left = found ? left[1..] : left;
        return found;
    }
}

/// <summary><c>namespace()</c>: attributes that can be assigned from inside of a loop.</summary>
internal sealed class TemplateNamespace
{
    public Dictionary<string, object?> Attributes { get; } = new(StringComparer.Ordinal);
}

/// <summary>A function, a macro, or a method bound to its value.</summary>
internal sealed class TemplateFunction(string name, Func<TemplateArguments, object?> body)
{
    public string Name { get; } = name;

    public object? Call(TemplateArguments arguments) => body(arguments);
}

/// <summary><c>loop</c> inside of a for.</summary>
internal sealed class TemplateLoop(IReadOnlyList<object?> items, int depth, TemplateFunction? recurse)
{
    private object? lastChanged = TemplateArguments.Missing;

    public int Index { get; set; }

    public TemplateFunction? Recurse { get; } = recurse;

    public object? Attribute(string name, TemplateBudget budget) => name switch
    {
        "index" => Index + 1L,
        "index0" => (long)Index,
        "revindex" => (long)items.Count - Index,
        "revindex0" => (long)items.Count - Index - 1,
        "first" => Index == 0,
        "last" => Index == items.Count - 1,
        "length" => (long)items.Count,
        "depth" => depth + 1L,
        "depth0" => (long)depth,
        "previtem" => Index > 0 ? items[Index - 1] : new Undefined("there is no previous item"),
        "nextitem" => Index + 1 < items.Count ? items[Index + 1] : new Undefined("there is no next item"),
        "cycle" => new TemplateFunction("cycle", arguments => arguments.Positional.Count > 0
            ? arguments.Positional[Index % arguments.Positional.Count]
            : throw new TemplateFault("no items for cycling given")),
        "changed" => new TemplateFunction("changed", arguments =>
        {
            var now = new TemplateTuple(arguments.Positional);
            var same = lastChanged is TemplateTuple before && PythonValue.AreEqual(before, now, budget);
            lastChanged = now;
            return !same;
        }),
        _ => new Undefined($"the loop has no attribute '{name}'"),
    };
}

/// <summary>What a call is given.</summary>
internal sealed class TemplateArguments(IReadOnlyList<object?> positional, IReadOnlyDictionary<string, object?> named, TemplateEvaluator evaluator)
{
    /// <summary>Stands where an argument was not given.</summary>
    public static readonly object Missing = new();

    public static readonly IReadOnlyDictionary<string, object?> NoNames = new Dictionary<string, object?>(StringComparer.Ordinal);

    public IReadOnlyList<object?> Positional { get; } = positional;

    public IReadOnlyDictionary<string, object?> Named { get; } = named;

    public TemplateEvaluator Evaluator { get; } = evaluator;

    public TemplateBudget Budget => Evaluator.Budget;

    /// <summary>The arguments in the order of the parameters, <see cref="Missing"/> where one is not given.</summary>
    public object?[] Bind(string function, params string[] parameters)
    {
        if (Positional.Count > parameters.Length)
        {
            throw new TemplateFault($"{function}() takes at most {parameters.Length} arguments, {Positional.Count} were given");
        }

        var bound = new object?[parameters.Length];
        for (var index = 0; index < parameters.Length; index++)
        {
            bound[index] = index < Positional.Count ? Positional[index] : Named.GetValueOrDefault(parameters[index], Missing);
        }

        foreach (var name in Named.Keys)
        {
            var index = Array.IndexOf(parameters, name);
            if (index < 0 || index < Positional.Count)
            {
                throw new TemplateFault($"{function}() has no argument '{name}', or was given it twice");
            }
        }

        return bound;
    }

    public static bool IsGiven(object? value) => !ReferenceEquals(value, Missing);

    public static string Text(object? value, string function) => value as string ?? throw new TemplateFault($"{function}() needs a string, not {PythonValue.TypeName(value)}");

    public static string TextOr(object? value, string standard, string function) => IsGiven(value) ? Text(value, function) : standard;

    /// <summary>A string, or null for None and where nothing is given.</summary>
    public static string? TextOrNull(object? value, string function) => IsGiven(value) && value is not null ? Text(value, function) : null;

    public static long Integer(object? value, string function) => value switch
    {
        long whole => whole,
        bool flag => flag ? 1 : 0,
        _ => throw new TemplateFault($"{function}() needs a whole number, not {PythonValue.TypeName(value)}"),
    };

    public static long IntegerOr(object? value, long standard, string function) => IsGiven(value) ? Integer(value, function) : standard;

    public static long? IntegerOrNull(object? value, string function) => IsGiven(value) && value is not null ? Integer(value, function) : null;
}

/// <summary>
/// What a template may spend: a step for each thing that it evaluates, more for long texts and lists, so that a stranger's
/// program ends in time and memory that are known beforehand.
/// </summary>
internal sealed class TemplateBudget(TemplateLimits limits)
{
    private long stepsLeft = limits.Steps;
    private int depth;

    public int MaxCharacters => limits.Characters;

    public void Spend(long steps)
    {
        stepsLeft -= steps;
        if (stepsLeft < 0)
        {
            throw new TemplateFault(TemplateErrors.OverLimit, $"the template took more than {limits.Steps} steps");
        }
    }

    /// <summary>Pays for a text before it is made.</summary>
    public void SpendCharacters(long characters)
    {
        if (characters > limits.Characters)
        {
            throw new TemplateFault(TemplateErrors.OverLimit, $"the template made a text of more than {limits.Characters} characters");
        }

        Spend(1 + (characters / 16));
    }

    /// <summary>Goes one level deeper: into an expression, a macro, a nested value.</summary>
    public void Enter()
    {
        if (++depth > limits.Depth || !System.Runtime.CompilerServices.RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw new TemplateFault(TemplateErrors.OverLimit, $"the template went more than {limits.Depth} levels deep");
        }
    }

    public void Leave() => depth--;
}

/// <summary>The limits of one rendering.</summary>
/// <param name="Steps">Things evaluated; a step is about 50 ns.</param>
/// <param name="Characters">Of the output, and of any text on the way.</param>
/// <param name="Depth">Of nested evaluation, macros and values.</param>
internal sealed record TemplateLimits(long Steps = 10_000_000, int Characters = 32 * 1024 * 1024, int Depth = 1_500);
