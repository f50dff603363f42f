using System.Text.Json.Nodes;
using GradientAtoms.Gradients;
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

    public static Stage Create(AuditOptions options, ModelFiles model, CoordinateChoice choice) => choice.Kind == CoordinateKind.Sketch
        ? SketchStage.Create(options, model, choice.SketchSize)
        : new()
        {
            Name = Name,
            Options = new JsonObject { ["kept"] = "exact", ["batch_tokens"] = options.BatchTokens },
            DependsOn = [DocumentsStage.Name, AdapterStage.Name],
            Inputs = model.WeightInputs,
            Run = context => Run(context, options, model),
        };

    private static void Run(StageContext context, AuditOptions options, ModelFiles model)
    {
        using var scope = NewDisposeScope();
        var texts = DocumentsStage.ReadTexts(context.Folder);
        var documents = DocumentsStage.ReadTokens(context.Folder, texts);
        using var adapter = model.LoadAdapter(context.Folder.PathOf(RunFiles.Adapter));
        var source = new AdapterGradientSource(model.Loaded.Model, adapter);
        context.Notes["layout"] = source.Layout.Hash;
        context.Notes["parameters"] = source.Layout.Size;
        var rotated = context.Blocks(RunFiles.Gradients);
        using var curvature = new CurvaturePass(context, Name, model, source, documents, options.BatchTokens, context.Scratch(Raw), rotated).Run();
        CurvaturePass.RecordSelfCheck(context);
        context.WriteFile(RunFiles.Curvature, path => CurvatureFile.Write(path, curvature.Bases, curvature.Eigenvalues, curvature.Tokens));
        context.Notes["tokens"] = curvature.Tokens;
        context.Notes["mean_eigenvalue"] = curvature.Eigenvalues.mean().item<double>();
        WriteDocuments(context, texts, documents, rotated, "rows");
    }

    /// <summary>Writes the table of documents, with the losses and norms of the pass.</summary>
    public static void WriteDocuments(StageContext context, IReadOnlyList<TextRow> texts, IReadOnlyList<TokenizedDocument> documents, BlockStore shards, string rowsName)
    {
        using var rows = new RotatedRows([.. shards.All.Select(block => shards.PathOf(block.Id))], rowsName);
        var (losses, norms) = (rows.ReadValues("losses"), rows.ReadValues("norms"));
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
}
