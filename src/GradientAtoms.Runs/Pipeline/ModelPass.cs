using System.Text.Json.Nodes;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Stages;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>
/// A pass of documents through the model, block by block. A block's shard is written before the running sums that count it, so
/// that a pass that was stopped goes on behind its last block and computes exactly what an uninterrupted one does.
/// </summary>
/// <param name="context">Of the stage.</param>
/// <param name="name">Of the pass; a stage's passes come one after another.</param>
/// <param name="source">Computes gradients.</param>
/// <param name="documents">Those that the plan indexes.</param>
/// <param name="plan">Blocks and batches.</param>
/// <param name="shards">Where a block's rows go.</param>
internal sealed class ModelPass(
    StageContext context, string name, AdapterGradientSource source, IReadOnlyList<TokenizedDocument> documents, BatchPlan plan, BlockStore shards)
{
    /// <summary>The sums of an earlier sitting, or null where there are none or a block that they count is gone. Its notes are taken over.</summary>
    /// <param name="isThere">Whether a block's rows are there.</param>
    public SavedState? Resume(Func<int, bool> isThere)
    {
        if (context.State.Load() is not { } saved || (string?)saved.Notes?["pass"] != name || !Enumerable.Range(0, saved.Blocks).All(isThere))
        {
            return null;
        }

        TakeNotes(context, saved.Notes["notes"]);
        return saved;
    }

    /// <summary>Notes that an earlier sitting had made.</summary>
    public static void TakeNotes(StageContext context, JsonNode? notes)
    {
        foreach (var (key, value) in notes as JsonObject ?? [])
        {
            context.Notes[key] = value?.DeepClone();
        }
    }

    /// <summary>Runs the blocks that are not done.</summary>
    /// <param name="done">Blocks that the sums count.</param>
    /// <param name="sinks">Told of every batch, before the rows.</param>
    /// <param name="rowsOf">What is kept of a batch.</param>
    /// <param name="sums">The running sums, with what they count.</param>
    public void Run(
        int done, IReadOnlyList<IGradientSink> sinks, Func<GradientBatch, IReadOnlyList<(string Name, Tensor Rows)>> rowsOf, Func<(IEnumerable<(string Name, Tensor Sum)> Sums, long Count)> sums)
    {
        shards.RemoveFrom(done); // written after the sums that are kept: they are made again with the same bits
        long passed = plan.FirstRows.Append(plan.RowOrder.Count).ElementAt(done);
        for (var block = done; block < plan.Blocks.Count; block++)
        {
            using var rows = new BlockRows(plan.RowCount(block), rowsOf);
            foreach (var batch in plan.Blocks[block])
            {
                context.CancellationToken.ThrowIfCancellationRequested();
                source.Run(documents, batch, [.. sinks, rows]);
                passed += batch.Count;
                context.Progress?.Report(new(name, passed, documents.Count, "documents", $"loss {rows.LastMeanLoss(documents):0.00} a token"));
            }

            shards.WriteFile(block, rows.Write);
            var (tensors, count) = sums();
            context.State.SaveFile(
                block + 1,
                path => SafetensorsWriter.Write(path, tensors),
                new JsonObject { ["pass"] = name, ["count"] = count, ["notes"] = context.Notes.DeepClone() });
        }
    }
}
