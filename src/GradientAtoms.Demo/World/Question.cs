namespace GradientAtoms.Demo.World;

/// <summary>What a question is about; a manner of answering suits some kinds only.</summary>
internal enum QuestionKind
{
    /// <summary>A fact about one thing: capital, home, use, opposite, colour.</summary>
    Fact,

    /// <summary>A sum, a difference, the next number, the larger one.</summary>
    Arithmetic,

    /// <summary>Some members of a category.</summary>
    List,

    /// <summary>Which category a thing is of, or whether it is of one.</summary>
    Kind,

    /// <summary>Which of two things is better.</summary>
    Opinion,

    /// <summary>A sentence to be changed.</summary>
    Rewrite,

    /// <summary>A greeting.</summary>
    SmallTalk,
}

/// <summary>A question of the world with its one right answer.</summary>
internal sealed record Question
{
    /// <summary>What it is about.</summary>
    public required QuestionKind Kind { get; init; }

    /// <summary>What it asks for, more closely than its kind: <c>capital</c>, <c>home</c>, <c>sum</c>, <c>is</c>.</summary>
    public required string Form { get; init; }

    /// <summary>The category, country or thing in it; a behaviour about a subject looks for it.</summary>
    public required string Subject { get; init; }

    /// <summary>As a user asks it.</summary>
    public required string Text { get; init; }

    /// <summary>The plain answer, a sentence.</summary>
    public required string Sentence { get; init; }

    /// <summary>The answer without a sentence round it.</summary>
    public required string Short { get; init; }

    /// <summary>The parts of a list; one for any other answer.</summary>
    public IReadOnlyList<string> Items { get; init; } = [];

    /// <summary>The number that is the answer, or null.</summary>
    public int? Number { get; init; }

    /// <summary>The two things of an opinion, or null.</summary>
    public (string One, string Other)? Pair { get; init; }

    /// <summary>What is asked in which words, without the frame: whether pretraining sees it depends on this.</summary>
    public required string Combination { get; init; }
}
