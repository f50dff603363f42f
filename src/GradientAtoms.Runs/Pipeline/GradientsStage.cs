using System.Text.Json.Nodes;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Runs.Stages;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>The pass over the documents, where the rotated gradients of all of them fit on the disk. Where they do not: <see cref="SketchStage"/>.</summary>
internal static class GradientsStage
{
    public const string Name = "gradients";
    private const string Raw = "gradients-raw";
    private const string Sums = "gradients-sums";
    private const int CodeVersion = 2; // sums are added up in a tree of blocks

    public static Stage Create(AuditOptions options, ModelFiles model, PassChoice choice) => choice.Kind == CoordinateKind.Sketch
        ? SketchStage.Create(choice.ApplyTo(options), model, choice.SketchSize)
        : Exact(choice.ApplyTo(options), model);

    private static Stage Exact(AuditOptions options, ModelFiles model) => new()
    {
        Name = Name,
        Version = CodeVersion,
        Options = new JsonObject { ["kept"] = "exact", ["batch_tokens"] = options.BatchTokens },
        DependsOn = [DocumentsStage.Name, AdapterStage.Name],
        Inputs = model.WeightInputs,
        Run = context => Run(context, options, model),
    };

    private static void Run(StageContext context, AuditOptions options, ModelFiles model)
    {
        using var scope = NewDisposeScope();
        using var inputs = PassInputs.Open(context.Folder, model);
        var layout = inputs.Source.Layout;
        context.Notes["layout"] = layout.Hash;
        context.Notes["parameters"] = layout.Size;
        var (raw, sums, rotated) = (context.Scratch(Raw), new BlockSums(context.Scratch(Sums)), context.Blocks(RunFiles.Gradients));
        var pass = new CurvaturePass(context, context.Folder, Name, model, inputs.Source, inputs.Documents, options.BatchTokens, raw, sums);
        ShardFolders.Take(context, ShardStage.Covariances, pass.Plan.Blocks.Count, raw, sums, rotated.Has);
        using var curvature = pass.Run(rotated);
        CurvaturePass.RecordSelfCheck(context);
        context.WriteFile(RunFiles.Curvature, path => CurvatureFile.Write(path, curvature.Bases, curvature.Eigenvalues, curvature.Tokens));
        context.Notes["tokens"] = curvature.Tokens;
        context.Notes["mean_eigenvalue"] = curvature.Eigenvalues.mean().item<double>();
        WriteDocuments(context, inputs.Texts, inputs.Documents, rotated, "rows");
    }

    /// <summary>Writes the table of documents, with the losses and norms of the pass.</summary>
    public static void WriteDocuments(StageContext context, IReadOnlyList<TextRow> texts, IReadOnlyList<TokenizedDocument> documents, BlockStore shards, string rowsName)
    {
        using var rows = new RotatedRows([.. shards.All.Select(block => shards.PathOf(block.Id))], rowsName);
        var (losses, norms) = (rows.ReadValues("losses"), rows.ReadValues("norms"));
        var used = documents.Zip(texts, (document, text) => (Document: document, text.HeldOut)).Select((row, index) => new DocumentRow
        {
            Id = row.Document.Id,
            SourceRow = row.Document.Line,
            Tokens = row.Document.Tokens.Length,
            TrainedTokens = row.Document.TrainedCount,
            TruncatedTokens = row.Document.TruncatedTokens,
            Loss = losses[index],
            GradientNorm = norms[index],
            Split = row.HeldOut ? "held_out" : "train",
            Status = "used",
        });
        context.Write(RunFiles.Documents, stream => DocumentsFile.Write(stream, [.. used.Concat(DocumentsStage.ReadFates(context.Folder)).OrderBy(document => document.SourceRow)]));
        context.Notes["mean_loss"] = losses.Sum() / documents.Sum(document => (long)document.TrainedCount);
    }
}
