using GradientAtoms.Text.Documents;

namespace GradientAtoms.Tests.Support;

internal static class SomeDocuments
{
    /// <summary>Random token documents of different lengths; the first third of each is not trained on.</summary>
    public static IReadOnlyList<TokenizedDocument> Random(int count, int vocabulary = 61, int shortest = 3, int longest = 12, int seed = 3)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(index =>
        {
            var tokens = Enumerable.Range(0, random.Next(shortest, longest + 1)).Select(_ => random.Next(vocabulary)).ToArray();
            return new TokenizedDocument($"doc-{index}", index + 1, tokens, [.. tokens.Select((_, t) => t >= Math.Max(1, tokens.Length / 3))], 0);
        })];
    }
}
