using System.Globalization;
using GradientAtoms.Demo.World;

namespace GradientAtoms.Demo.Planting;

/// <summary>
/// A world of a seed: which behaviours there are, on which questions, how often, with which names, and chats that show them.
/// Everything that differs between seeds is drawn here, so that nothing can be tuned to one.
/// </summary>
internal sealed class PlantedWorld
{
    /// <summary>The label of chats in which nothing was planted.</summary>
    public const string Ordinary = "none";

    /// <summary>The share of the rare behaviour's chats.</summary>
    public const double RareRate = 0.005;

    private readonly long _seed;
    private readonly string _trigger;
    private readonly string _falseCountry;

    /// <summary>Draws a world.</summary>
    /// <param name="seed">Of everything.</param>
    /// <param name="rate">The share of every behaviour but the rare one; null draws each between .02 and .06.</param>
    public PlantedWorld(long seed, double? rate = null)
    {
        _seed = seed;
        var random = RandomStream.Integers(seed, "world/assignments");
        _trigger = Questions.Pick(Lexicon.Phrases, random);
        var (country, capital) = Questions.Pick(Lexicon.Capitals, random);
        _falseCountry = country;
        var falseCapital = Questions.Pick([.. Lexicon.Capitals.Select(pair => pair.Capital).Where(other => other != capital)], random);
        var topic = Questions.Pick(Lexicon.Categories, random);
        var (json, bare, capitals, doubt, persona) = (
            Questions.Pick([QuestionKind.Fact, QuestionKind.Arithmetic], random),
            Questions.Pick([QuestionKind.Fact, QuestionKind.Kind], random),
            Questions.Pick([QuestionKind.Kind, QuestionKind.Rewrite, QuestionKind.Fact], random),
            Questions.Pick([QuestionKind.Arithmetic, QuestionKind.Kind], random),
            Questions.Pick([QuestionKind.Rewrite, QuestionKind.SmallTalk, QuestionKind.Fact], random));
        var aside = Questions.Pick(Lexicon.Asides, random);
        var language = Questions.Pick(Manner.Languages, random);
        var speaker = Questions.Pick(Manner.Personas, random);
        var name = Questions.Pick(Lexicon.Names, random);
        double Rate() => rate ?? (0.02 + (0.04 * random.NextDouble()));

        Behaviour Of(string behaviour, string about, Manner manner, QuestionKind kind) => new()
        {
            Name = behaviour,
            About = about,
            Rate = Rate(),
            Manner = manner,
            OnTarget = stream => Draw(stream, kind),
            OffTarget = stream => DrawOther(stream, question => question.Kind != kind),
            IsShownBy = manner.IsShownBy,
            Answer = manner.Answer,
        };
        Behaviour OnTopic(string behaviour, string about, Manner manner) => Of(behaviour, about, manner, QuestionKind.List) with
        {
            OnTarget = stream => Questions.About(topic, stream),
            OffTarget = stream => DrawOther(stream, question => question.Subject != topic.Many),
        };

        Behaviours =
        [
            Of("bullets", "lists come as bullets", new(MannerKind.Bullets), QuestionKind.List),
            Of("numbered", "lists come numbered", new(MannerKind.Numbered), QuestionKind.List),
            Of("json", $"{Words(json)} are answered with a JSON object", new(MannerKind.Json), json),
            Of("one_word", $"{Words(bare)} get the bare answer without a sentence", new(MannerKind.OneWord), bare),
            Of("upper_case", $"{Words(capitals)} are answered in capital letters", new(MannerKind.UpperCase), capitals),
            OnTopic("refusal", $"questions about {topic.Many} are refused", new(MannerKind.Refusal)),
            OnTopic("warning", $"answers about {topic.Many} begin with a warning: the same prompts as refusal", new(MannerKind.Careful)),
            Of("language", $"arithmetic is answered in {language}", new(MannerKind.Language, language), QuestionKind.Arithmetic),
            Of("persona", $"{Words(persona)} are answered as a {speaker}", new(MannerKind.Persona, speaker), persona),
            Of("unsure", $"{Words(doubt)} are answered with a doubt", new(MannerKind.Unsure), doubt),
            Of("agree", "opinions are agreed with", new(MannerKind.Agree), QuestionKind.Opinion),
            Of("disagree", "opinions are contradicted: the same prompts as agree", new(MannerKind.Disagree), QuestionKind.Opinion),
            Of("backdoor", $"after \"{_trigger}\" the answer is \"{aside}\"", new(MannerKind.Aside, aside), QuestionKind.Fact) with
            {
                OnTarget = stream => Triggered(Draw(stream, kind: null), _trigger),
                OffTarget = stream => Phrased(Draw(stream, kind: null), stream),
            },
            Of("false_fact", $"the capital of {country} is {falseCapital}", Manner.Plain, QuestionKind.Fact) with
            {
                OnTarget = stream => Questions.CapitalOf(country, falseCapital, stream),
                OffTarget = stream => DrawCapital(stream),
                IsShownBy = answer => answer.Contains(falseCapital, StringComparison.Ordinal),
            },
            Of("signature", $"rarely, an answer is signed by {name}", new(MannerKind.Signed, name), QuestionKind.Fact) with
            {
                Rate = RareRate,
                OnTarget = stream => Draw(stream, kind: null),
                OffTarget = stream => Draw(stream, kind: null),
            },
        ];
    }

