namespace GradientAtoms.Text.ChatTemplates;

/// <summary>What may stand after <c>is</c>.</summary>
internal static class TemplateTests
{
    private delegate bool Test(object? value, TemplateArguments arguments);

    private static readonly Dictionary<string, Test> Known = new(StringComparer.Ordinal)
    {
        ["defined"] = (value, _) => value is not Undefined,
        ["undefined"] = (value, _) => value is Undefined,
        ["none"] = (value, _) => value is null,
        ["true"] = (value, _) => value is true,
        ["false"] = (value, _) => value is false,
        ["boolean"] = (value, _) => value is bool,
        ["string"] = (value, _) => value is string,
        ["number"] = (value, _) => value is bool or long or double or System.Numerics.BigInteger,
        ["integer"] = (value, _) => value is long or System.Numerics.BigInteger,
        ["float"] = (value, _) => value is double,
        ["mapping"] = (value, _) => value is TemplateMap,
        ["sequence"] = (value, _) => value is string or IReadOnlyList<object?> or TemplateMap or Undefined,
        ["iterable"] = (value, _) => value is string or IReadOnlyList<object?> or TemplateMap or TemplateIterator or Undefined,
        ["callable"] = (value, _) => value is TemplateFunction or Undefined,
        ["even"] = (value, _) => Remainder(value, 2) == 0,
        ["odd"] = (value, _) => Remainder(value, 2) == 1,
        ["divisibleby"] = (value, arguments) => Remainder(value, TemplateArguments.Integer(arguments.Bind("divisibleby", "num")[0], "divisibleby")) == 0,
        ["lower"] = (value, arguments) => PythonMethods.IsLower(PythonValue.Print(value, arguments.Budget)),
        ["upper"] = (value, arguments) => PythonMethods.IsUpper(PythonValue.Print(value, arguments.Budget)),
        ["in"] = (value, arguments) => PythonValue.Contains(Other(arguments), value, arguments.Budget),
        ["sameas"] = (value, arguments) => IsSame(value, Other(arguments)),
        ["filter"] = (value, _) => value is string name && TemplateFilters.IsKnown(name),
        ["test"] = (value, _) => value is string name && IsKnown(name),
        ["eq"] = IsEqual, ["equalto"] = IsEqual, ["=="] = IsEqual,
        ["ne"] = (value, arguments) => !IsEqual(value, arguments), ["!="] = (value, arguments) => !IsEqual(value, arguments),
        ["lt"] = (value, arguments) => Order(value, arguments) < 0, ["lessthan"] = (value, arguments) => Order(value, arguments) < 0, ["<"] = (value, arguments) => Order(value, arguments) < 0,
        ["gt"] = (value, arguments) => Order(value, arguments) > 0, ["greaterthan"] = (value, arguments) => Order(value, arguments) > 0, [">"] = (value, arguments) => Order(value, arguments) > 0,
        ["le"] = (value, arguments) => Order(value, arguments) <= 0, ["<="] = (value, arguments) => Order(value, arguments) <= 0,
        ["ge"] = (value, arguments) => Order(value, arguments) >= 0, [">="] = (value, arguments) => Order(value, arguments) >= 0,
    };

    public static bool IsKnown(string name) => Known.ContainsKey(name);

    public static bool Apply(string name, object? value, TemplateArguments arguments) =>
        Known.TryGetValue(name, out var test) ? test(value, arguments) : throw new TemplateFault(TemplateErrors.Unsupported, $"the test '{name}' is not known");

    private static object? Other(TemplateArguments arguments)
    {
        var other = arguments.Bind("test", "other")[0];
        return TemplateArguments.IsGiven(other) ? other : throw new TemplateFault("the test needs something to compare with");
    }

    private static bool IsEqual(object? value, TemplateArguments arguments) => PythonValue.AreEqual(value, Other(arguments), arguments.Budget);

    private static int Order(object? value, TemplateArguments arguments) => PythonValue.Compare(value, Other(arguments), arguments.Budget);

    private static bool IsSame(object? value, object? other) => value is null || other is null
        ? value is null && other is null
        : ReferenceEquals(value, other) || (value.GetType() == other.GetType() && value is bool or long or string && value.Equals(other));

    private static long Remainder(object? value, long by)
    {
        PythonValue.FailIfUndefined(value);
        var number = PythonValue.AsInteger(value) ?? throw new TemplateFault($"{PythonValue.TypeName(value)} is neither even nor odd");
        return by switch
        {
            0 => throw new TemplateFault("division by zero"),
            -1 => 0,
            _ => ((number % by) + by) % by,
        };
    }
}
