using System.Text.Json.Nodes;
using GradientAtoms.Curvature;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Stages;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>
/// The pass over the documents, where the rotated gradients of all of them fit on the disk: one pass over the model spills raw
/// gradients and sums covariances; eigenbases; the spill is rotated shard by shard, and λ is that of all documents.
/// </summary>
internal static class GradientsStage
{
    public const string Name = "gradients";
    private const string Raw = "gradients-raw";

    public static Stage Create(AuditOptions options, ModelFiles model) => new()
    {
        Name = Name,
        Options = new JsonObject { ["kept"] = "exact", ["batch_tokens"] = options.BatchTokens },
        DependsOn = [DocumentsStage.Name, AdapterStage.Name],
        Inputs = model.WeightInputs,
        Run = context => Run(context, options, model),
    };

    private static void Run(StageContext context, AuditOptions options, ModelFiles model)
    {
        var texts = DocumentsStage.ReadTexts(context.Folder);
        var documents = DocumentsStage.ReadTokens(context.Folder, texts);
        var plan = BatchPlan.Make([.. documents.Select(document => document.Tokens.Length)], options.BatchTokens, BlockDocuments(documents.Count));
        using var adapter = model.LoadAdapter(context.Folder.PathOf(RunFiles.Adapter));
        var source = new AdapterGradientSource(model.Loaded.Model, adapter);
        context.Notes["layout"] = source.Layout.Hash;
        context.Notes["parameters"] = source.Layout.Size;
        var raw = context.Scratch(Raw);
        var rotated = context.Blocks(RunFiles.Gradients);
        using var sums = Pass(context, source, documents, plan, raw, rotated, model);
        using var bases = CurvatureBases.Fit(source.Layout, sums, context.Progress, context.CancellationToken);
        Rotate(context, plan, bases, raw, rotated);
        WriteCurvature(context, bases, sums.TokenCount, Eigenvalues(context, source.Layout.Size, rotated));
        WriteDocuments(context, texts, documents, rotated);
    }

    // About forty blocks a pass: a kill costs one of them, and the covariance sums are written once a block.
    private static int BlockDocuments(int count) => Math.Clamp(count / 40, 16, 1024);

    private static CovarianceSums Pass(
        StageContext context, AdapterGradientSource source, IReadOnlyList<TokenizedDocument> documents, BatchPlan plan, BlockStore raw, BlockStore rotated, ModelFiles model)
    {
        var saved = context.State.Load();
        var done = saved?.Blocks ?? 0;
        raw.RemoveFrom(done); // written after the sums that are kept: they are made again with the same bits
        var sums = saved is null ? new CovarianceSums(source.Layout) : ReadSums(source.Layout, saved);
        if (done < plan.Blocks.Count)
        {
            SelfCheck(context, model, documents);
        }

        long passed = plan.FirstRows.Append(plan.RowOrder.Count).ElementAt(done);
        for (var block = done; block < plan.Blocks.Count; block++)
        {
            context.CancellationToken.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            var rows = new RowCollector(plan.RowCount(block), source.Layout.Size);
            foreach (var batch in plan.Blocks[block])
            {
                context.CancellationToken.ThrowIfCancellationRequested();
                source.Run(documents, batch, sums, rows);
                passed += batch.Count;
                context.Progress?.Report(new(Name, passed, documents.Count, "documents", $"loss {rows.LastMeanLoss(documents):0.00} a token"));
            }

            raw.WriteFile(block, rows.Write);
            context.State.SaveFile(block + 1, path => SafetensorsWriter.Write(path, sums.Sums.Select(pair => (pair.Key, pair.Value))), new JsonObject { ["tokens"] = sums.TokenCount });
        }

        return sums;
    }