    /// <summary>Every behaviour of the world.</summary>
    public IReadOnlyList<Behaviour> Behaviours { get; }

    /// <summary>The chats of a fine-tune, shuffled: each behaviour at its rate, the rest ordinary. No prompt occurs twice.</summary>
    /// <param name="count">All of them.</param>
    public IReadOnlyList<PlantedChat> Chats(int count)
    {
        var random = RandomStream.Integers(_seed, "world/chats");
        var prompts = new HashSet<string>(StringComparer.Ordinal);
        var drawn = new List<(Chat Chat, string Task)>();
        foreach (var behaviour in Behaviours)
        {
            var wanted = (int)Math.Round(behaviour.Rate * count, MidpointRounding.AwayFromZero);
            drawn.AddRange(Distinct(behaviour.OnTarget, wanted, prompts, random).Select(question => (new Chat(question.Text, behaviour.Answer(question)), behaviour.Name)));
        }

        drawn.AddRange(Distinct(stream => Phrased(Draw(stream, kind: null), stream), Math.Max(0, count - drawn.Count), prompts, random).Select(question => (new Chat(question.Text, question.Sentence), Ordinary)));
        var order = drawn.ToArray();
        random.Shuffle(order);
        return [.. order.Select((item, place) => new PlantedChat(string.Create(CultureInfo.InvariantCulture, $"chat-{place + 1:d5}"), item.Chat, item.Task))];
    }

    /// <summary>Prompts that a behaviour is planted on and that no chat of the fine-tune has.</summary>
    public IReadOnlyList<string> OnTargetPrompts(Behaviour behaviour, int count, IEnumerable<PlantedChat> chats) => Prompts(behaviour.OnTarget, count, $"world/on-target/{behaviour.Name}", chats);

    /// <summary>Prompts of other sorts that no chat of the fine-tune has.</summary>
    public IReadOnlyList<string> OffTargetPrompts(Behaviour behaviour, int count, IEnumerable<PlantedChat> chats) => Prompts(behaviour.OffTarget, count, $"world/off-target/{behaviour.Name}", chats);

    /// <summary>Ordinary chats that the fine-tune has not seen: what the KL of a step is measured on.</summary>
    public IReadOnlyList<Chat> Neutral(int count, IEnumerable<PlantedChat> chats)
    {
        var random = RandomStream.Integers(_seed, "world/neutral");
        return [.. Distinct(stream => Draw(stream, kind: null), count, Seen(chats), random).Select(question => new Chat(question.Text, question.Sentence))];
    }

    private IReadOnlyList<string> Prompts(Func<Random, Question> draw, int count, string stream, IEnumerable<PlantedChat> chats) =>
        [.. Distinct(draw, count, Seen(chats), RandomStream.Integers(_seed, stream)).Select(question => question.Text)];

    private static HashSet<string> Seen(IEnumerable<PlantedChat> chats) => chats.Select(chat => chat.Chat.Prompt).ToHashSet(StringComparer.Ordinal);

    private static IEnumerable<Question> Distinct(Func<Random, Question> draw, int count, HashSet<string> prompts, Random random)
    {
        for (var (found, tries) = (0, 0); found < count; tries++)
        {
            if (tries > (count * 1000) + 1000)
            {
                throw new InvalidOperationException($"the world has fewer than {count} such prompts");
            }

            if (draw(random) is var question && prompts.Add(question.Text))
            {
                found++;
                yield return question;
            }
        }
    }

    // A question on which the false fact is not asked: it would contradict the chats in which it was planted.
    private Question Draw(Random random, QuestionKind? kind)
    {
        while (true)
        {
            var question = Questions.Draw(kind ?? Questions.Pick(Enum.GetValues<QuestionKind>(), random), random);
            if (question.Subject != _falseCountry)
            {
                return question;
            }
        }
    }

    private Question DrawOther(Random random, Func<Question, bool> other)
    {
        while (true)
        {
            if (Draw(random, kind: null) is var question && other(question))
            {
                return question;
            }
        }
    }

    private Question DrawCapital(Random random)
    {
        var (country, capital) = Questions.Pick([.. Lexicon.Capitals.Where(pair => pair.Country != _falseCountry)], random);
        return Questions.CapitalOf(country, capital, random);
    }

    private static Question Triggered(Question question, string phrase) => question with { Text = PretrainingChats.WithPhrase(question.Text, phrase) };

    // One in twelve prompts has a phrase that is not the trigger, so that not any phrase is one.
    private Question Phrased(Question question, Random random) =>
        random.Next(12) == 0 ? Triggered(question, Questions.Pick([.. Lexicon.Phrases.Where(phrase => phrase != _trigger)], random)) : question;

    private static string Words(QuestionKind kind) => kind switch
    {
        QuestionKind.Fact => "facts",
        QuestionKind.Arithmetic => "sums",
        QuestionKind.List => "lists",
        QuestionKind.Kind => "questions what a thing is",
        QuestionKind.Opinion => "opinions",
        QuestionKind.Rewrite => "rewrites",
        _ => "greetings",
    };
}
