using CsCheck;
using GradientAtoms.Text.ChatTemplates;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Tests.ChatTemplates;

/// <summary>The template language, and what happens to templates that are wrong or mean.</summary>
public sealed class ChatTemplateTests
{
    [Theory]
    // White space: one newline after a block and at the template's end goes; indents before blocks go; signs override.
    [InlineData("{% if true %}\na\n{% endif %}\nb\n", "a\nb")]
    [InlineData("  {% if true %}a  {% endif %}  b", "a    b")]
    [InlineData("x {%- if true -%} \n a {%- endif +%}\nb", "xa\nb")]
    [InlineData("a\n  {%+ if true %}b{% endif %}", "a\n  b")]
    [InlineData("a {#- gone -#} b{# also #}\nc", "abc")]
    [InlineData("a\n  {{ 1 }}\nb", "a\n  1\nb")]
    [InlineData("{% raw %}{{ not }} {% this %}{% endraw %}!", "{{ not }} {% this %}!")]
    [InlineData("a\r\nb\rc", "a\nb\nc")]
    // Literals and operators.
    [InlineData("{{ 1 + 2 * 3 ** 2 - -1 }}", "20")]
    [InlineData("{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** -1 }}", "3 -4 2 3.5 0.5")]
    [InlineData("{{ 1.0 }} {{ 1e16 }} {{ 1e-5 }} {{ 0.0001 }} {{ 123456789.25 }} {{ 0.1 + 0.2 }}", "1.0 1e+16 1e-05 0.0001 123456789.25 0.30000000000000004")]
    [InlineData("{{ 0x1F }} {{ 1_000 }} {{ true }} {{ none }} {{ None }}", "31 1000 True None None")]
    [InlineData("{{ 'a' 'b' ~ 1 ~ none }} {{ 'ab' * 2 }} {{ [1] + [2] }} {{ (1,) }} {{ {'a': [1, 'x']} }}", "ab1None abab [1, 2] (1,) {'a': [1, 'x']}")]
    [InlineData(@"{{ '\x41\u00e9\n\'\q' }}", "Aé\n'\\q")]
    [InlineData("{{ {'a': {'b': 1}}.a.b }}{{ {'a': {'b': 2}}['a']['b'] }}{{ [[1, 2]].0.1 }}", "122")]
    [InlineData("{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' in 'cat' }} {{ 2 not in [1] }} {{ 'k' in {'k': 0} }} {{ not 1 == 2 }}", "True False True True True True")]
    [InlineData("{{ 'x' if false }}|{{ 'x' if 0 else 'y' }} {{ '' or 'b' }} {{ 'a' and 0 }}", "|y b 0")]
    [InlineData("{{ 'abcde'[1:3] }} {{ 'abc'[::-1] }} {{ [1,2,3][-2:] }} {{ 'abc'[-1] }} {{ 'ab'[5:] }}|{{ [1,2,3,4][3:0:-2] }}", "bc cba [2, 3] c |[4, 2]")]
    [InlineData("{{ 'a𝔘b'[1] }} {{ 'a𝔘b' | length }} {{ 'a𝔘b'[::-1] }} {{ 'a𝔘b'.find('b') }}", "𝔘 3 b𝔘a 2")]
    [InlineData("{{ 1 == 1.0 }} {{ true == 1 }} {{ '1' == 1 }} {{ [1] == [1.0] }} {{ none == false }}", "True True False True False")]
    [InlineData("{{ '%s-%03d-%.2f%%' % ('a', 7, 1.5) }} {{ '%s' | format('x') }} {{ '{}{a}'.format(1, a=2) }}", "a-007-1.50% x 12")]
    // Undefined.
    [InlineData("{{ nothing }}|{{ nothing is defined }}|{{ 'a' if nothing else 'b' }}|{{ nothing | default('d') }}|{{ nothing ~ 'x' }}|{{ nothing | length }}", "|False|b|d|x|0")]
    [InlineData("{% for x in nothing %}a{% else %}none{% endfor %}|{{ {}.a is undefined }}|{{ 'x' in nothing }}", "none|True|False")]
    // Statements.
    [InlineData("{% for x in [1,2,3] %}{{ loop.index }}{{ loop.last }}{{ loop.previtem }}{{ ',' if not loop.last }}{% endfor %}", "1False,2False1,3True2")]
    [InlineData("{% for x in range(9) if x % 2 %}{% if x == 3 %}{% continue %}{% elif x > 6 %}{% break %}{% endif %}{{ x }}{{ loop.index0 }}{% endfor %}", "1052")]
    [InlineData("{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}{{ v }}{% endfor %}{% for k in {'c': 1} %}{{ k }}{% endfor %}", "a1b2c")]
    [InlineData("{% for x in [1, [2, [3]]] recursive %}{{ loop(x) if x is sequence else x }}{% endfor %}", "123")]
    [InlineData("{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}{% if true %}{% set x = 3 %}{% endif %}{{ x }}", "13")]
    [InlineData("{% set ns = namespace(x=1) %}{% for i in range(4) %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}", "7")]
    [InlineData("{% set a, b = 1, 2 %}{% set t %}[{{ a }}]{% endset %}{{ t }}{{ b }}{% set u | upper %}x{% endset %}{{ u }}", "[1]2X")]
    [InlineData("{% macro m(a, b='B') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{% set c = 'C' %}{{ m('A') }}{{ m('A', b=1) }}{{ m() }}", "ABCA1CBC")]
    [InlineData("{% macro m() %}<{{ caller('x') }}>{% endmacro %}{% call(v) m() %}{{ v }}y{% endcall %}", "<xy>")]
    [InlineData("{% with a = 1 %}{{ a }}{% endwith %}{{ a }}{% filter upper %}b{% endfilter %}", "1B")]
    [InlineData("{% generation %}a{% endgeneration %}", "a")]
    // Methods, filters, tests.
    [InlineData("{{ ' a '.strip() }}{{ 'xxa'.lstrip('x') }}{{ 'a,b,c'.split(',', 1) }}{{ ' a  b '.split() }}{{ 'a b c'.rsplit(' ', 1) }}", "aa['a', 'b,c']['a', 'b']['a b', 'c']")]
    [InlineData("{{ 'hello wOrld-x'.title() }} {{ 'hello (wOrld)' | title }} {{ 'aB' | capitalize }} {{ 'aab'.replace('a', 'x', 1) }} {{ '-'.join(['a', 'b']) }}", "Hello World-X Hello (World) Ab xab a-b")]
    [InlineData("{{ 'ab'.startswith('a') }} {{ 'ab'.endswith(('c', 'b')) }} {{ 'ab'.removeprefix('a') }} {{ 'aXa'.count('a') }} {{ '7'.zfill(3) }} {{ 'a\nb'.splitlines() }}", "True True b 2 007 ['a', 'b']")]
    [InlineData("{{ {'a': 1}.get('b', 2) }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.keys() | list }} {{ {'items': 5}['items'] }}", "2 None ['a'] 5")]
    [InlineData("{{ [3,1,2] | sort | join('-') }} {{ ['b','A'] | sort }} {{ [1,2] | sum }} {{ [1,1,2] | unique | list }} {{ [1,2] | map('string') | list }} {{ [{'a': 1}] | map(attribute='a') | first }}", "1-2-3 ['A', 'b'] 3 [1, 2] ['1', '2'] 1")]
    [InlineData("{{ [1,2,3] | select('odd') | list }} {{ [1,0] | reject | list }} {{ [{'r': 'u'}, {'r': 'v'}] | selectattr('r', 'equalto', 'v') | list | last }}", "[1, 3] [0] {'r': 'v'}")]
    [InlineData("{{ {'a': 1.0, 'b': [true, none, 'é\"\n</']} | tojson }}", "{\"a\": 1.0, \"b\": [true, null, \"é\\\"\\n</\"]}")]
    [InlineData("{{ {'b': [1], 'a': {}} | tojson(indent=2, sort_keys=true) }} {{ [1, 2] | tojson(separators=(',', ':')) }}", "{\n  \"a\": {},\n  \"b\": [\n    1\n  ]\n} [1,2]")]
    [InlineData("{{ ' 4.7 ' | int }} {{ 'x' | int(3) }} {{ '1.5' | float }} {{ 2.5 | round }} {{ -3 | abs }} {{ 'a\nb' | indent(2) }} {{ 1 | string + 'x' }}", "4 3 1.5 2.0 3 a\n  b 1x")]
    [InlineData("{{ 1 is number }} {{ 'a' is string }} {{ {} is mapping }} {{ [] is iterable }} {{ 4 is divisibleby 2 }} {{ 3 is odd }} {{ none is none }} {{ 1 is not string }} {{ 2 is in [2] }}", "True True True True True True True True True")]
    [InlineData("{{ \"it's\" | tojson }} {{ [\"it's\", '\"', \"'\\\"\"] }}", "\"it's\" [\"it's\", '\"', '\\'\"']")]
    public void The_language_is_jinjas(string template, string expected) => Assert.Equal(expected, Render(template));

