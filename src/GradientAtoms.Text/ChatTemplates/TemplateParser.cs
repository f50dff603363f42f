namespace GradientAtoms.Text.ChatTemplates;

/// <summary>Statements of a template; <c>TemplateParser.Expressions.cs</c> has the expressions.</summary>
internal sealed partial class TemplateParser
{
    /// <summary>Deeper nesting is refused: every level takes stack, here and when the template runs.</summary>
    private const int MaxDepth = 100;

    private static readonly HashSet<string> NotKnownTags = new(StringComparer.Ordinal)
    {
        "include", "import", "from", "extends", "block", "autoescape", "do", "trans", "debug",
    };

    private readonly IReadOnlyList<TemplateToken> tokens;
    private readonly string location;
    private int position;
    private int depth;
    private int loops;

    private TemplateParser(IReadOnlyList<TemplateToken> tokens, string location)
    {
        this.tokens = tokens;
        this.location = location;
    }

    private TemplateToken Current => tokens[position];

    public static IReadOnlyList<TemplateStatement> Parse(string source, string location)
    {
        var parser = new TemplateParser(TemplateLexer.Read(source, location), location);
        return parser.ParseBody();
    }

    /// <summary>Statements up to a tag of one of the given names (which is left current), or to the end where there are none.</summary>
    private List<TemplateStatement> ParseBody(params string[] endTags)
    {
        Enter();
        var body = new List<TemplateStatement>();
        var start = position > 0 ? tokens[position - 1].Line : 1; // of the tag that opens the block
        while (true)
        {
            var token = Current;
            switch (token.Kind)
            {
                case TemplateTokenKind.Data:
                    position++;
                    body.Add(new DataStatement(token.Line, token.Value));
                    break;
                case TemplateTokenKind.VariableBegin:
                    position++;
                    var value = ParseTuple(withCondition: true);
                    Expect(TemplateTokenKind.VariableEnd);
                    body.Add(new OutputStatement(token.Line, value));
                    break;
                case TemplateTokenKind.BlockBegin:
                    position++;
                    if (Current.Kind == TemplateTokenKind.Name && endTags.Contains(Current.Value, StringComparer.Ordinal))
                    {
                        depth--;
                        return body;
                    }

                    body.Add(ParseTag());
                    break;
                case TemplateTokenKind.End when endTags.Length == 0:
                    depth--;
                    return body;
                case TemplateTokenKind.End:
                    throw Fault(start, $"the template ends where {string.Join(" or ", endTags)} was expected, for a block that began here");
                default:
                    throw Unexpected();
            }
        }
    }

    private TemplateStatement ParseTag()
    {
        var token = Current;
        if (token.Kind != TemplateTokenKind.Name)
        {
            throw Fault(token.Line, "a tag's name was expected");
        }

        position++;
        switch (token.Value)
        {
            case "if": return ParseIf(token.Line);
            case "for": return ParseFor(token.Line);
            case "set": return ParseSet(token.Line);
            case "with": return ParseWith(token.Line);
            case "macro": return ParseMacro(token.Line);
            case "call": return ParseCallBlock(token.Line);
            case "filter": return ParseFilterBlock(token.Line);
            case "generation":
                ExpectBlockEnd();
                return new GenerationStatement(token.Line, ParseBodyTo("endgeneration"));
            case "print":
                var value = ParseTuple(withCondition: true);
                ExpectBlockEnd();
                return new OutputStatement(token.Line, value);
            case "break" or "continue":
                if (loops == 0)
                {
                    throw Fault(token.Line, $"{token.Value} outside of a loop");
                }

                ExpectBlockEnd();
                return token.Value == "break" ? new BreakStatement(token.Line) : new ContinueStatement(token.Line);
            default:
                throw NotKnownTags.Contains(token.Value)
                    ? TemplateErrors.NotKnown(location, token.Line, $"the tag '{token.Value}' is not supported in chat templates")
                    : Fault(token.Line, $"unknown tag '{token.Value}'");
        }
    }

    private IfStatement ParseIf(int line)
    {
        var branches = new List<(TemplateExpression, IReadOnlyList<TemplateStatement>)>();
        while (true)
        {
            var test = ParseTuple(withCondition: false);
            ExpectBlockEnd();
            branches.Add((test, ParseBody("elif", "else", "endif")));
            var tag = Take();
            if (tag.Value != "elif")
            {
                ExpectBlockEnd();
                return new(line, branches, tag.Value == "else" ? ParseBodyTo("endif") : []);
            }
        }
    }

    private ForStatement ParseFor(int line)
    {
        var target = ParseTarget("in");
        ExpectName("in");
        var items = ParseTuple(withCondition: false, "recursive", "if");
        var test = SkipName("if") ? ParseExpression() : null;
        var isRecursive = SkipName("recursive");
        ExpectBlockEnd();
        loops++;
        var body = ParseBody("endfor", "else");
        loops--;
        var hasElse = Take().Value == "else";
        ExpectBlockEnd();
        return new(line, target, items, test, isRecursive, body, hasElse ? ParseBodyTo("endfor") : []);
    }

