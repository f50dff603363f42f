using System.Text.Json;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Tests.Tokenization;

/// <summary>
/// The expressions of real tokenizers, run by .NET's engine after translation, against the cuts that Oniguruma itself makes
/// in some 450 texts (<c>tools/make_tokenizer_cases.mjs</c>): where the engines differ does not matter for these.
/// </summary>
public sealed class PatternCutTests
{
    private static readonly JsonElement File = JsonDocument.Parse(System.IO.File.ReadAllBytes(TokenizerKindTests.CaseFile("cuts.json"))).RootElement;

    private static readonly JsonElement ClassFile = JsonDocument.Parse(System.IO.File.ReadAllBytes(TokenizerKindTests.CaseFile("classes.json"))).RootElement;

    public static TheoryData<string> Classes => [.. ClassFile.EnumerateObject().Select(one => one.Name)];

    public static TheoryData<string> Expressions => [.. File.GetProperty("cuts").EnumerateArray().Select(cut => cut.GetProperty("name").GetString()!)];

    [Theory]
    [MemberData(nameof(Expressions))]
    public void The_expressions_of_real_tokenizers_cut_where_Oniguruma_cuts(string name)
    {
        var cut = File.GetProperty("cuts").EnumerateArray().Single(cut => cut.GetProperty("name").GetString() == name);
        var expression = cut.GetProperty("expression").GetString()!;
        var pattern = new OnigurumaPattern(expression, name);
        var scanner = WordScanner.ForExpression(expression);
        var texts = File.GetProperty("texts").EnumerateArray().Select(text => text.GetString()!).ToList();
        var expected = cut.GetProperty("ends").EnumerateArray().Select(ends => ends.GetString()!).ToList();
        Assert.Equal(texts.Count, expected.Count);
        var differences = texts.Zip(expected)
            .Where(pair => Ends(pattern, pair.First) != pair.Second || (scanner is not null && Ends(scanner, pair.First) != pair.Second))
            .Select(pair => $"{JsonSerializer.Serialize(pair.First)}\n  expected {pair.Second}\n  found    {Ends(pattern, pair.First)}")
            .ToList();
        Assert.True(differences.Count == 0, $"{differences.Count} of {texts.Count} differ:\n{string.Join('\n', differences.Take(8))}");
    }

    [Theory]
    [MemberData(nameof(Classes))]
    public void A_class_holds_the_code_points_that_it_holds_for_Oniguruma(string expression)
    {
        var isExpected = new bool[0x110000];
        foreach (var range in ClassFile.GetProperty(expression).GetString()!.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            var ends = range.Split('-');
            isExpected.AsSpan(Convert.ToInt32(ends[0], 16)..(Convert.ToInt32(ends[1], 16) + 1)).Fill(true);
        }

        var text = Enumerable.Range(0, 0x110000).Where(code => code is < 0xD800 or > 0xDFFF).ToArray();
        var parts = new List<PatternPart>();
        new OnigurumaPattern(expression, "test").Partition(text, parts);
        var isFound = new bool[0x110000];
        foreach (var part in parts.Where(part => part.IsMatch))
        {
            isFound.AsSpan(text[part.From]..(text[part.To - 1] + 1)).Fill(true);
        }

        // Three marks of Han and the historic kana have no stand-in of their category and script.
        var isScript = expression is @"\p{Han}" or @"\p{Hiragana}" or @"\p{Katakana}";
        var differences = text.Where(code => isFound[code] != isExpected[code] && !(isScript && code is >= 0x16FE2 and < 0x20000))
            .Select(code => $"{code:X}{(isFound[code] ? "+" : "-")}").ToList();
        Assert.True(differences.Count == 0, $"{differences.Count} differ: {string.Join(' ', differences.Take(40))}");
    }

    private static string Ends(TextPattern pattern, string content)
    {
        var text = AlignedText.Of(content);
        text.Cut(pattern, SplitBehavior.Isolated, invert: false);
        return string.Join(' ', text.Pieces.Select(piece => piece.To));
    }
}