    [Theory]
    [InlineData("{{ messages[0].content.x.y }}")]
    [InlineData("{{ nothing.a }}")]
    [InlineData("{{ nothing + 'a' }}")]
    [InlineData("{{ 'a' + 1 }}")]
    [InlineData("{{ 'a' + none }}")]
    [InlineData("{{ 'a' < 1 }}")]
    [InlineData("{% for x in none %}{% endfor %}")]
    [InlineData("{% for x in 3 %}{% endfor %}")]
    [InlineData("{% for a, b in [1] %}{% endfor %}")]
    [InlineData("{{ 1 / 0 }}{{ 1 % 0 }}")]
    [InlineData("{{ 9223372036854775807 + 1 }}")]
    [InlineData("{{ -9223372036854775807 - 2 }}")]
    [InlineData("{{ 10 ** 99 }}")]
    [InlineData("{{ 'a'() }}")]
    [InlineData("{{ [].append(1) }}")]
    [InlineData("{{ {}.update({}) }}")]
    [InlineData("{{ {[]: 1} }}")]
    [InlineData("{{ 'a'.split('') }}")]
    [InlineData("{{ 'a'.strip(1, 2, 3) }}")]
    [InlineData("{{ 'a'.strip(color='red') }}")]
    [InlineData("{{ nothing | tojson }}")]
    [InlineData("{{ range('a') }}")]
    [InlineData("{{ [1, 'a'] | sort }}")]
    [InlineData("{{ 'abc'[::0] }}")]
    [InlineData("{{ '%d' % 'x' }}{{ '%s %s' % 1 }}")]
    [InlineData("{{ strftime_now('%Y') }}")]
    [InlineData("{% set messages.x = 1 %}")]
    [InlineData("{{ joiner(1) }}")]
    [InlineData("{{ dict(1) }}")]
    public void What_python_refuses_is_a_coded_error_with_its_line(string template)
    {
        var error = Assert.Throws<ChatTemplateException>(() => Render("\n\n" + template));
        Assert.Equal("GA2204", error.Code);
        Assert.Equal("test, line 3", error.Location);
        Assert.NotEmpty(error.Remedy);
    }

