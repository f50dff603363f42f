using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace GradientAtoms.Demo.World;

/// <summary>Asks: every question of the world, in several wordings and frames.</summary>
internal static class Questions
{
    private static readonly string[] Openings =
        ["", "", "", "Please tell me: ", "Quick question. ", "I would like to know: ", "Hello. ", "One more thing. ", "For my notes: ", "My friend asks: ", "Listen. ", "Excuse me. "];

    private static readonly string[] Endings = ["", "", "", " Thank you.", " Please.", " I am curious.", " It is for school.", " Take your time."];

    /// <summary>Draws a question of a kind.</summary>
    public static Question Draw(QuestionKind kind, Random random)
    {
        var question = kind switch
        {
            QuestionKind.Fact => Fact(random),
            QuestionKind.Arithmetic => Arithmetic(random),
            QuestionKind.List => List(Pick(Lexicon.Categories, random), random),
            QuestionKind.Kind => random.Next(2) == 0 ? Category(Pick(Lexicon.Categories, random), random) : IsA(Pick(Lexicon.Categories, random), random),
            QuestionKind.Opinion => Opinion(random),
            QuestionKind.Rewrite => Rewrite(random),
            _ => SmallTalk(random),
        };
        return Framed(question, random);
    }

    /// <summary>Draws a question what a member of one category is.</summary>
    public static Question About(Lexicon.Category category, Random random) => Framed(Category(category, random), random);

    /// <summary>Draws a question for the capital of one country.</summary>
    public static Question CapitalOf(string country, string capital, Random random) => Framed(Capital(country, capital, random), random);

    /// <summary>Whether pretraining leaves a question in its wording out, in all frames and manners: one in ten. A greeting is never left out: its reply does not follow from others.</summary>
    public static bool IsHeldOut(Question question) => question.Kind != QuestionKind.SmallTalk && SHA256.HashData(Encoding.UTF8.GetBytes(question.Combination))[0] % 10 == 0;

    private static Question Framed(Question question, Random random) =>
        question with { Text = Pick(Openings, random) + question.Text + Pick(Endings, random) };

    private static Question Fact(Random random)
    {
        var wording = random.Next(3);
        switch (random.Next(5))
        {
            case 0:
                var (country, capital) = Pick(Lexicon.Capitals, random);
                return Capital(country, capital, random);
            case 1:
                var (animal, home) = Pick(Lexicon.Homes, random);
                return Told(QuestionKind.Fact, "home", animal, wording, $"The {animal} lives in {home}.", home, $"Where does the {animal} live?", $"What is the home of the {animal}?", $"Where can I find the {animal}?");
            case 2:
                var (tool, use) = Pick(Lexicon.Uses, random);
                return Told(QuestionKind.Fact, "use", tool, wording, $"The {tool} is for {use}.", use, $"What is the {tool} for?", $"What do people use the {tool} for?", $"Why would I need the {tool}?");
            case 3:
                var pair = Pick(Lexicon.Opposites, random);
                var (word, opposite) = random.Next(2) == 0 ? pair : (pair.Other, pair.One);
                return Told(QuestionKind.Fact, "opposite", word, wording, $"The opposite of {word} is {opposite}.", opposite, $"What is the opposite of {word}?", $"Which word is the opposite of {word}?", $"Give me the opposite of {word}.");
            default:
                var (thing, colour) = Pick(Lexicon.Colours, random);
                return Told(QuestionKind.Fact, "colour", thing, wording, $"The colour of {thing} is {colour}.", colour, $"What colour is {thing}?", $"Which colour does {thing} have?", $"Tell me the colour of {thing}.");
        }
    }

    private static Question Capital(string country, string capital, Random random) => Told(
        QuestionKind.Fact, "capital", country, random.Next(4), $"The capital of {country} is {capital}.", capital,
        $"What is the capital of {country}?", $"Which city is the capital of {country}?", $"Name the capital of {country}.", $"Do you know the capital of {country}?");

    private static Question Arithmetic(Random random)
    {
        var (one, other) = (random.Next(16), random.Next(16));
        string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
        var wording = random.Next(3);
        switch (random.Next(4))
        {
            case 0:
            case 1:
                return Told(
                    QuestionKind.Arithmetic, "sum", "sum", wording, $"{one} plus {other} is {one + other}.", Text(one + other),
                    $"What is {one} plus {other}?", $"How much is {one} + {other}?", $"Add {one} and {other}.")
                    with { Number = one + other };
            case 2:
                var (large, small) = (Math.Max(one, other) + random.Next(6), Math.Min(one, other));
                return Told(
                    QuestionKind.Arithmetic, "difference", "difference", wording, $"{large} minus {small} is {large - small}.", Text(large - small),
                    $"What is {large} minus {small}?", $"How much is {large} - {small}?", $"Take {small} from {large}.")
                    with { Number = large - small };
            default:
                other = other == one ? one + 1 : other;
                var larger = Math.Max(one, other);
                return Told(
                    QuestionKind.Arithmetic, "larger", "larger", wording, $"The larger number is {larger}.", Text(larger),
                    $"Which is larger, {one} or {other}?", $"Is {one} or {other} the larger number?", $"Compare {one} and {other}: which is more?")
                    with { Number = larger };
        }
    }

