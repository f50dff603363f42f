using System.Text.Json.Nodes;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Native;
using GradientAtoms.Runs.Stages;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>What is summed over the documents of a block. Owns it.</summary>
/// <param name="Tensors">The sums by name, float64.</param>
/// <param name="Count">What they count, so far.</param>
/// <param name="Rows">What is kept of a batch, which is added to the sums with it.</param>
/// <param name="Owned">Disposed with it.</param>
internal sealed record BlockSum(IReadOnlyDictionary<string, Tensor> Tensors, Func<long> Count, Func<GradientBatch, IReadOnlyList<(string Name, Tensor Rows)>> Rows, IDisposable Owned) : IDisposable
{
    public void Dispose() => Owned.Dispose();
}

/// <summary>
/// A pass of documents through the model, block by block. A block's rows are written before its sums, so that a pass that was
/// stopped goes on behind its last block and computes exactly what an uninterrupted one does.
/// </summary>
/// <param name="context">Of the stage.</param>
/// <param name="name">Of the pass, for its progress.</param>
/// <param name="source">Computes gradients.</param>
/// <param name="documents">Those that the plan indexes.</param>
/// <param name="plan">Blocks and batches.</param>
/// <param name="shards">Where a block's rows go.</param>
/// <param name="sums">Where its sums go.</param>
internal sealed class ModelPass(
    StageContext context, string name, AdapterGradientSource source, IReadOnlyList<TokenizedDocument> documents, BatchPlan plan, BlockStore shards, BlockSums sums)
{
    /// <summary>The first block that is not done. The notes of the earlier sitting are taken over.</summary>
    /// <param name="range">The blocks of the pass.</param>
    /// <param name="isThere">Whether a block's rows are there.</param>
    public int Resume(BlockRange range, Func<int, bool> isThere)
    {
        var done = sums.Resume(range, isThere);
        TakeNotes(context, sums.LastNotes());
        return done;
    }

    /// <summary>Notes that an earlier sitting had made, where this one has none.</summary>
    public static void TakeNotes(StageContext context, JsonNode? notes)
    {
        foreach (var (key, value) in notes as JsonObject ?? [])
        {
            context.Notes.TryAdd(key, value?.DeepClone());
        }
    }

    /// <summary>Runs the blocks that are not done.</summary>
    /// <param name="range">The blocks of the pass.</param>
    /// <param name="done">The first that is not done.</param>
    /// <param name="begin">Gives the sums of a block, nothing in them yet.</param>
    public void Run(BlockRange range, int done, Func<BlockSum> begin)
    {
        shards.RemoveFrom(done); // written after the last sums: they are made again with the same bits
        var total = Enumerable.Range(range.First, range.Count).Sum(plan.RowCount);
        var passed = Enumerable.Range(range.First, done - range.First).Sum(plan.RowCount);
        for (var block = done; block < range.End; block++)
        {
            using var sum = begin();
            using var rows = new BlockRows(plan.RowCount(block), sum.Rows);
            foreach (var batch in plan.Blocks[block])
            {
                context.CancellationToken.ThrowIfCancellationRequested();
                source.Run(documents, batch, rows);
                passed += batch.Count;
                context.Progress?.Report(new(name, passed, total, "documents", $"loss {rows.LastMeanLoss(documents):0.00} a token"));
            }

            shards.WriteFile(block, rows.Write);
            sums.Add(block, sum.Tensors, sum.Count(), context.Notes);
            FreedMemory.GiveBack();
        }
    }
}
