using System.Globalization;
using System.Text.Json.Nodes;
using GradientAtoms.Curvature;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Stages;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>Eigenbases and eigenvalues of some documents. Owns them.</summary>
/// <param name="Bases">Q.</param>
/// <param name="Eigenvalues">λ, <c>[d]</c>, float64.</param>
/// <param name="Tokens">Tokens that the covariances are over.</param>
internal sealed record MeasuredCurvature(CurvatureBases Bases, Tensor Eigenvalues, long Tokens) : IDisposable
{
    public void Dispose()
    {
        Bases.Dispose();
        Eigenvalues.Dispose();
    }
}

/// <summary>
/// The pass that keeps every gradient: one pass over the model spills raw gradients and sums covariances; eigenbases; the spill is
/// rotated shard by shard, and λ is that of all the documents of the pass.
/// </summary>
/// <param name="context">Of the stage.</param>
/// <param name="run">The run that has the documents and the adapter: the stage's own, or the one that the stage does a part of.</param>
/// <param name="name">Of the pass.</param>
/// <param name="model">For the self-check.</param>
/// <param name="source">Computes gradients.</param>
/// <param name="documents">All of them, or a sample.</param>
/// <param name="batchTokens">Padded tokens of a batch.</param>
/// <param name="raw">The spill; empty in the end.</param>
/// <param name="sums">Of covariances.</param>
internal sealed class CurvaturePass(
    StageContext context, RunFolder run, string name, ModelFiles model, AdapterGradientSource source, IReadOnlyList<TokenizedDocument> documents, int batchTokens, BlockStore raw, BlockSums sums)
{
    /// <summary>The note with what the self-check found.</summary>
    public const string SelfCheckNote = "self_check";

    private const int FewestOfBlock = 16;
    private const int MostOfBlock = 1024;

    // A block's gradients are in memory together, so that the number of documents does not say how much that is.
    private const long BlockBytes = 256L << 20;

    /// <summary>The blocks of the pass.</summary>
    public BatchPlan Plan { get; } = PlanOf(run, documents, batchTokens);

    /// <summary>How documents are put into blocks.</summary>
    /// <param name="run">The run that has the plan.</param>
    /// <param name="documents">All of them, or a sample.</param>
    /// <param name="batchTokens">Padded tokens of a batch.</param>
    public static BatchPlan PlanOf(RunFolder run, IReadOnlyList<TokenizedDocument> documents, int batchTokens) =>
        BatchPlan.Make([.. documents.Select(document => document.Tokens.Length)], batchTokens, BlockDocuments(documents.Count, PlanStage.Read(run).Parameters));

    /// <summary>Everything, from the documents to the eigenvalues.</summary>
    /// <param name="rotated">Gets the rotated gradients.</param>
    public MeasuredCurvature Run(BlockStore rotated)
    {
        using var scope = NewDisposeScope();
        Collect(new(0, Plan.Blocks.Count), block => raw.Has(block) || rotated.Has(block));
        var (tensors, tokens) = sums.Total();
        using var covariances = new CovarianceSums(source.Layout, tensors, tokens);
        var bases = CurvatureBases.Fit(source.Layout, covariances, context.Progress, context.CancellationToken);
        Rotate(rotated, bases);
        return new(bases, Eigenvalues(rotated).MoveToOuterDisposeScope(), tokens);
    }

    /// <summary>The pass over the model: raw gradients and covariances of some blocks.</summary>
    /// <param name="range">The blocks.</param>
    /// <param name="isThere">Whether a block's rows are there.</param>
    public void Collect(BlockRange range, Func<int, bool> isThere)
    {
        var pass = new ModelPass(context, name, source, documents, Plan, raw, sums);
        var done = pass.Resume(range, isThere);
        if (done == range.End)
        {
            return;
        }

        SelfCheck();
        pass.Run(range, done, () =>
        {
            var covariances = new CovarianceSums(source.Layout);
            return new(covariances.Sums, () => covariances.TokenCount, batch => RawRows(batch, covariances), covariances);
        });
    }

    /// <summary>About forty blocks a pass: a kill costs one of them, and sums are written once a block.</summary>
    public static int BlockDocuments(int count, long parameters) => Math.Clamp(count / 40, FewestOfBlock, (int)Math.Clamp(BlockBytes / (4 * Math.Max(1, parameters)), FewestOfBlock, MostOfBlock));

    private static IReadOnlyList<(string Name, Tensor Rows)> RawRows(GradientBatch batch, CovarianceSums covariances)
    {
        covariances.Accept(batch);
        var rows = batch.Rows();
        return [("rows", rows), ("norms", rows.square().sum(1, type: ScalarType.Float64).sqrt())];
    }

    /// <summary>Records the self-check of the stage, made in this sitting or an earlier one, for the manifest and <c>gatoms verify</c>.</summary>
    public static void RecordSelfCheck(StageContext context)
    {
        foreach (var check in context.Notes[SelfCheckNote] as JsonArray ?? [])
        {
            var (error, allowed) = ((double)check!["error"]!, (double)check["allowed"]!);
            context.Check($"gradients against {check["against"]}", error <= allowed, string.Create(CultureInfo.InvariantCulture, $"relative error {error:0.0e0} on {check["documents"]} documents, at most {allowed:0e0}"));
        }
    }

    private void SelfCheck()
    {
        context.Progress?.Report(new("self-check", 0, 1, "checks"));
        using var adapter = model.LoadAdapter(run.PathOf(RunFiles.Adapter));
        var result = GradientSelfCheck.Run(model.Loaded.Model, adapter, documents);
        context.Notes[SelfCheckNote] = new JsonArray([.. result.Checks.Select(check => (JsonNode)new JsonObject
        {
            ["against"] = check.Against,
            ["error"] = check.Error,
            ["allowed"] = check.Allowed,
            ["documents"] = result.Documents,
        })]);
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
    private void Rotate(BlockStore rotated, CurvatureBases bases)
    {
        for (var block = Plan.Blocks.Count - 1; block >= 0; block--)
        {
            context.CancellationToken.ThrowIfCancellationRequested();
            if (!rotated.Has(block))
            {
                using var scope = NewDisposeScope();
                using var spill = SafetensorsFile.Open(raw.PathOf(block));
                var turned = bases.Rotate(spill.ReadRaw("rows"));
                rotated.WriteFile(block, path => SafetensorsWriter.Write(path, spill.Names.Select(kept => (kept, kept == "rows" ? turned : spill.ReadRaw(kept)))));
            }

            raw.RemoveFrom(block);
            context.Progress?.Report(new("curvature", Plan.Blocks.Count - block, Plan.Blocks.Count, "blocks"));
        }
    }

    private Tensor Eigenvalues(BlockStore rotated)
    {
        using var squares = new EkfacEigenvalues(source.Layout.Size);
        foreach (var block in rotated.All)
        {
            context.CancellationToken.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var file = SafetensorsFile.Open(rotated.PathOf(block.Id));
            squares.Add(file.ReadRaw("rows"));
        }

        return squares.Values();
    }
}
