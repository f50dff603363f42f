namespace GradientAtoms.Atoms;

/// <summary>Words that set groups of documents apart from all others.</summary>
public static class Keywords
{
    /// <summary>Finds each group's words by class-based tf-idf.</summary>
    /// <param name="texts"><c>[N]</c>.</param>
    /// <param name="groups">The documents of each group, as rows.</param>
    /// <param name="count">Words a group, at most.</param>
    /// <returns>The words of each group, the most telling first.</returns>
    public static IReadOnlyList<IReadOnlyList<string>> Find(IReadOnlyList<string> texts, IReadOnlyList<int[]> groups, int count = 8)
        => throw new NotSupportedException("being built");
}
