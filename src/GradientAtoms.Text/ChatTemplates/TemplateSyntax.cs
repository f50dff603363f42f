namespace GradientAtoms.Text.ChatTemplates;

/// <summary>A piece of a parsed template, with the line it starts on.</summary>
internal abstract record TemplateNode(int Line);

internal abstract record TemplateStatement(int Line) : TemplateNode(Line);

internal abstract record TemplateExpression(int Line) : TemplateNode(Line);

// Statements.
internal sealed record DataStatement(int Line, string Text) : TemplateStatement(Line);

internal sealed record OutputStatement(int Line, TemplateExpression Value) : TemplateStatement(Line);

internal sealed record IfStatement(int Line, IReadOnlyList<(TemplateExpression Test, IReadOnlyList<TemplateStatement> Body)> Branches, IReadOnlyList<TemplateStatement> Otherwise) : TemplateStatement(Line);

internal sealed record ForStatement(
    int Line, TemplateExpression Target, TemplateExpression Items, TemplateExpression? Test, bool IsRecursive,
    IReadOnlyList<TemplateStatement> Body, IReadOnlyList<TemplateStatement> Otherwise) : TemplateStatement(Line);

internal sealed record SetStatement(int Line, TemplateExpression Target, TemplateExpression Value) : TemplateStatement(Line);

internal sealed record SetBlockStatement(int Line, TemplateExpression Target, IReadOnlyList<CallOf> Filters, IReadOnlyList<TemplateStatement> Body) : TemplateStatement(Line);

internal sealed record FilterBlockStatement(int Line, IReadOnlyList<CallOf> Filters, IReadOnlyList<TemplateStatement> Body) : TemplateStatement(Line);

internal sealed record WithStatement(int Line, IReadOnlyList<(TemplateExpression Target, TemplateExpression Value)> Assignments, IReadOnlyList<TemplateStatement> Body) : TemplateStatement(Line);

internal sealed record MacroStatement(int Line, string Name, IReadOnlyList<MacroParameter> Parameters, IReadOnlyList<TemplateStatement> Body) : TemplateStatement(Line);

internal sealed record CallBlockStatement(int Line, CallExpression Call, IReadOnlyList<MacroParameter> Parameters, IReadOnlyList<TemplateStatement> Body) : TemplateStatement(Line);

internal sealed record GenerationStatement(int Line, IReadOnlyList<TemplateStatement> Body) : TemplateStatement(Line);

internal sealed record BreakStatement(int Line) : TemplateStatement(Line);

internal sealed record ContinueStatement(int Line) : TemplateStatement(Line);

internal sealed record MacroParameter(string Name, TemplateExpression? Default);

// Expressions.
internal sealed record ConstantExpression(int Line, object? Value) : TemplateExpression(Line);

internal sealed record NameExpression(int Line, string Name) : TemplateExpression(Line);

internal sealed record ListExpression(int Line, IReadOnlyList<TemplateExpression> Items) : TemplateExpression(Line);

internal sealed record TupleExpression(int Line, IReadOnlyList<TemplateExpression> Items) : TemplateExpression(Line);

internal sealed record MapExpression(int Line, IReadOnlyList<(TemplateExpression Key, TemplateExpression Value)> Items) : TemplateExpression(Line);

internal sealed record AttributeExpression(int Line, TemplateExpression Target, string Name) : TemplateExpression(Line);

internal sealed record ItemExpression(int Line, TemplateExpression Target, TemplateExpression Index) : TemplateExpression(Line);

internal sealed record SliceExpression(int Line, TemplateExpression? Start, TemplateExpression? Stop, TemplateExpression? Step) : TemplateExpression(Line);

internal sealed record CallExpression(int Line, TemplateExpression Target, CallArguments Arguments) : TemplateExpression(Line);

internal sealed record FilterExpression(int Line, TemplateExpression Target, CallOf Filter) : TemplateExpression(Line);

internal sealed record TestExpression(int Line, TemplateExpression Target, CallOf Test) : TemplateExpression(Line);

internal sealed record UnaryExpression(int Line, string Operator, TemplateExpression Operand) : TemplateExpression(Line);

internal sealed record BinaryExpression(int Line, string Operator, TemplateExpression Left, TemplateExpression Right) : TemplateExpression(Line);

internal sealed record CompareExpression(int Line, TemplateExpression First, IReadOnlyList<(string Operator, TemplateExpression Operand)> Rest) : TemplateExpression(Line);

internal sealed record ConditionExpression(int Line, TemplateExpression Test, TemplateExpression Then, TemplateExpression? Otherwise) : TemplateExpression(Line);

/// <summary>Arguments as written; the spread ones are <c>*list</c> and <c>**dictionary</c>.</summary>
internal sealed record CallArguments(
    IReadOnlyList<TemplateExpression> Positional, IReadOnlyList<(string Name, TemplateExpression Value)> Named,
    TemplateExpression? Spread, TemplateExpression? NamedSpread)
{
    public static readonly CallArguments None = new([], [], null, null);
}

/// <summary>A filter or a test by name, with its arguments.</summary>
internal sealed record CallOf(int Line, string Name, CallArguments Arguments);
