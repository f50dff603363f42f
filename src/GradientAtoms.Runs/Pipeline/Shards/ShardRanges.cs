using GradientAtoms.Gradients;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>Which blocks a shard does: a pass is cut where about as many padded tokens lie on either side.</summary>
internal static class ShardRanges
{
    /// <summary>The blocks of a shard. Where there are fewer blocks than shards, the last shards have none.</summary>
    /// <param name="plan">The blocks of the pass.</param>
    /// <param name="documents">Those that the plan indexes.</param>
    /// <param name="shard">Which part.</param>
    public static BlockRange Of(BatchPlan plan, IReadOnlyList<TokenizedDocument> documents, ShardId shard)
    {
        var work = plan.Blocks.Select(block => block.Sum(batch => (long)batch.Count * batch.Max(document => documents[document].Tokens.Length))).ToList();
        var parts = Math.Min(shard.Count, work.Count);
        if (shard.Index > parts)
        {
            return new(work.Count, work.Count);
        }

        var (total, passed, end, first) = (work.Sum(), 0L, 0, 0);
        for (var part = 1; part <= shard.Index; part++)
        {
            first = end;

            // At least one block for this part, and one for each that follows.
            do
            {
                passed += work[end++];
            }
            while (end < work.Count - (parts - part) && (part == parts || (passed + (work[end] / 2)) * parts <= total * part));
        }

        return new(first, end);
    }
}
