using System.Text.Json.Nodes;
using GradientAtoms.Coordinates;
using GradientAtoms.Curvature;
using GradientAtoms.Gradients;
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
    /// <summary>The name of the first pass.</summary>
    public const string SamplePass = "sample";

    private const string SampleFolder = "curvature-sample";
    private const string Squares = "squares";
    private const int SmallestSample = 64;

    public static Stage Create(AuditOptions options, ModelFiles model, int size) => new()
    {
        Name = GradientsStage.Name,
        Version = 2, // sums are added up in a tree of blocks
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

    /// <summary>The documents of the sample. By their ids: a document that is added changes no other's place in the draw.</summary>
    public static IReadOnlyList<TokenizedDocument> Sample(IReadOnlyList<TokenizedDocument> documents, AuditOptions options) =>
        [.. documents.OrderBy(document => RandomStream.Seed(options.Seed, $"gradients/sample/{document.Id}")).Take(SampleCount(documents.Count, options.SampleShare))];

    /// <summary>Where the curvature of the sample lies while the stage runs.</summary>
    public static string SamplePath(RunFolder run) => run.PathOf($"{SampleFolder}/block-00000.safetensors");

    /// <summary>Whether an interrupted sitting with the same inputs has the curvature of the sample.</summary>
    public static bool HasSample(RunFolder run, string inputHash) => File.Exists(SamplePath(run))
        && BlockJournal.Peek(run, GradientsStage.Name, inputHash).Any(entry => entry.Folder == SampleFolder && entry.Block.Bytes == new FileInfo(SamplePath(run)).Length);

    /// <summary>The second pass, over some blocks.</summary>
    /// <param name="context">Of the stage.</param>
    /// <param name="run">The run, which has the curvature of the sample.</param>
    /// <param name="options">Of the audit.</param>
    /// <param name="inputs">Documents and adapter.</param>
    /// <param name="rows">Get the sketches.</param>
    /// <param name="sums">Get the sums of squares.</param>
    /// <param name="range">Which blocks.</param>
    public static void SketchSome(StageContext context, RunFolder run, AuditOptions options, PassInputs inputs, BlockStore rows, BlockSums sums, BlockRange range)
    {
        using var scope = NewDisposeScope();
        using var curvature = CurvatureFile.Read(SamplePath(run), inputs.Source.Layout);
        using var whitening = Whitening.Ekfac(curvature.Eigenvalues, options.Damping);
        Sketch(context, options, inputs, curvature.Bases, whitening, new((int)PlanStage.Read(run).SketchSize, options.Seed), rows, sums, range, run);
    }

    private static void Run(StageContext context, AuditOptions options, ModelFiles model, int size)
    {
        using var scope = NewDisposeScope();
        using var inputs = PassInputs.Open(context.Folder, model);
        var (texts, documents, source) = (inputs.Texts, inputs.Documents, inputs.Source);
        var projector = new SketchProjector(size, options.Seed);
        var (spill, sampleSums, sampled) = (context.Scratch("gradients-raw"), new BlockSums(context.Scratch("gradients-sample-sums")), context.Scratch("gradients-sample"));
        var sample = context.Scratch(SampleFolder); // one shard: what the sample gave
        if (sample.Has(0))
        {
            ModelPass.TakeNotes(context, sample[0].Notes);
        }
        else
        {
            context.Notes["layout"] = source.Layout.Hash;
            context.Notes["parameters"] = source.Layout.Size;
            Measure(context, options, model, inputs, projector, spill, sampleSums, sampled, sample);
        }

        sampled.RemoveFrom(0);
        sampleSums.Store.RemoveFrom(0);

        if (options.Until == AuditStop.Curvature)
        {
            throw new StopAsked();
        }

        using var curvature = CurvatureFile.Read(sample.PathOf(0), source.Layout);
        using var whitening = Whitening.Ekfac(curvature.Eigenvalues, options.Damping);
        var (shards, sums) = (context.Blocks(RunFiles.Gradients), new BlockSums(context.Scratch("gradients-sums")));
        var blocks = CurvaturePass.PlanOf(context.Folder, documents, options.BatchTokens).Blocks.Count;
        ShardFolders.Take(context, ShardStage.Sketches, blocks, shards, sums, _ => false, (ShardStage.SampleInput, sample[0].Sha256));
        Sketch(context, options, inputs, curvature.Bases, whitening, projector, shards, sums, new(0, blocks), context.Folder);
        var (squares, count) = sums.Total();
        var eigenvalues = squares[Squares] / count;
        Compare(context, curvature.Eigenvalues, eigenvalues, whitening.Damping);
        CurvaturePass.RecordSelfCheck(context);
        context.WriteFile(RunFiles.Curvature, path => CurvatureFile.Write(path, curvature.Bases, eigenvalues, curvature.Tokens, curvature.Eigenvalues));
        context.Notes["tokens"] = curvature.Tokens;
        context.Notes["mean_eigenvalue"] = eigenvalues.mean().item<double>();
        GradientsStage.WriteDocuments(context, texts, documents, shards, Whitened);
    }

    // The sample's pass, and how far the sketch is off on the sample's own documents.
    private static void Measure(
        StageContext context, AuditOptions options, ModelFiles model, PassInputs inputs, SketchProjector projector, BlockStore spill, BlockSums sums, BlockStore sampled, BlockStore sample)
    {
        var drawn = Sample(inputs.Documents, options);
        context.Notes["sample_documents"] = drawn.Count;
        var pass = new CurvaturePass(context, context.Folder, SamplePass, model, inputs.Source, drawn, options.BatchTokens, spill, sums);
        ShardFolders.Take(context, ShardStage.Covariances, pass.Plan.Blocks.Count, spill, sums, sampled.Has);
        using var curvature = pass.Run(sampled);
        using var whitening = Whitening.Ekfac(curvature.Eigenvalues, options.Damping);
        var error = SketchError.Measure([.. sampled.All.Select(block => sampled.PathOf(block.Id))], whitening, projector, context.CancellationToken);
        context.Notes["cosine_error"] = error.RootMeanSquare;
        context.Notes["cosine_error_largest"] = error.Largest;
        context.Notes["cosine_root_mean_square"] = error.CosineRootMeanSquare;
        context.Notes["cosine_pairs"] = error.Pairs;
        context.Progress?.Report(new("sketch", 1, 1, "sketches", $"a cosine is off by {error.RootMeanSquare:0.0000}; cosines are {error.CosineRootMeanSquare:0.0000} (root mean square, {error.Pairs} pairs of the sample)"));
        sample.WriteFile(0, path => CurvatureFile.Write(path, curvature.Bases, curvature.Eigenvalues, curvature.Tokens), context.Notes);
    }

    private static void Sketch(
        StageContext context, AuditOptions options, PassInputs inputs, CurvatureBases bases, Whitening whitening, SketchProjector projector, BlockStore shards, BlockSums sums, BlockRange range, RunFolder planned)
    {
        var pass = new ModelPass(context, GradientsStage.Name, inputs.Source, inputs.Documents, CurvaturePass.PlanOf(planned, inputs.Documents, options.BatchTokens), shards, sums);
        var done = pass.Resume(range, shards.Has);
        pass.Run(range, done, () =>
        {
            var squares = new EkfacEigenvalues(inputs.Source.Layout.Size);
            IReadOnlyList<(string, Tensor)> Rows(GradientBatch batch)
            {
                var rotated = bases.Rotate(batch.Rows().cpu());
                squares.Add(rotated);
                var even = rotated * whitening.Scale;
                return [(Whitened, projector.Apply(even)), (Raw, projector.Apply(rotated)), ("norms", Norms(rotated)), (WhitenedNorms, Norms(even))];
            }

            return new(new Dictionary<string, Tensor>(StringComparer.Ordinal) { [Squares] = squares.Squares }, () => squares.DocumentCount, Rows, squares);
        });
    }

    private static Tensor Norms(Tensor rows) => rows.square().sum(1, type: ScalarType.Float64).sqrt();

    // What whitens is λ + ε, so that is what is compared.
    private static void Compare(StageContext context, Tensor sample, Tensor all, double damping)
    {
        using var scope = NewDisposeScope();
        var (ofSample, ofAll) = ((sample + damping).mean().item<double>(), (all + damping).mean().item<double>());
        context.Notes["eigenvalue_mean_difference"] = (ofSample - ofAll) / ofAll;
        context.Notes["eigenvalue_median_log_ratio"] = ((sample + damping) / (all + damping)).log().abs().median().item<double>();
    }
}