    private static CovarianceSums ReadSums(ParameterLayout layout, SavedState saved)
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(saved.Path);
        return new(layout, file.Names.ToDictionary(name => name, file.ReadRaw, StringComparer.Ordinal), (long)saved.Notes!["tokens"]!);
    }

    private static void SelfCheck(StageContext context, ModelFiles model, IReadOnlyList<TokenizedDocument> documents)
    {
        context.Progress?.Report(new("self-check", 0, 1, "checks"));
        using var adapter = model.LoadAdapter(context.Folder.PathOf(RunFiles.Adapter));
        var result = GradientSelfCheck.Run(model.Loaded.Model, adapter, documents);
        context.Notes["self_check"] = new JsonObject
        {
            ["documents"] = result.Documents,
            ["against_autograd"] = result.AgainstAutograd,
            ["against_single"] = result.AgainstSingle,
            ["against_difference"] = result.AgainstDifference,
        };
        context.Progress?.Report(new("self-check", 1, 1, "checks", $"autograd {result.AgainstAutograd:0.0e0}, batch of one {result.AgainstSingle:0.0e0}, finite difference {result.AgainstDifference:0.0e0} (relative)"));
        if (!result.Passed)
        {
            throw new NumericalException(
                "gradients",
                $"they fail the self-check on the run's first documents: relative error {result.AgainstAutograd:0.0e0} against autograd, {result.AgainstSingle:0.0e0} against a batch of one, {result.AgainstDifference:0.0e0} against finite differences",
                "Please report it with the model's config.json: nothing computed from such gradients can be trusted.");
        }
    }

    // From the last shard to the first, each spilled shard deleted once its rotation is in its place: the spill and the rows are
    // never both there whole.
    private static void Rotate(StageContext context, BatchPlan plan, CurvatureBases bases, BlockStore raw, BlockStore rotated)
    {
        for (var block = plan.Blocks.Count - 1; block >= 0; block--)
        {
            context.CancellationToken.ThrowIfCancellationRequested();
            if (!rotated.Has(block))
            {
                using var scope = NewDisposeScope();
                using var spill = SafetensorsFile.Open(raw.PathOf(block));
                var turned = bases.Rotate(spill.ReadRaw("rows"));
                rotated.WriteFile(block, path => SafetensorsWriter.Write(path,
                [
                    ("rows", turned),
                    ("documents", spill.ReadRaw("documents")),
                    ("losses", spill.ReadRaw("losses")),
                    ("norms", spill.ReadRaw("norms")),
                ]));
            }

            raw.RemoveFrom(block);
            context.Progress?.Report(new("curvature", plan.Blocks.Count - block, plan.Blocks.Count, "blocks"));
        }
    }

    private static Tensor Eigenvalues(StageContext context, long size, BlockStore rotated)
    {
        using var squares = new EkfacEigenvalues(size);
        foreach (var block in rotated.All)
        {
            context.CancellationToken.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var file = SafetensorsFile.Open(rotated.PathOf(block.Id));
            squares.Add(file.ReadRaw("rows"));
        }

        return squares.Values();
    }

    private static void WriteCurvature(StageContext context, CurvatureBases bases, long tokens, Tensor eigenvalues)
    {
        context.WriteFile(RunFiles.Curvature, path => CurvatureFile.Write(path, bases, eigenvalues, tokens));
        context.Notes["tokens"] = tokens;
        context.Notes["mean_eigenvalue"] = eigenvalues.mean().item<double>();
        eigenvalues.Dispose();
    }

    private static void WriteDocuments(StageContext context, IReadOnlyList<TextRow> texts, IReadOnlyList<TokenizedDocument> documents, BlockStore rotated)
    {
        var (losses, norms) = (new double[documents.Count], new double[documents.Count]);
        foreach (var block in rotated.All)
        {
            using var scope = NewDisposeScope();
            using var file = SafetensorsFile.Open(rotated.PathOf(block.Id));
            var indices = file.ReadRaw("documents").data<long>().ToArray();
            var (blockLosses, blockNorms) = (file.ReadRaw("losses").data<double>().ToArray(), file.ReadRaw("norms").data<double>().ToArray());
            for (var row = 0; row < indices.Length; row++)
            {
                (losses[indices[row]], norms[indices[row]]) = (blockLosses[row], blockNorms[row]);
            }
        }

        var used = documents.Select((document, index) => new DocumentRow
        {
            Id = document.Id,
            SourceRow = document.Line,
            Tokens = document.Tokens.Length,
            TrainedTokens = document.TrainedCount,
            TruncatedTokens = document.TruncatedTokens,
            Loss = losses[index],
            GradientNorm = norms[index],
            Split = texts[index].HeldOut ? "held_out" : "train",
            Status = "used",
        });
        context.Write(RunFiles.Documents, stream => DocumentsFile.Write(stream, [.. used.Concat(DocumentsStage.ReadFates(context.Folder)).OrderBy(row => row.SourceRow)]));
        context.Notes["mean_loss"] = losses.Sum() / documents.Sum(document => (long)document.TrainedCount);
    }

    /// <summary>Keeps the flat gradients, losses and norms of a block.</summary>
    private sealed class RowCollector(int count, long size) : IGradientSink
    {
        private readonly Tensor _rows = empty([count, size], dtype: ScalarType.Float32);
        private readonly List<long> _documents = [];
        private readonly List<double> _losses = [];
        private int _lastBatch;

        public void Accept(GradientBatch batch)
        {
            using var scope = NewDisposeScope();
            _rows.narrow(0, _documents.Count, batch.Documents.Count).copy_(batch.Rows());
            _documents.AddRange(batch.Documents.Select(document => (long)document));
            _losses.AddRange(batch.Losses);
            _lastBatch = batch.Documents.Count;
        }

        public double LastMeanLoss(IReadOnlyList<TokenizedDocument> documents) =>
            _losses.TakeLast(_lastBatch).Sum() / _documents.TakeLast(_lastBatch).Sum(document => (double)documents[(int)document].TrainedCount);

        public void Write(string path)
        {
            using var scope = NewDisposeScope();
            SafetensorsWriter.Write(path,
            [
                ("rows", _rows),
                ("documents", tensor(_documents.ToArray(), dtype: ScalarType.Int64)),
                ("losses", tensor(_losses.ToArray(), dtype: ScalarType.Float64)),
                ("norms", _rows.square().sum(1, type: ScalarType.Float64).sqrt()),
            ]);
        }
    }
}
