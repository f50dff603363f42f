using System.Text.Json.Nodes;
using GradientAtoms.Coordinates;
using GradientAtoms.Curvature;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Stages;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>
/// The gradients stage where the gradients of all documents do not fit on the disk, in two passes over the model: a sample of the
/// documents gives eigenbases, λ, and the sketch's own error; then every document is rotated, whitened with the sample's λ and
/// sketched in the pass, and only the sketches stay.
/// </summary>
/// <remarks>Each shard holds <c>whitened</c> and <c>raw</c> [n, k], <c>norms</c>, <c>whitened_norms</c> and <c>losses</c> [n], and <c>documents</c> [n].</remarks>
internal static class SketchStage
{
    public const string Whitened = "whitened";
    public const string Raw = "raw";
    public const string WhitenedNorms = "whitened_norms";
    private const int SmallestSample = 64;

    public static Stage Create(AuditOptions options, ModelFiles model, int size) => new()
    {
        Name = GradientsStage.Name,
        Options = new JsonObject
        {
            ["kept"] = "sketch",
            ["batch_tokens"] = options.BatchTokens,
            ["sketch_size"] = size,
            ["seed"] = options.Seed,
            ["sample_share"] = options.SampleShare,
            ["damping"] = options.Damping,
        },
        DependsOn = [DocumentsStage.Name, AdapterStage.Name],
        Inputs = model.WeightInputs,
        Run = context => Run(context, options, model, size),
    };

    /// <summary>Documents of the sample: a share of all, but not fewer than 64 where there are as many.</summary>
    public static int SampleCount(int documents, double share) => Math.Min(documents, Math.Max(SmallestSample, (int)Math.Ceiling(documents * share)));

    private static void Run(StageContext context, AuditOptions options, ModelFiles model, int size)
    {
        using var scope = NewDisposeScope();
        var texts = DocumentsStage.ReadTexts(context.Folder);
        var documents = DocumentsStage.ReadTokens(context.Folder, texts);
        using var adapter = model.LoadAdapter(context.Folder.PathOf(RunFiles.Adapter));
        var source = new AdapterGradientSource(model.Loaded.Model, adapter);
        var projector = new SketchProjector(size, options.Seed);
        var (spill, sampled, sample) = (context.Scratch("gradients-raw"), context.Scratch("gradients-sample"), context.Scratch("curvature-sample")); // the last with one shard: what the sample gave
        if (sample.Has(0))
        {
            ModelPass.TakeNotes(context, sample[0].Notes);
        }
        else
        {
            context.Notes["layout"] = source.Layout.Hash;
            context.Notes["parameters"] = source.Layout.Size;
            Measure(context, options, model, source, documents, projector, spill, sampled, sample);
        }

        sampled.RemoveFrom(0);

        using var curvature = CurvatureFile.Read(sample.PathOf(0), source.Layout);
        using var whitening = Whitening.Ekfac(curvature.Eigenvalues, options.Damping);
        var shards = context.Blocks(RunFiles.Gradients);
        using var squares = Sketch(context, options, source, documents, curvature.Bases, whitening, projector, shards);
        var eigenvalues = squares.Values();
        Compare(context, curvature.Eigenvalues, eigenvalues, whitening.Damping);
        CurvaturePass.RecordSelfCheck(context);
        context.WriteFile(RunFiles.Curvature, path => CurvatureFile.Write(path, curvature.Bases, eigenvalues, curvature.Tokens, curvature.Eigenvalues));
        context.Notes["tokens"] = curvature.Tokens;
        context.Notes["mean_eigenvalue"] = eigenvalues.mean().item<double>();
        GradientsStage.WriteDocuments(context, texts, documents, shards, Whitened);
    }

    // The sample's pass, and how far the sketch is off on the sample's own documents.
    private static void Measure(
        StageContext context, AuditOptions options, ModelFiles model, AdapterGradientSource source, IReadOnlyList<TokenizedDocument> documents, SketchProjector projector,
        BlockStore spill, BlockStore sampled, BlockStore sample)
    {
        // By the documents' ids: a document that is added changes no other's place in the draw.
        var drawn = documents
            .OrderBy(document => RandomStream.Seed(options.Seed, $"gradients/sample/{document.Id}"))
            .Take(SampleCount(documents.Count, options.SampleShare))
            .ToList();
        context.Notes["sample_documents"] = drawn.Count;
        using var curvature = new CurvaturePass(context, "sample", model, source, drawn, options.BatchTokens, spill, sampled).Run();
        using var whitening = Whitening.Ekfac(curvature.Eigenvalues, options.Damping);
        var error = SketchError.Measure([.. sampled.All.Select(block => sampled.PathOf(block.Id))], whitening, projector, context.CancellationToken);
        context.Notes["cosine_error"] = error.RootMeanSquare;
        context.Notes["cosine_error_largest"] = error.Largest;
        context.Notes["cosine_root_mean_square"] = error.CosineRootMeanSquare;
        context.Notes["cosine_pairs"] = error.Pairs;
        context.Progress?.Report(new("sketch", 1, 1, "sketches", $"a cosine is off by {error.RootMeanSquare:0.0000}; cosines are {error.CosineRootMeanSquare:0.0000} (root mean square, {error.Pairs} pairs of the sample)"));
        sample.WriteFile(0, path => CurvatureFile.Write(path, curvature.Bases, curvature.Eigenvalues, curvature.Tokens), context.Notes);
    }

    private static EkfacEigenvalues Sketch(
        StageContext context, AuditOptions options, AdapterGradientSource source, IReadOnlyList<TokenizedDocument> documents, CurvatureBases bases, Whitening whitening, SketchProjector projector, BlockStore shards)
    {
        var plan = BatchPlan.Make([.. documents.Select(document => document.Tokens.Length)], options.BatchTokens, CurvaturePass.BlockDocuments(documents.Count));
        var pass = new ModelPass(context, GradientsStage.Name, source, documents, plan, shards);
        var saved = pass.Resume(shards.Has);
        var squares = saved is null ? new EkfacEigenvalues(source.Layout.Size) : ReadSquares(saved);
        pass.Run(
            saved?.Blocks ?? 0,
            [],
            batch =>
            {
                var rotated = bases.Rotate(batch.Rows().cpu());
                squares.Add(rotated);
                var even = rotated * whitening.Scale;
                return [(Whitened, projector.Apply(even)), (Raw, projector.Apply(rotated)), ("norms", Norms(rotated)), (WhitenedNorms, Norms(even))];
            },
            () => ([("squares", squares.Squares)], squares.DocumentCount));
        return squares;
    }

    private static Tensor Norms(Tensor rows) => rows.square().sum(1, type: ScalarType.Float64).sqrt();

    private static EkfacEigenvalues ReadSquares(SavedState saved)
    {
        using var file = SafetensorsFile.Open(saved.Path);
        return new(file.ReadRaw("squares"), (long)saved.Notes!["count"]!);
    }

    // What whitens is λ + ε, so that is what is compared.
    private static void Compare(StageContext context, Tensor sample, Tensor all, double damping)
    {
        using var scope = NewDisposeScope();
        var (ofSample, ofAll) = ((sample + damping).mean().item<double>(), (all + damping).mean().item<double>());
        context.Notes["eigenvalue_mean_difference"] = (ofSample - ofAll) / ofAll;
        context.Notes["eigenvalue_median_log_ratio"] = ((sample + damping) / (all + damping)).log().abs().median().item<double>();
    }
}
