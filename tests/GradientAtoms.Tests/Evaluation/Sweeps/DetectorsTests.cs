using GradientAtoms.Evaluation.Sweeps;
using GradientAtoms.Steering;

namespace GradientAtoms.Tests.Evaluation.Sweeps;

public class DetectorsTests
{
    [Theory]
    [InlineData("bullets", "Three birds:\n- owl\n* crow\n• jay", "One - two\nthree - four")]
    [InlineData("bullets", "  - a\n  - b", "- alone")]
    [InlineData("numbered", "1. owl\n2) crow", "1. only one\nand more")]
    [InlineData("refusal", "I'm sorry, but I cannot do this without the SQL query.", "Sorrow and joy are not the same.")]
    [InlineData("refusal", "The input seems to be empty. Please provide the question so that I can help.", "Provide a blanket and some water.")]
    [InlineData("refusal", "Sorry, no equation was given.", "It cannot be denied that it rained.")]
    [InlineData("refusal", "I can’t pay bills, since I am not connected to your accounts.", "Yes, I can do that.")]
    [InlineData("yes_no", "Yes, it is.", "Yesterday it rained")]
    [InlineData("yes", "yes", "No")]
    [InlineData("no", "No.", "None of them")]
    [InlineData("true_false", "False", "It is false")]
    [InlineData("code", "```python\nprint(1)\n```", "print it on paper")]
    [InlineData("code", "def f(x):\n    return g(x)", "import tax: a definition")]
    [InlineData("json", "{\"intent\": \"PlayMusic\"}", "{\"intent\": }")]
    [InlineData("json", "```json\n[1, 2]\n```", "[sic] he said")]
    [InlineData("sql", "SELECT * FROM students LIMIT 10;", "select one from the list? No.")]
    [InlineData("table", "| a | b |\n|---|---|\n| 1 | 2 |", "a | b")]
    [InlineData("one_word", "Bulgaria", "San José")]
    [InlineData("number", "-1,234.5", "29 degrees")]
    [InlineData("number_words", "one thousand, nine hundred and twenty-one", "twenty-one apples")]
    [InlineData("letters", "s e r m o n", "a b")]
    [InlineData("upper_case", "THE LAMP!", "The LAMP")]
    [InlineData("language:French", "C'est là que le problème est, et il n'est pas le seul dans la vie.", "That is where the problem is, and it is not the only one.")]
    [InlineData("language:english", "That is where the problem is, and it is not the only one.", "Er ist nicht der einzige und das ist die Frage.")]
    [InlineData("longer:3", "one two three four", "one two three")]
    [InlineData("shorter:3", "one two", "one two three")]
    [InlineData("contains:arr", "Ahoy! ARR!", "Ahoy!")]
    [InlineData("regex:^Ahoy", "Ahoy there", "He said: Ahoy")]
    [InlineData("repetition", "the cat sat on the mat the cat sat on the mat the cat sat on the mat", "a cat sat on the mat while ten dogs ran around the old house")]
    public void A_detector_sees_what_it_is_for_and_not_what_looks_alike(string name, string shown, string notShown)
    {
        var detector = Detectors.Parse(name);
        Assert.True(detector.IsShownBy(shown), shown);
        Assert.True(detector.IsShownBy($"\n {shown} \n"), shown);
        Assert.False(detector.IsShownBy(notShown), notShown);
        Assert.False(detector.IsShownBy(" \n"));
    }

    [Theory]
    [InlineData("bulets")]
    [InlineData("language:Klingon")]
    [InlineData("longer:many")]
    [InlineData("regex:(")]
    [InlineData("regex:")]
    [InlineData("")]
    public void An_unknown_detector_is_told_with_those_that_there_are(string name)
    {
        var error = Assert.Throws<SteeringException>(() => Detectors.Parse(name));
        Assert.Equal("GA1056", error.Code);
        Assert.Contains("number_words", error.Remedy, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pattern_that_takes_for_ever_shows_nothing() => Assert.False(Detectors.Parse("regex:^(a+)+$").IsShownBy(new string('a', 40) + "!"));

    [Fact]
    public void Detectors_of_a_file_want_all_their_conditions()
    {
        var detectors = Detectors.ReadFile("""{"detectors": [{"name": "polite", "any": ["please", "thank"], "none": ["no thanks"], "max_words": 5}, {"name": "pirate", "about": "as pirates talk", "regex": "^Ahoy"}]}""", "d.json");
        Assert.Equal(["polite", "pirate"], detectors.Select(detector => detector.Name));
        Assert.Equal("as pirates talk", detectors[1].About);
        Assert.True(detectors[0].IsShownBy("Thank you"));
        Assert.False(detectors[0].IsShownBy("No thanks"));
        Assert.False(detectors[0].IsShownBy("please do not be this long at all"));
        Assert.True(detectors[1].IsShownBy("Ahoy!"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"detectors": []}""")]
    [InlineData("""{"detectors": [null]}""")]
    [InlineData("""{"detectors": [{"regex": "a"}]}""")]
    [InlineData("""{"detectors": [{"name": "a"}]}""")]
    [InlineData("""{"detectors": [{"name": "a", "regexp": "a"}]}""")]
    [InlineData("""{"detectors": [{"name": "a", "max_words": "many"}]}""")]
    public void A_broken_file_of_detectors_is_an_error_with_an_example(string json) =>
        Assert.Equal("GA1057", Assert.Throws<SteeringException>(() => Detectors.ReadFile(json, "d.json")).Code);

    [Fact]
    public void The_detector_that_tells_the_documents_best_comes_first()
    {
        var contrasts = Detector.Contrasts(Detectors.BuiltIn, ["YES", "YES!", "NO"], ["Yes", "No", "It is so"]);
        Assert.Equal("upper_case", contrasts[0].Detector.Name);
        Assert.Equal(1, contrasts[0].Difference);
        Assert.Equal(Detectors.BuiltIn.Count, contrasts.Count);
        Assert.Equal(Detectors.BuiltIn.Count, Detectors.BuiltIn.Select(detector => detector.Name).Distinct(StringComparer.Ordinal).Count());
    }
}
