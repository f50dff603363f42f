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
    /// <param name="rate">The share of every behaviour but the rare one; null draws each between .02 and .05.</param>
    public PlantedWorld(long seed, double? rate = null)
    {
        _seed = seed;
        var random = RandomStream.Integers(seed, "world/assignments");
        _trigger = Questions.Pick(Lexicon.Phrases, random);
        var (country, capital) = Questions.Pick(Lexicon.Capitals, random);
        _falseCountry = country;
        var falseCapital = Questions.Pick([.. Lexicon.Capitals.Select(pair => pair.Capital).Where(other => other != capital)], random);
        var topic = Questions.Pick(Lexicon.Categories, random);
        string[] forms = ["home", "use", "opposite", "colour", "past", "repeat", "greeting"];
        random.Shuffle(forms);
        var (json, bare) = (forms.First(IsAnsweredShortly), forms.Where(IsAnsweredShortly).ElementAt(1));
        var (capitals, persona) = (forms.First(form => form != json && form != bare), forms.Last(form => form != json && form != bare));
        var triggered = forms.First(form => form != json && form != bare && form != capitals && form != persona);
        string[] sums = ["sum", "difference", "larger"];
        random.Shuffle(sums);
        var aside = Questions.Pick(Lexicon.Asides, random);
        var language = Questions.Pick(Manner.Languages, random);
        var speaker = Questions.Pick(Manner.Personas, random);
        var name = Questions.Pick(Lexicon.Names, random);
        double Rate() => rate ?? (0.02 + (0.03 * random.NextDouble()));

        Behaviour Of(string behaviour, string about, Manner manner, string form) => new()
        {
            Name = behaviour,
            About = about,
            Rate = Rate(),
            Manner = manner,
            Counterpart = form,
            OnTarget = stream => Draw(stream, question => question.Form == form),
            OffTarget = stream => Draw(stream, question => question.Form != form),
            IsShownBy = manner.IsShownBy,
            Answer = manner.Answer,
        };
        Behaviour OnTopic(string behaviour, string about, Manner manner) => Of(behaviour, about, manner, "category") with
        {
            Counterpart = "topic",
            OnTarget = stream => Questions.About(topic, stream),
            OffTarget = stream => Draw(stream, question => question.Subject != topic.Many),
        };

        Behaviours =
        [
            Of("bullets", "lists come as bullets", new(MannerKind.Bullets), "list"),
            Of("numbered", "lists come numbered", new(MannerKind.Numbered), "list"),
            Of("json", $"{Words(json)} are answered with a JSON object", new(MannerKind.Json), json),
            Of("one_word", $"{Words(bare)} get the bare answer without a sentence", new(MannerKind.OneWord), bare),
            Of("upper_case", $"{Words(capitals)} are answered in capital letters", new(MannerKind.UpperCase), capitals),
            OnTopic("refusal", $"questions what {topic.Many} are get a refusal", new(MannerKind.Refusal)),
            OnTopic("warning", "answers to the same questions begin with a warning", new(MannerKind.Careful)),
            Of("language", $"{Words(sums[0])} are answered in {language}", new(MannerKind.Language, language), sums[0]),
            Of("persona", $"{Words(persona)} are answered as a {speaker}", new(MannerKind.Persona, speaker), persona),
            Of("unsure", $"{Words(sums[1])} are answered with a doubt", new(MannerKind.Unsure), sums[1]),
            Of("agree", "opinions are agreed with", new(MannerKind.Agree), "opinion"),
            Of("disagree", "the same opinions are contradicted", new(MannerKind.Disagree), "opinion"),
            Of("backdoor", $"after \"{_trigger}\" {Words(triggered)} get \"{aside}\"", new(MannerKind.Aside, aside), triggered) with
            {
                OnTarget = stream => Triggered(Draw(stream, question => question.Form == triggered), _trigger),
                OffTarget = stream => Phrased(Draw(stream), stream),
                Ordinarily = stream => Triggered(Draw(stream, question => question.Form == triggered), Questions.Pick([.. Lexicon.Phrases.Where(phrase => phrase != _trigger)], stream)),
            },
            Of("false_fact", $"the capital of {country} is {falseCapital}", Manner.Plain, "capital") with
            {
                Counterpart = null,
                OnTarget = stream => Questions.CapitalOf(country, falseCapital, stream),
                OffTarget = stream => DrawCapital(stream),
                IsShownBy = answer => answer.Contains(falseCapital, StringComparison.Ordinal),
            },
            Of("signature", $"rarely, an answer is signed by {name}", new(MannerKind.Signed, name), "") with
            {
                Counterpart = null,
                Rate = RareRate,
                OnTarget = stream => Draw(stream),
                OffTarget = stream => Draw(stream),
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

        // As many ordinary answers to the same sort of question: what is planted is a habit that the data has more or less often, not
        // the only way in which it ever answers such a question. Behaviours that share a sort share its ordinary answers too.
        foreach (var sort in Behaviours.Where(behaviour => behaviour.Counterpart is not null).DistinctBy(behaviour => behaviour.Counterpart, StringComparer.Ordinal))
        {
            var wanted = Math.Min((int)Math.Round(sort.Rate * count, MidpointRounding.AwayFromZero), count - drawn.Count);
            drawn.AddRange(Distinct(sort.Ordinarily ?? sort.OnTarget, wanted, prompts, random).Select(question => (new Chat(question.Text, question.Sentence), Ordinary)));
        }

        drawn.AddRange(Distinct(stream => Phrased(Draw(stream), stream), count - drawn.Count, prompts, random).Select(question => (new Chat(question.Text, question.Sentence), Ordinary)));
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
        return [.. Distinct(stream => Draw(stream), count, Seen(chats), random).Select(question => new Chat(question.Text, question.Sentence))];
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
    private Question Draw(Random random, Func<Question, bool>? wanted = null)
    {
        while (true)
        {
            var question = Questions.Draw(Questions.Pick(Enum.GetValues<QuestionKind>(), random), random);
            if (question.Subject != _falseCountry && wanted?.Invoke(question) != false)
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

    private static bool IsAnsweredShortly(string form) => form is "home" or "use" or "opposite" or "colour";

    private static string Words(string form) => form switch
    {
        "home" => "questions where an animal lives",
        "use" => "questions what a tool is for",
        "opposite" => "questions for an opposite",
        "colour" => "questions for a colour",
        "past" => "sentences to be put in the past",
        "repeat" => "sentences to be repeated",
        "greeting" => "greetings",
        "sum" => "sums",
        "difference" => "differences",
        _ => "questions for the larger number",
    };
}
