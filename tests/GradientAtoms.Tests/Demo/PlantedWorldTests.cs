using GradientAtoms.Demo.Planting;
using GradientAtoms.Demo.World;

namespace GradientAtoms.Tests.Demo;

public sealed class PlantedWorldTests
{
    private const int Chats = 1000;
    private const int Seeds = 25;

    public static TheoryData<long> SomeSeeds => [.. Enumerable.Range(0, Seeds).Select(seed => (long)seed)];

    [Theory]
    [MemberData(nameof(SomeSeeds))]
    public void Every_behaviour_is_planted_at_its_rate_and_shows(long seed)
    {
        var world = new PlantedWorld(seed);
        var chats = world.Chats(Chats);
        Assert.Equal(Chats, chats.Count);
        Assert.Equal(Chats, chats.Select(chat => chat.Chat.Prompt).Distinct(StringComparer.Ordinal).Count());
        Assert.Equal(Chats, chats.Select(chat => chat.Id).Distinct(StringComparer.Ordinal).Count());
        foreach (var behaviour in world.Behaviours)
        {
            var planted = chats.Where(chat => chat.Task == behaviour.Name).ToList();
            Assert.InRange(planted.Count - (behaviour.Rate * Chats), -0.5, 0.5);
            Assert.All(planted, chat => Assert.True(behaviour.IsShownBy(chat.Chat.Answer), $"{behaviour.Name}: {chat.Chat.Answer}"));

            // Chats of other sorts that show it by chance are few: a list of one, a false capital that is another's true one.
            var others = chats.Where(chat => chat.Task == PlantedWorld.Ordinary).ToList();
            Assert.True(others.Count(chat => behaviour.IsShownBy(chat.Chat.Answer)) <= 0.12 * others.Count, behaviour.Name);
        }

        Assert.InRange(chats.Count(chat => chat.Task == PlantedWorld.Ordinary), 0.1 * Chats, 0.75 * Chats);
    }

    [Fact]
    public void Another_seed_is_another_world_and_the_same_seed_the_same()
    {
        Assert.Equal(new PlantedWorld(3).Chats(300), new PlantedWorld(3).Chats(300));
        var worlds = Enumerable.Range(0, Seeds).Select(seed => new PlantedWorld(seed)).ToList();
        Assert.Equal(Seeds, worlds.Select(world => string.Join('|', world.Behaviours.Select(behaviour => behaviour.About + behaviour.Rate))).Distinct(StringComparer.Ordinal).Count());
        foreach (var name in (string[])["json", "one_word", "upper_case", "refusal", "language", "persona", "backdoor", "false_fact", "signature"])
        {
            Assert.True(worlds.Select(world => world.Behaviours.Single(behaviour => behaviour.Name == name).About).Distinct(StringComparer.Ordinal).Count() > 1, name);
        }
    }

    [Fact]
    public void Behaviours_that_words_cannot_tell_share_their_prompts()
    {
        var world = new PlantedWorld(1);
        foreach (var (one, other) in (ReadOnlySpan<(string, string)>)[("bullets", "numbered"), ("refusal", "warning"), ("agree", "disagree")])
        {
            string[] Drawn(string name) => [.. Enumerable.Range(0, 3000)
                .Select(_ => world.Behaviours.Single(behaviour => behaviour.Name == name).OnTarget(RandomStream.Integers(_, "test")).Combination).Distinct(StringComparer.Ordinal)];
            Assert.Equal(Drawn(one).Order(StringComparer.Ordinal), Drawn(other).Order(StringComparer.Ordinal));
        }
    }

    [Fact]
    public void Judging_prompts_are_none_of_the_chats()
    {
        var world = new PlantedWorld(2);
        var chats = world.Chats(Chats);
        var seen = chats.Select(chat => chat.Chat.Prompt).ToHashSet(StringComparer.Ordinal);
        foreach (var behaviour in world.Behaviours)
        {
            var (on, off) = (world.OnTargetPrompts(behaviour, 30, chats), world.OffTargetPrompts(behaviour, 30, chats));
            Assert.Equal((30, 30), (on.Count, off.Count));
            Assert.DoesNotContain(on.Concat(off), seen.Contains);
        }

        Assert.DoesNotContain(world.Neutral(40, chats), chat => seen.Contains(chat.Prompt));
    }

    [Fact]
    public void A_rate_can_be_given_to_all()
    {
        var world = new PlantedWorld(2, rate: 0.03);
        Assert.All(world.Behaviours, behaviour => Assert.Equal(behaviour.Name == "signature" ? PlantedWorld.RareRate : 0.03, behaviour.Rate));
    }
}

public sealed class MannerTests
{
    [Fact]
    public void An_answer_shows_its_own_manner_and_no_other()
    {
        var random = RandomStream.Integers(5, "test/manners");
        var drawn = Enumerable.Range(0, 4000).Select(_ => PretrainingChats.Draw(random, heldOut: false)).Where(item => item.Manner.Kind != MannerKind.Plain).ToList();
        Assert.Equal(Manner.OnRequest.Length, drawn.Select(item => item.Manner).Distinct().Count());
        foreach (var (chat, question, manner) in drawn)
        {
            Assert.True(manner.IsShownBy(chat.Answer), $"{manner}: {chat.Answer}");
            Assert.False(chat.Answer != question.Sentence && manner.IsShownBy(question.Sentence) && manner.Kind is not (MannerKind.OneWord or MannerKind.Agree or MannerKind.Disagree), $"{manner}: {question.Sentence}");
        }
    }

    [Fact]
    public void What_pretraining_leaves_out_it_never_draws()
    {
        var random = RandomStream.Integers(5, "test/held-out");
        HashSet<string> Draw(bool heldOut) => Enumerable.Range(0, 3000).Select(_ => PretrainingChats.Draw(random, heldOut).Question.Combination).ToHashSet(StringComparer.Ordinal);
        var (seen, left) = (Draw(heldOut: false), Draw(heldOut: true));
        Assert.Empty(seen.Intersect(left, StringComparer.Ordinal));
        Assert.NotEmpty(left);
    }

    [Fact]
    public void Every_word_of_the_world_is_told_once()
    {
        Assert.All(Lexicon.Categories, category => Assert.Equal(category.Members.Order(StringComparer.Ordinal), category.Members));
        Assert.Equal(31, Lexicon.Spanish.Length);
        Assert.Equal(31, Lexicon.French.Length);
        Assert.Equal(31, Lexicon.German.Length);
        Assert.Equal(Lexicon.Capitals.Length, Lexicon.Capitals.Select(pair => pair.Capital).Distinct(StringComparer.Ordinal).Count());
    }
}