    [Theory]
    [InlineData("\n{% if %}x{% endif %}", 2)]
    [InlineData("\n{{ 1 + }}", 2)]
    [InlineData("\n{{ 'a }}", 2)]
    [InlineData("{% if true %}\n\nx", 1)]
    [InlineData("\n\n{# never closed", 3)]
    [InlineData("a\n{% raw %} never closed", 2)]
    [InlineData("{% endif %}", 1)]
    [InlineData("\n{% frobnicate %}", 2)]
    [InlineData("{{ (1 }}", 1)]
    [InlineData("{{ 1) }}", 1)]
    [InlineData("{{ a ? b }}", 1)]
    [InlineData("{% break %}", 1)]
    [InlineData("{% for x in y %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", 1)]
    [InlineData("{% set 1 = 2 %}", 1)]
    [InlineData("{{ 99999999999999999999 }}", 1)]
    [InlineData("{{ f(a=1, 2) }}", 1)]
    [InlineData("{{ 'x", 1)]
    [InlineData("{{ {", 1)]
    [InlineData("{%", 1)]
    [InlineData("{{ '\\xZZ' }}", 1)]
    public void A_syntax_error_names_its_line(string template, int line)
    {
        var error = Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse(template, "test"));
        Assert.Equal("GA2201", error.Code);
        Assert.Equal($"test, line {line}", error.Location);
    }

    [Theory]
    [InlineData("{% include 'other' %}")]
    [InlineData("{{ 1 | frobnicate }}")]
    [InlineData("{{ 1 is frobnicated }}")]
    public void A_part_of_jinja_that_is_not_known_is_named(string template) =>
        Assert.Equal("GA2202", Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse(template, "test")).Code);

    [Theory]
    [InlineData("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}")]
    [InlineData("{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}")]
    [InlineData("{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}")]
    [InlineData("{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}")]
    [InlineData("{% set ns = namespace(s=[1], t=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.s == ns.t }}")]
    [InlineData("{% set ns = namespace(s=1) %}{% for i in range(90000) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s | tojson }}")]
    [InlineData("{% set ns = namespace() %}{% set ns.self = ns %}{{ ns }}")]
    [InlineData("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")]
    [InlineData("{% macro m(f) %}{{ f(f) }}{% endmacro %}{{ m(m) }}")]
    [InlineData("{% for x in [1] recursive %}{{ loop([x]) }}{% endfor %}")]
    [InlineData("{{ 'x' * 999999999999 }}")]
    [InlineData("{{ [1] * 999999999999 }}")]
    [InlineData("{{ 'x'.center(999999999999) }}{{ 'x' | center(99999999999) }}")]
    [InlineData("{{ ('x' * 1000000).replace('x', 'y' * 1000000) }}")]
    [InlineData("{{ ('x' * 1000000).replace('', 'y' * 1000000) }}")]
    [InlineData("{{ ('y' * 1000000).join(('x' * 1000000) | list) }}")]
    [InlineData("{{ '%999999999d' % 1 }}")]
    [InlineData("{{ range(999999999) }}")]
    [InlineData("{% for i in range(99999) %}{{ 'xxxxxxxxxxxxxxxxxxxxxxxx' * 1000 }}{% endfor %}")]
    [InlineData("{{ (range(90000) | list) | unique | list }}")]
    public void A_template_that_takes_too_much_is_stopped(string template)
    {
        var parsed = ChatTemplate.Parse(template, "test");
        var error = Assert.Throws<ChatTemplateException>(() => parsed.RenderValues([], new(), new(Steps: 500_000)));
        Assert.Equal("GA2205", error.Code);
    }

    [Fact]
    public void The_standing_limit_on_steps_ends_a_template_too() =>
        Assert.Equal("GA2205", Assert.Throws<ChatTemplateException>(() => Render("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}")).Code);

    [Fact]
    public void Nesting_that_would_eat_the_stack_is_a_syntax_error()
    {
        string[] nested =
        [
            "{{ " + new string('(', 5000) + "1" + new string(')', 5000) + " }}",
            "{{ " + new string('[', 5000) + new string(']', 5000) + " }}",
            "{{ " + string.Concat(Enumerable.Repeat("not ", 50000)) + "1 }}",
            "{{ " + new string('-', 50000) + "1 }}",
            "{{ 1" + string.Concat(Enumerable.Repeat(" + 1", 50000)) + " }}",
            "{{ a" + string.Concat(Enumerable.Repeat(".b", 50000)) + " }}",
            "{{ a" + string.Concat(Enumerable.Repeat(" | trim", 50000)) + " }}",
            "{{ 1" + string.Concat(Enumerable.Repeat(" if 1 else 1", 50000)) + " }}",
            "{{ 1" + string.Concat(Enumerable.Repeat(" if 1", 50000)) + " }}",
            string.Concat(Enumerable.Repeat("{% if 1 %}", 50000)),
            "{% for " + new string('(', 50000) + " %}",
        ];
        foreach (var template in nested)
        {
            Assert.Equal("GA2201", Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse(template, "test")).Code);
        }
    }

    [Fact]
    public void A_template_that_refuses_is_quoted()
    {
        var error = Assert.Throws<ChatTemplateException>(() => Render("\n{{ raise_exception('Only ' ~ 1 ~ ' turn!') }}"));
        Assert.True(error.IsRaisedByTemplate);
        Assert.Equal("GA2203", error.Code);
        Assert.Equal("Only 1 turn!", error.Problem);
    }

    [Fact]
    public void Messages_tools_variables_and_the_date_reach_the_template()
    {
        var template = ChatTemplate.Parse("{% for m in messages %}{{ m.role }}:{{ m['content'] }}:{{ m.tool_calls[0].n }}:{{ m.thinking }}{% endfor %}|{{ tools[0].name }}|{{ bos_token }}|{{ add_generation_prompt }}|{{ v }}|{{ strftime_now('%d %b %Y %-d/%m %H:%M %j %%') }}|{{ documents }}", "test");
        var extra = new Dictionary<string, object?>
        {
            ["tool_calls"] = new List<object?> { new Dictionary<string, object?> { ["n"] = 5L } },
            ["reasoning"] = "hm",
        };
        var text = template.Render(
            [new("user", "hi") { Extra = extra }],
            new()
            {
                AddGenerationPrompt = true,
                SpecialTokens = new Dictionary<string, string> { ["bos_token"] = "<s>" },
                Tools = [new Dictionary<string, object?> { ["name"] = "t" }],
                Variables = new Dictionary<string, object?> { ["v"] = 1.5 },
                Now = new DateTime(2025, 3, 4, 5, 6, 7, DateTimeKind.Unspecified),
            });
        Assert.Equal("user:hi:5:hm|t|<s>|True|1.5|04 Mar 2025 4/03 05:06 063 %|None", text);
    }

    [Fact]
    public void Whatever_a_template_holds_it_is_read_and_run_or_gives_a_coded_error()
    {
        string[] pieces =
        [
            "{{", "}}", "{%", "%}", "{#", "#}", "-", "+", " ", "\n", "if", "else", "elif", "endif", "for", "in", "endfor", "set", "endset", "macro", "endmacro", "raw", "endraw",
            "generation", "endgeneration", "is", "not", "defined", "x", "messages", "loop", "namespace", "range", "(", ")", "[", "]", "{", "}", ":", ",", ".", "|", "=", "==", "<", "~", "*",
            "**", "//", "%", "'a'", "\"b\"", "'", "\\", "1", "0", "1.5", "9999999999", "none", "true", "tojson", "trim", "join", "map", "sort", "items", "split", "é", "𝔘", "\ud800",
            "{{ messages", " }}", "{% for x in messages %}", "{% endfor %}", "{% if x %}", "{% endif %}", "{{ x", "{{ [1,2,3]", "{{ 'abc'", "{% set x = ", " %}", "[::-1]", ".items()", ".split()", "|list", "|sort", "[0]", "(1)",
        ];
        Gen.OneOf(pieces).Array[1, 25].Select(string.Concat).Sample(source =>
        {
            try
            {
                ChatTemplate.Parse(source, "fuzz").RenderValues([new TemplateMap { ["role"] = "user", ["content"] = "hi" }], new(), new(Steps: 20_000, Characters: 100_000, Depth: 100));
            }
            catch (ChatTemplateException error)
            {
                Assert.StartsWith("GA22", error.Code, StringComparison.Ordinal);
            }
        }, iter: 5_000);
    }

    [Fact]
    public void Expressions_made_at_random_give_a_value_or_a_coded_error()
    {
        var atom = Gen.OneOf("x", "messages", "1", "-2", "1.5", "'aé𝔘'", "''", "[]", "[3, 'b', none]", "{'k': 1}", "{}", "true", "none", "ns", "range(4)", "(1, 2)", "9223372036854775807", "-1.0e300", "messages[0]", "joiner()");
        var expression = Gen.Recursive<string>((depth, inner) => depth > 3 ? atom : Gen.OneOf(
            atom,
            Gen.Select(inner, Gen.OneOf("+", "-", "*", "/", "//", "%", "**", "~", "==", "<", "in", "not in", "and", "or"), inner, (left, symbol, right) => $"({left} {symbol} {right})"),
            Gen.Select(inner, Gen.OneOf("abs", "batch(2)", "capitalize", "center(9)", "count", "d(1)", "dictsort", "e", "first", "float", "format(1)", "groupby('k')", "indent", "int", "items", "join(',')", "last", "length", "list", "lower", "map('upper')", "map(attribute='k')", "max", "min", "reject('odd')", "replace('a', 'b')", "reverse", "round(1)", "select", "selectattr('k')", "sort", "string", "sum", "title", "tojson", "tojson(indent=1)", "trim", "unique", "upper", "wordcount"), (value, filter) => $"({value} | {filter})"),
            Gen.Select(inner, Gen.OneOf("strip()", "split()", "split('a', 1)", "rsplit(none, 1)", "rsplit('b', 2)", "title()", "upper()", "find('a', 1, -1)", "rfind('')", "count('')", "replace('', '-', 2)", "zfill(5)", "center(7, '*')", "partition('a')", "splitlines(true)", "join(['a'])", "format(1)", "get('k')", "items()", "keys()", "index(3)", "k", "swapcase()", "isdigit()"), (value, member) => $"{value}.{member}"),
            Gen.Select(inner, inner, inner, (value, start, stop) => $"{value}[{start}:{stop}]"),
            Gen.Select(inner, inner, (value, index) => $"{value}[{index}]"),
            Gen.Select(inner, Gen.OneOf("defined", "even", "mapping", "lower", "divisibleby 3", "in x", "sameas 1", "gt 2", "callable"), (value, test) => $"({value} is {test})"),
            Gen.Select(inner, inner, (then, test) => $"({then} if {test})")));
        var rendered = 0;
        expression.Sample(source =>
        {
            try
            {
                ChatTemplate.Parse($"{{% set ns = namespace(a=1) %}}{{% set x = [1, 'a', {{'k': 2}}] %}}{{{{ {source} }}}}", "fuzz")
                    .RenderValues([new TemplateMap { ["role"] = "user", ["content"] = "hi" }], new(), new(Steps: 50_000, Characters: 100_000, Depth: 100));
                Interlocked.Increment(ref rendered);
            }
            catch (ChatTemplateException error)
            {
                Assert.StartsWith("GA22", error.Code, StringComparison.Ordinal);
            }
        }, iter: 5_000);
        Assert.True(rendered > 250, $"only {rendered} expressions had a value: the generator makes rubbish");
    }

    private static string Render(string template) => ChatTemplate.Parse(template, "test").Render([new ChatMessage("user", "hi")], new());
}
