using GradientAtoms.Text.Documents;

namespace GradientAtoms.Gradients;

/// <summary>
/// Fixed blocks of documents: the unit of progress, resume, checksum and float64 reduction. Made once from the lengths and the
/// options and written down, so that a resumed pass computes exactly what an uninterrupted one does.
/// </summary>
/// <param name="Blocks">Each a list of batches, each a list of document indices.</param>
public sealed record BatchPlan(IReadOnlyList<IReadOnlyList<IReadOnlyList<int>>> Blocks)
{
    /// <summary>Document indices in the order of the rows that the pass writes: block after block, batch after batch.</summary>
    public IReadOnlyList<int> RowOrder { get; } = [.. Blocks.SelectMany(block => block.SelectMany(batch => batch))];

    /// <summary>The first row of each block.</summary>
    public IReadOnlyList<int> FirstRows { get; } = [.. Blocks.Aggregate(
        (Rows: new List<int>(), Next: 0),
        (state, block) =>
        {
            state.Rows.Add(state.Next);
            return (state.Rows, state.Next + block.Sum(batch => batch.Count));
        }).Rows];

    /// <summary>Documents in a block.</summary>
    public int RowCount(int block) => Blocks[block].Sum(batch => batch.Count);

    /// <summary>Sorts by length, fills batches up to a number of padded tokens, and blocks up to a number of documents.</summary>
    /// <param name="lengths">Tokens of each document.</param>
    /// <param name="batchTokens">Padded tokens of a batch at most; a longer document gets a batch of its own.</param>
    /// <param name="blockDocuments">A block ends with the batch that reaches this number of documents.</param>
    public static BatchPlan Make(IReadOnlyList<int> lengths, int batchTokens, int blockDocuments)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(batchTokens, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(blockDocuments, 1);
        List<IReadOnlyList<IReadOnlyList<int>>> blocks = [];
        List<IReadOnlyList<int>> block = [];
        foreach (var batch in Cut(lengths, Enumerable.Range(0, lengths.Count).OrderBy(index => lengths[index]).ThenBy(index => index), batchTokens))
        {
            block.Add(batch);
            if (block.Sum(done => done.Count) >= blockDocuments)
            {
                blocks.Add(block);
                block = [];
            }
        }

        if (block.Count > 0)
        {
            blocks.Add(block);
        }

        return new(blocks);
    }

    /// <summary>Fills batches in an order that is given: B times the longest document is at most the budget, or B is 1.</summary>
    /// <param name="lengths">Tokens of each document.</param>
    /// <param name="order">Indices of the documents; sorted by length, little is padded.</param>
    /// <param name="batchTokens">Padded tokens of a batch at most; a longer document gets a batch of its own.</param>
    public static IReadOnlyList<IReadOnlyList<int>> Cut(IReadOnlyList<int> lengths, IEnumerable<int> order, int batchTokens)
    {
        List<IReadOnlyList<int>> batches = [];
        List<int> batch = [];
        var longest = 0;
        foreach (var index in order)
        {
            longest = Math.Max(longest, lengths[index]);
            if (batch.Count > 0 && (batch.Count + 1L) * longest > batchTokens)
            {
                batches.Add(batch);
                (batch, longest) = ([], lengths[index]);
            }

            batch.Add(index);
        }

        if (batch.Count > 0)
        {
            batches.Add(batch);
        }

        return batches;
    }

    /// <summary>Batches of some documents for a pass whose batches need not be remembered: longest first (what does not fit in memory fails at once), ties by index.</summary>
    /// <param name="documents">Every document.</param>
    /// <param name="of">Which of them.</param>
    /// <param name="batchTokens">Padded tokens of a batch at most; a longer document gets a batch of its own.</param>
    public static IReadOnlyList<IReadOnlyList<int>> LongestFirst(IReadOnlyList<TokenizedDocument> documents, Func<TokenizedDocument, bool> of, int batchTokens) => Cut(
        [.. documents.Select(document => document.Tokens.Length)],
        Enumerable.Range(0, documents.Count).Where(index => of(documents[index])).OrderByDescending(index => documents[index].Tokens.Length).ThenBy(index => index),
        batchTokens);
}
