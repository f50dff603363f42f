namespace GradientAtoms.Text.Documents;

/// <summary>What did not become tokens, of documents that go by one after another.</summary>
/// <param name="file">The data file, for the rejected rows.</param>
public sealed class TokenizationLosses(string file)
{
    private readonly List<RejectedRow> rejected = [];

    /// <summary>The documents that could not be used, and the turns of split ones that could not.</summary>
    public IReadOnlyList<RejectedRow> Rejected => rejected;

    /// <summary>Documents that became several, because the template rewrites earlier turns.</summary>
    public int SplitCount { get; internal set; }

    internal void Reject(int line, string reason) => rejected.Add(new(file, line, reason));
}