    private TemplateStatement ParseSet(int line)
    {
        var target = ParseTarget("=");
        if (SkipOperator("="))
        {
            var value = ParseTuple(withCondition: true);
            ExpectBlockEnd();
            return new SetStatement(line, target, value);
        }

        var filters = new List<CallOf>();
        while (SkipOperator("|"))
        {
            filters.Add(ParseFilterName());
        }

        ExpectBlockEnd();
        return new SetBlockStatement(line, target, filters, ParseBodyTo("endset"));
    }

    private WithStatement ParseWith(int line)
    {
        var assignments = new List<(TemplateExpression, TemplateExpression)>();
        while (Current.Kind != TemplateTokenKind.BlockEnd)
        {
            if (assignments.Count > 0)
            {
                ExpectOperator(",");
            }

            var name = ExpectIdentifier();
            ExpectOperator("=");
            assignments.Add((new NameExpression(line, name), ParseExpression()));
        }

        ExpectBlockEnd();
        return new(line, assignments, ParseBodyTo("endwith"));
    }

    private MacroStatement ParseMacro(int line)
    {
        var name = ExpectIdentifier();
        var parameters = ParseParameters();
        ExpectBlockEnd();
        return new(line, name, parameters, ParseFunctionBody("endmacro"));
    }

    private CallBlockStatement ParseCallBlock(int line)
    {
        IReadOnlyList<MacroParameter> parameters = IsOperator("(") ? ParseParameters() : [];
        if (ParseExpression() is not CallExpression call)
        {
            throw Fault(line, "a call block needs a call");
        }

        ExpectBlockEnd();
        return new(line, call, parameters, ParseFunctionBody("endcall"));
    }

    private FilterBlockStatement ParseFilterBlock(int line)
    {
        var filters = new List<CallOf> { ParseFilterName() };
        while (SkipOperator("|"))
        {
            filters.Add(ParseFilterName());
        }

        ExpectBlockEnd();
        return new(line, filters, ParseBodyTo("endfilter"));
    }

    private List<MacroParameter> ParseParameters()
    {
        var parameters = new List<MacroParameter>();
        ExpectOperator("(");
        while (!SkipOperator(")"))
        {
            if (parameters.Count > 0)
            {
                ExpectOperator(",");
            }

            var name = ExpectIdentifier();
            var standard = SkipOperator("=") ? ParseExpression() : null;
            if (standard is null && parameters.Count > 0 && parameters[^1].Default is not null)
            {
                throw Fault(Current.Line, $"parameter '{name}' without a default follows one with a default");
            }

            parameters.Add(new(name, standard));
        }

        return parameters;
    }

    /// <summary>The body of something that is called: a loop around it is not one that break can end.</summary>
    private List<TemplateStatement> ParseFunctionBody(string endTag)
    {
        (var outer, loops) = (loops, 0);
        var body = ParseBodyTo(endTag);
        loops = outer;
        return body;
    }

    private List<TemplateStatement> ParseBodyTo(string endTag)
    {
        var body = ParseBody(endTag);
        position++;
        ExpectBlockEnd();
        return body;
    }

    private TemplateToken Take() => tokens[position++];

    private void ExpectBlockEnd() => Expect(TemplateTokenKind.BlockEnd);

    private void Expect(TemplateTokenKind kind)
    {
        if (Current.Kind != kind)
        {
            throw Unexpected();
        }

        position++;
    }

    private string ExpectIdentifier()
    {
        var token = Current;
        Expect(TemplateTokenKind.Name);
        return token.Value;
    }

    private void ExpectName(string name)
    {
        if (!SkipName(name))
        {
            throw Fault(Current.Line, $"'{name}' was expected, '{Describe(Current)}' was found");
        }
    }

    private void ExpectOperator(string symbol)
    {
        if (!SkipOperator(symbol))
        {
            throw Fault(Current.Line, $"'{symbol}' was expected, '{Describe(Current)}' was found");
        }
    }

    private bool IsName(string name) => Current.Kind == TemplateTokenKind.Name && Current.Value == name;

    private bool IsOperator(string symbol) => Current.Kind == TemplateTokenKind.Operator && Current.Value == symbol;

    private bool SkipName(string name)
    {
        var found = IsName(name);
        position += found ? 1 : 0;
        return found;
    }

    private bool SkipOperator(string symbol)
    {
        var found = IsOperator(symbol);
        position += found ? 1 : 0;
        return found;
    }

    private void Enter()
    {
        if (++depth > MaxDepth)
        {
            throw Fault(Current.Line, "the template is nested too deeply");
        }
    }

    private static string Describe(TemplateToken token) => token.Kind switch
    {
        TemplateTokenKind.End => "the template's end",
        TemplateTokenKind.BlockEnd => "%}",
        TemplateTokenKind.VariableEnd => "}}",
        TemplateTokenKind.Data => "text",
        _ => token.Value,
    };

    private ChatTemplateException Unexpected() => Fault(Current.Line, $"unexpected '{Describe(Current)}'");

    private ChatTemplateException Fault(int line, string problem) => TemplateErrors.Syntax(location, line, problem);
}