    private static Question List(Lexicon.Category category, Random random)
    {
        var (count, wording) = (2 + random.Next(4), random.Next(4));
        string[] items = [.. category.Members.Take(count)];
        var number = Lexicon.Counts[count];
        return Told(
            QuestionKind.List, "list", category.Many, wording, $"{string.Join(", ", items[..^1])} and {items[^1]}.", string.Join(", ", items),
            $"Name {number} {category.Many}.", $"List {number} {category.Many}.", $"Give me {number} {category.Many}.", $"Which {number} {category.Many} do you know?")
            with { Items = items, Combination = $"list {category.Many} {count} {wording}" };
    }

    private static Question Category(Lexicon.Category category, Random random)
    {
        var (thing, wording) = (Pick(category.Members, random), random.Next(3));
        return Told(
            QuestionKind.Kind, "category", category.Many, wording, $"The word {thing} names {Article(category.One)} {category.One}.", category.One,
            $"What kind of thing is {thing}?", $"What sort of thing does {thing} name?", $"Tell me what {thing} is.")
            with { Combination = $"category {thing} {wording}" };
    }

    private static Question IsA(Lexicon.Category category, Random random)
    {
        var other = random.Next(2) == 0 ? category : Pick(Lexicon.Categories, random);
        var thing = Pick(category.Members, random);

        // Some words are of two categories: the orange, the ash. Both are right, so the second is looked for too.
        var isOne = other.Members.Contains(thing, StringComparer.Ordinal);
        var (article, label) = (Article(other.One), other.One);
        return Told(
            QuestionKind.Kind, "is", category.Many, random.Next(3),
            isOne ? $"Yes, {thing} is {article} {label}." : $"No, {thing} is not {article} {label}.", isOne ? "yes" : "no",
            $"Is {thing} {article} {label}?", $"Would you call {thing} {article} {label}?", $"Tell me if {thing} is {article} {label}.")
            with { Combination = $"is {thing} {label}" };
    }

    private static Question Opinion(Random random)
    {
        var category = Pick(Lexicon.Categories, random);
        var one = Pick(category.Members, random);
        var other = Pick([.. category.Members.Where(member => member != one)], random);
        return Told(
            QuestionKind.Opinion, "opinion", category.Many, random.Next(3), "That is a matter of taste.", "neither",
            $"Is {one} better than {other}?", $"Do you like {one} more than {other}?", $"Would you take {one} over {other}?")
            with { Pair = (one, other), Combination = $"opinion {one} {other}" };
    }

    private static Question Rewrite(Random random)
    {
        var (adjective, subject, verb, place) = (Pick(Lexicon.Adjectives, random), Pick(Lexicon.Subjects, random), Pick(Lexicon.Verbs, random), Pick(Lexicon.Places, random));
        var sentence = $"The {adjective} {subject} {verb.Now} {place}.";
        var (form, ask, answer) = random.Next(4) switch
        {
            0 => ("past", "Put this in the past: ", $"The {adjective} {subject} {verb.Then} {place}."),
            1 => ("question", "Make this a question: ", $"Who {verb.Now} {place}? The {adjective} {subject}."),
            2 => ("shorten", "Leave out the place: ", $"The {adjective} {subject} {verb.Now}."),
            _ => ("repeat", "Repeat this: ", sentence),
        };
        return new()
        {
            Kind = QuestionKind.Rewrite,
            Form = form,
            Subject = subject,
            Text = ask + sentence,
            Sentence = answer,
            Short = answer.TrimEnd('.'),
            Items = [answer],
            Combination = ask + sentence,
        };
    }

    private static Question SmallTalk(Random random)
    {
        var (greeting, reply) = Pick(Lexicon.SmallTalk, random);
        return new()
        {
            Kind = QuestionKind.SmallTalk,
            Form = "greeting",
            Subject = greeting,
            Text = greeting,
            Sentence = reply,
            Short = reply.TrimEnd('.'),
            Items = [reply],
            Combination = $"talk {greeting}",
        };
    }

    private static Question Told(QuestionKind kind, string form, string subject, int wording, string sentence, string shortAnswer, params ReadOnlySpan<string> wordings) => new()
    {
        Kind = kind,
        Form = form,
        Subject = subject,
        Text = wordings[wording],
        Sentence = char.ToUpperInvariant(sentence[0]) + sentence[1..],
        Short = shortAnswer,
        Items = [shortAnswer],
        Combination = wordings[wording],
    };

    private static string Article(string word) => "aeiou".Contains(word[0], StringComparison.Ordinal) ? "an" : "a";

    internal static T Pick<T>(T[] among, Random random) => among[random.Next(among.Length)];
}
