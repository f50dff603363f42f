using System.Globalization;
using GradientAtoms.Confounders;

namespace GradientAtoms.Tests.Confounders;

public sealed class NearDuplicatesTests
{
    [Fact]
    public void Texts_that_differ_in_a_word_are_a_group_and_others_are_alone()
    {
        var random = new Random(2);
        string Text(int words) => string.Join(' ', Enumerable.Range(0, words).Select(_ => random.Next(1000).ToString(CultureInfo.InvariantCulture)));
        var base_ = Text(80);
        string[] texts = [Text(80), base_, Text(40), base_ + " more", Text(80), base_.ToUpperInvariant(), "", "two words", "Two  words", ""];
        Assert.Equal([0, 1, 2, 1, 4, 1, 6, 7, 7, 9], NearDuplicates.Groups(texts));
    }

    [Fact]
    public void Groups_are_those_of_all_pairs_measured()
    {
        // Chains of texts, each a few words from the one before: the groups are what is connected by pairs of .7 and more.
        var random = new Random(7);
        var texts = new List<string>();
        for (var chain = 0; chain < 12; chain++)
        {
            var words = Enumerable.Range(0, 60).Select(_ => random.Next(5000)).ToArray();
            for (var link = 0; link < 5; link++)
            {
                words[random.Next(60)] = random.Next(5000);
                texts.Add(string.Join(' ', words));
            }
        }

        int[] expected = [.. Enumerable.Range(0, texts.Count)];
        for (var one = 0; one < texts.Count; one++)
        {
            for (var other = 0; other < one; other++)
            {
                if (Jaccard(texts[one], texts[other]) >= 0.7)
                {
                    var (low, high) = (Math.Min(expected[one], expected[other]), Math.Max(expected[one], expected[other]));
                    expected = [.. expected.Select(group => group == high ? low : group)];
                }
            }
        }

        Assert.Equal(expected, NearDuplicates.Groups(texts));
        Assert.True(expected.Distinct().Count() < texts.Count / 2);
    }

    private static double Jaccard(string one, string other)
    {
        static HashSet<string> Triples(string text)
        {
            var words = text.Split(' ');
            return [.. Enumerable.Range(0, words.Length - 2).Select(at => string.Join(' ', words[at..(at + 3)]))];
        }

        var (a, b) = (Triples(one), Triples(other));
        var shared = a.Count(b.Contains);
        return (double)shared / (a.Count + b.Count - shared);
    }
}
