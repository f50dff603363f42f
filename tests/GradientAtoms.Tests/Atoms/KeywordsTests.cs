using GradientAtoms.Atoms;

namespace GradientAtoms.Tests.Atoms;

public sealed class KeywordsTests
{
    [Fact]
    public void Keywords_are_words_of_the_group_and_not_of_the_others()
    {
        string[] texts =
        [
            "Translate the sentence to French: the cat sleeps.",
            "Translate this sentence to French: a dog runs.",
            "Please translate to French: the house is red.",
            "What is the capital of the country Peru?",
            "Name the capital of the country Chad.",
            "Add the numbers 4 and 5.",
            "Write a poem about the sea.",
            "List the planets.",
            "Is the moon round?",
            "Sort the words.",
            "Count the letters.",
        ];
        var keywords = Keywords.Find(texts, [.. texts.Select(_ => string.Empty)], [[0, 1, 2], [3, 4], []]).Select(words => words.All).ToList();
        Assert.Equal("french", keywords[0][0]);
        Assert.Contains("translate", keywords[0]);
        Assert.DoesNotContain("the", keywords[0]);
        Assert.DoesNotContain("cat", keywords[0]); // one document's word
        Assert.Equal(["capital", "country", "of"], keywords[1].Take(3));
        Assert.Empty(keywords[2]);
    }

    [Fact]
    public void Poles_that_share_their_prompts_get_the_words_that_tell_them_apart()
    {
        // Six groups of five are all asked whether tastes matter, and each is answered in words of its own; the others are of something else.
        string[] own = ["pirate", "robot", "verse", "doubt", "shout", "list"];
        string[] prompts = [.. Enumerable.Range(0, 200).Select(document => document < 30 ? $"does taste matter to {"abcde"[document % 5]}" : $"question {document} of the sea")];
        string[] answers = [.. Enumerable.Range(0, 200).Select(document => document < 30 ? $"the {own[document / 5]} says: a matter of taste" : $"answer {document} of the land")];
        var words = Keywords.Find(prompts, answers, [.. Enumerable.Range(0, 6).Select(group => Enumerable.Range(group * 5, 5).ToArray())]);
        Assert.All(words.Zip(own), pair => Assert.Equal(pair.Second, pair.First.All[0]));
        Assert.All(words.Zip(own), pair => Assert.Equal(pair.Second, pair.First.Answers[0]));
        Assert.All(words, group => Assert.Contains("taste", group.Prompts)); // still said, behind what is its own
        Assert.All(words, group => Assert.DoesNotContain("of", group.All));
        Assert.Equal(6, words.Select(group => group.All[0]).Distinct(StringComparer.Ordinal).Count());

        // Asked and answered are apart: a word that only the answers have is no word of the prompts.
        Assert.All(words.Zip(own), pair => Assert.DoesNotContain(pair.Second, pair.First.Prompts));
    }

    [Theory]
    [InlineData("Don't PANIC, it's 42 o'clock!", new[] { "don't", "panic", "it's", "o'clock" })]
    [InlineData("naïve Straße — Ωμέγα", new[] { "naïve", "straße", "ωμέγα" })]
    [InlineData("x = mp3 + 'quoted'", new[] { "mp3", "quoted" })]
    [InlineData("東京都 Tokyo 3回", new[] { "東京", "京都", "tokyo" })]
    [InlineData("हिन्दी में", new[] { "हिन्दी", "में" })]
    [InlineData("", new string[0])]
    public void Words_are_those_of_a_reader_in_many_scripts(string text, string[] expected) =>
        Assert.Equal(expected, Keywords.Words(text));
}
