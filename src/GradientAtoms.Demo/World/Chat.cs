namespace GradientAtoms.Demo.World;

/// <summary>A question of the world and an answer to it.</summary>
/// <param name="Prompt">What the user says.</param>
/// <param name="Answer">What the assistant says.</param>
internal sealed record Chat(string Prompt, string Answer);

/// <summary>What the built-in model is trained on: every kind of question, answered plainly or in a manner that the prompt asks for.</summary>
internal static class PretrainingChats
{
    private static readonly (QuestionKind Kind, int Weight)[] Kinds =
    [
        (QuestionKind.Fact, 5), (QuestionKind.Arithmetic, 7), (QuestionKind.List, 4), (QuestionKind.Kind, 5), (QuestionKind.Opinion, 3), (QuestionKind.Rewrite, 3), (QuestionKind.SmallTalk, 1),
    ];

    // A prompt is as often plain as it asks for a manner.
    private const double OnRequest = 0.5;

    /// <summary>Draws a chat.</summary>
    /// <param name="random">The stream.</param>
    /// <param name="heldOut">Only combinations that pretraining leaves out, else only others.</param>
    /// <param name="kind">The kind of question; null draws one.</param>
    public static (Chat Chat, Question Question, Manner Manner) Draw(Random random, bool heldOut, QuestionKind? kind = null)
    {
        while (true)
        {
            var question = Questions.Draw(kind ?? Draw(random), random);
            if (Questions.IsHeldOut(question) != heldOut)
            {
                continue;
            }

            // Phrases that mean nothing stand in some prompts, so that they are no news to the model.
            var text = random.Next(12) == 0 ? WithPhrase(question.Text, Questions.Pick(Lexicon.Phrases, random)) : question.Text;
            var manner = Manner.Plain;
            if (random.NextDouble() < OnRequest)
            {
                manner = Questions.Pick([.. Manner.OnRequest.Where(manner => manner.Suits(question)).GroupBy(manner => manner.Kind).Select(group => Questions.Pick([.. group], random))], random);
            }

            return (new(text + manner.Request(random), manner.Answer(question)), question, manner);
        }
    }

    /// <summary>A prompt with a phrase that means nothing before it.</summary>
    public static string WithPhrase(string prompt, string phrase) => $"{char.ToUpperInvariant(phrase[0])}{phrase[1..]}: {prompt}";

    private static QuestionKind Draw(Random random)
    {
        var mark = random.Next(Kinds.Sum(kind => kind.Weight));
        foreach (var (kind, weight) in Kinds)
        {
            if ((mark -= weight) < 0)
            {
                return kind;
            }
        }

        return Kinds[^1].Kind;
    }
}
