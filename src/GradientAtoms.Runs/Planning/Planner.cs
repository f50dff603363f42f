using System.Globalization;
using GradientAtoms.Coordinates;

namespace GradientAtoms.Runs.Planning;

/// <summary>Decides how a run is done from sizes and limits alone: the same request gives the same plan.</summary>
public static class Planner
{
    /// <summary>Documents up to which the matrix of all inner products, <c>[N, N]</c>, is practical.</summary>
    public const int LargestExact = 10_000;

    private const long Gib = 1L << 30;
    private const long RuntimeBytes = 550L << 20; // An allowance for .NET and libtorch before the first tensor, and for memory that is free but kept.
    private const int SmallestSketch = 4096;

    // A start of the learner: floating-point operations for each entry of [N, k] and atom, and seconds a document for its codes.
    // Measured: 13.3 s for 5,000 x 6,800 rows and 500 atoms, .19 s for 1,140 x 1,140 and 34, .025 s for 95 x 95 and 11, at 190 GFLOP/s.
    private const double LearnerFlops = 145;
    private const double CodesSeconds = 2e-4;

    // Seconds a document and atom for the scores of a dictionary's poles: 11.7 s for 28 dictionaries of 570 documents and 71 atoms.
    private const double ScoreSeconds = 7e-6;

    // Eigenvectors of a symmetric matrix in float64, in float32 operations for each n³.
    private const double EigenFlops = 18;

    // The same for coordinates: eigenvectors of all documents' products, and products in float64 of what they take.
    private const double CoordinateEigenFlops = 30;

    // Seconds for each number of a lifted direction that is whitened, squared and turned, and for what is looked up of an atom's documents and words.
    private const double LookSeconds = 2e-8;
    private const double AtomSeconds = 0.02;

    // Poles with enough documents: 1.3 an atom in the audit of docs/experiments.md, 2 in the demo, 1.8 of 80 documents. Of them .29, .67 and none were certified.
    private const double PolesPerAtom = 1.5;
    private const double CertifiedShare = 0.5;
    private const double CertifyingDocuments = 1000;

    // Their strongest documents are shorter than others. Forward passes of one document for its loss tokens, in passes of the gradients.
    private const double StrongestLength = 0.75;
    private const double LossPasses = 1.2;

    // What a document takes however small the model is: in a batch, and alone, four times forward.
    private const double DocumentSeconds = 0.01;
    private const double LossDocumentSeconds = 0.05;

    // Fewer certify nothing.
    private const int LeastNulls = 19;

    // Dictionaries learnt for certificates beside the nulls: other seeds, and parts of the documents.
    private const int OtherDictionaries = 8;

    // Documents through the model that the self-check takes, one at a time: autograd, alone, and on both sides for finite differences.
    private const int SelfCheckPasses = 12;
    private const double AloneCost = 1.5;

    /// <summary>Plans a run.</summary>
    /// <param name="request">Sizes, wishes and limits.</param>
    /// <exception cref="PlanException">GA3001 over the disk, GA3002 over the memory, GA3003 over the time allowed; GA3004 exact coordinates of too many documents.</exception>
    /// <exception cref="ArgumentException">The request has no documents or a size below 1.</exception>
    public static RunPlan Plan(PlanRequest request)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(request.Documents, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(request.Atoms, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(request.SketchSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(request.ModelParameters, 1);
        if (request.SampleShare is not (> 0 and <= 1))
        {
            throw new ArgumentOutOfRangeException(nameof(request), request.SampleShare, "the sample's share is above 0, up to 1");
        }

        var plan = request.Coordinates switch
        {
            CoordinateKind.Exact or CoordinateKind.Raw => WithRows(request, request.Coordinates, request.Layout.Size, "asked for"),
            CoordinateKind.Sketch => Sketch(request, request.SketchSize, "asked for"),
            CoordinateKind.Reference => WithRows(request, CoordinateKind.Reference, request.Layout.Maps.Sum(map => Math.Min(request.ReferenceCoordinates, map.Size)), "asked for: what the other coordinates hold is dropped"),
            _ => Choose(request),
        };
        return Checked(request, plan);
    }

    private static RunPlan Choose(PlanRequest request)
    {
        string whyNot;
        if (request.Documents > LargestExact)
        {
            whyNot = string.Create(CultureInfo.InvariantCulture, $"{request.Documents:N0} documents, exact coordinates take up to {LargestExact:N0}");
        }
        else
        {
            var exact = WithRows(request, CoordinateKind.Exact, request.Layout.Size, string.Create(CultureInfo.InvariantCulture, $"{request.Documents:N0} documents and their rows fit: nothing is lost"));
            if (Overrun(request, exact) is not { } overrun)
            {
                return exact;
            }

            whyNot = $"exact coordinates would be over the limit: {overrun.Problem}";
        }

        // The widest sketch that fits: its error is what it costs.
        for (var size = request.SketchSize; ; size /= 2)
        {
            var sketch = Sketch(request, size, whyNot);
            if (size / 2 < SmallestSketch || Overrun(request, sketch) is null)
            {
                return sketch;
            }
        }
    }

    // The rotated gradients of all documents are kept whatever is made of them: coordinates come from the products of all rows, [N, N], and drop when these are formed.
    private static RunPlan WithRows(PlanRequest request, CoordinateKind kind, long kept, string why) => request.Documents > LargestExact
        ? throw new PlanException("GA3004", $"--coordinates {kind.ToString().ToLowerInvariant()}", string.Create(CultureInfo.InvariantCulture, $"{request.Documents:N0} documents, exact coordinates take up to {LargestExact:N0}"), "Use --coordinates sketch, or fewer documents (--limit).")
        : Fitted(request, kind, request.Layout.Size, Math.Min(request.Documents, kept), why);

    private static RunPlan Sketch(PlanRequest request, int size, string why) => Fitted(request, CoordinateKind.Sketch, size, size, why);

    // The largest batches that the memory has room for, by halves; a batch holds the longest document in any case.
    private static RunPlan Fitted(PlanRequest request, CoordinateKind kind, long rowSize, long dictionarySize, string why)
    {
        var plan = Make(request, kind, rowSize, dictionarySize, why);
        for (var tokens = request.BatchTokens; plan.MemoryBytes > request.Budget.MemoryBytes && tokens > request.LongestDocument; )
        {
            tokens /= 2;
            plan = Make(WithBatches(request, tokens), kind, rowSize, dictionarySize, why);
        }

        return plan;
    }

    private static PlanRequest WithBatches(PlanRequest request, int tokens)
    {
        double Largest(int batch) => Math.Max(batch, request.LongestDocument);
        var share = Largest(tokens) / Largest(request.BatchTokens);
        return request with
        {
            BatchTokens = tokens,
            Speeds = request.Speeds with { ActivationBytes = (long?)(request.Speeds.ActivationBytes * share) },
        };
    }

    private static RunPlan Make(PlanRequest request, CoordinateKind kind, long rowSize, long dictionarySize, string why)
    {
        var (documents, parameters, atoms) = ((long)request.Documents, request.Layout.Size, (long)request.Atoms);
        var isSketch = kind == CoordinateKind.Sketch;
        var sample = isSketch ? Pipeline.SketchStage.SampleCount(request.Documents, request.SampleShare) : request.Documents;
        var block = Math.Min(request.Documents, Pipeline.CurvaturePass.BlockDocuments(request.Documents, request.Layout.Size));
        var sampleBlock = Math.Min(sample, Pipeline.CurvaturePass.BlockDocuments(sample, request.Layout.Size));
        var covariance = CovarianceEntries(request);
        var curvature = (covariance * 4) + (parameters * 8);
        var sums = isSketch
            ? Math.Max(SumBytes((sample + sampleBlock - 1) / sampleBlock, covariance * 8, sample * parameters * 4), SumBytes((request.Documents + block - 1) / block, parameters * 8, documents * rowSize * 8))
            : SumBytes((request.Documents + block - 1) / block, covariance * 8, documents * rowSize * 4);
        return new()
        {
            Coordinates = kind,
            Why = why,
            RowSize = rowSize,
            DictionarySize = dictionarySize,
            CosineError = kind switch { CoordinateKind.Exact or CoordinateKind.Raw => 0, CoordinateKind.Sketch => 1 / Math.Sqrt(rowSize), _ => null },
            KeepsAllGradients = !isSketch,
            SampleDocuments = sample,
            BatchTokens = request.BatchTokens,
            BlockDocuments = block,
            BlockCount = (request.Documents + block - 1) / block,
            Files =
            [
                // Raw gradients are rotated in their place, shard by shard, so one of them is there twice. 
                isSketch
                    ? new("gradients and curvature of the sample", ((sample + sampleBlock) * parameters * 4) + curvature, Temporary: true)
                    : new("a block of gradients while it is rotated", block * parameters * 4, Temporary: true),
                new("running sums", sums, Temporary: true),
                new(RunFiles.Gradients, documents * rowSize * (isSketch ? 8 : 4), Temporary: false), // of a sketch two: whitened and raw
                new(RunFiles.Curvature, curvature + (isSketch ? parameters * 8 : 0), Temporary: false), // of a sketch the sample's λ too
                new(Pipeline.CoordinatesStage.File, (documents * dictionarySize * (isSketch ? 4 : 12)) + (isSketch ? 0 : documents * documents * 4), Temporary: false),
                new(RunFiles.Dictionary, atoms * dictionarySize * 4, Temporary: false),
                .. isSketch ? (PlannedFile[])[] : [new(RunFiles.Lifted, atoms * ((parameters * 4) + (documents * 8)), Temporary: false)],
                new("adapter", parameters * (request.TuneEpochs > 0 ? 8 : 4), Temporary: false),
                new("codes, documents, atoms, report", 65536 + (request.Tokens * 16) + (documents * 400) + (atoms * 8192), Temporary: false),
            ],
            Stages = Stages(request, kind, rowSize, dictionarySize, sample, block),
        };
    }

    // Sums over blocks are files of a binary tree: before block b is added there is one for each binary digit 1 of the number of blocks done,
    // and the new one is written beside them. Early in the pass the rows that are not there yet leave more room than the sums take.
    private static long SumBytes(int blocks, long bytes, long rows) =>
        Enumerable.Range(1, blocks).Max(block => ((System.Numerics.BitOperations.PopCount((uint)block - 1) + 1) * bytes) - (rows * (blocks - block) / blocks));

    private static List<PlannedStage> Stages(PlanRequest request, CoordinateKind kind, long rowSize, long dictionarySize, int sample, int block)
    {
        var isSketch = kind == CoordinateKind.Sketch;
        var (documents, parameters, atoms, speeds) = ((long)request.Documents, request.Layout.Size, (long)request.Atoms, request.Speeds);
        var modelBytes = RuntimeBytes + (request.ModelParameters * 4);
        var pass = PassSeconds(request);
        var covariance = CovarianceEntries(request) * 8;
        var inPass = modelBytes + ActivationBytes(request) + (block * parameters * 4);
        var tile = documents * Math.Min(RowTile.ColumnsOf(documents), request.Layout.Maps.Max(map => map.Size)) * 4;
        double Disk(long count, long size) => count * size * 4 / speeds.DiskBytes;

        // Rotation Q_Sᵀ G Q_A of a document: o·o·i + o·i·i multiplications and additions a map.
        var rotation = request.Layout.Maps.Sum(map => 2.0 * map.Size * (map.OutputSize + map.InputSize)) / speeds.MatrixFlops;
        var stages = new List<PlannedStage>();
        if (request.TuneEpochs > 0)
        {
            stages.Add(new(Pipeline.AdapterStage.Name, pass * request.TuneEpochs, inPass + (parameters * 16)));
        }

        // Covariances are formed from tokens: [T, i] twice a map and token. The gradients are spilled, read again and written rotated, and read once more for λ.
        var covarianceFlops = request.Layout.Maps.DistinctBy(map => map.InputName, StringComparer.Ordinal).Sum(map => 2.0 * map.InputSize * map.InputSize)
            + request.Layout.Maps.Sum(map => 2.0 * map.OutputSize * map.OutputSize);
        var share = (double)sample / documents;
        var selfCheck = SelfCheckPasses * AloneCost * pass / documents;
        var sums = (double)(sample / block) * covariance / speeds.DiskBytes;
        var curvature = (share * (pass + (request.Tokens * covarianceFlops / speeds.MatrixFlops))) + selfCheck + sums + (sample * rotation) + Disk(sample, 2 * parameters) + EigenSeconds(request);
        if (isSketch)
        {
            // Two passes: the sample's, and one in which each document is sketched twice, raw and whitened.
            stages.Add(new(
                Pipeline.GradientsStage.Name,
                curvature + (sample * parameters / speeds.SketchedNumbers) + pass + (documents * rotation) + (2 * documents * parameters / speeds.SketchedNumbers) + Disk(documents, 2 * rowSize),
                inPass + Math.Max(2 * covariance, (block * (rowSize + parameters) * 4) + (covariance / 2))));
        }
        else
        {
            stages.Add(new(Pipeline.GradientsStage.Name, curvature, inPass + (2 * covariance)));

            // The Gram matrix of the whitened rows, half of it; eigenvectors in float64; and the coordinates.
            var gram = (1.0 * documents * (documents + GramPass.BlockRows) * parameters / speeds.MatrixFlops) + (CoordinateEigenFlops * documents * documents * documents / speeds.MatrixFlops);
            stages.Add(new(Pipeline.CoordinatesStage.Name, gram + Disk(documents, rowSize), RuntimeBytes + (documents * documents * 8 * 5) + tile));
        }

        double Learner(long size) => (CodesSeconds * documents) + (LearnerFlops * documents * dictionarySize * size / speeds.MatrixFlops);
        if (request.SizeTrials.Count > 0)
        {
            // Half of the rounds.
            var draws = 4 * 8.0 * documents * dictionarySize * Math.Min(documents, dictionarySize) / speeds.MatrixFlops;
            stages.Add(new(Pipeline.SizesStage.Name,
                request.SizeTrials.Sum(size => (Certificates.SizeSearch.DictionariesOfTrial * ((Learner(size) / 2) + (ScoreSeconds * documents * size))) + draws),
                RuntimeBytes + (4 * 8 * documents * dictionarySize)));
        }

        var learner = Learner(atoms);
        stages.Add(new(Pipeline.DictionaryStage.Name, request.Starts * learner,
            RuntimeBytes + (((2 * documents * dictionarySize) + (3 * atoms * dictionarySize) + (4 * documents * atoms)) * 4)));
        if (request.Nulls > 0)
        {
            // A start each; a null's rows take an orthonormal basis in float64.
            var rows = 2 * 8.0 * documents * dictionarySize * Math.Min(documents, dictionarySize) / speeds.MatrixFlops;
            stages.Add(new(Pipeline.CertificatesStage.Name, ((request.Nulls + OtherDictionaries) * (learner + (ScoreSeconds * documents * atoms))) + (request.Nulls * rows), RuntimeBytes + (4 * 8 * documents * dictionarySize)));
        }

        if (isSketch)
        {
            stages.Add(new(Pipeline.AtomsStage.Name, Disk(documents, rowSize), modelBytes + (documents * (rowSize + atoms) * 4)));
            return stages;
        }

        // Atoms, as many documents and a mean, and twice the sampled documents are lifted and looked at; the atoms are turned back and written.
        var (lifted, largest) = ((2 * atoms) + 1 + (2 * Math.Min(documents, Pipeline.AtomLift.SampledDocuments)), request.Layout.Maps.Max(map => map.Size));
        var products = ((2.0 * documents * lifted) + (8.0 * atoms * 2 * atoms)) * parameters / speeds.MatrixFlops;
        stages.Add(new(
            Pipeline.AtomsStage.Name,
            products + (2 * atoms * rotation) + (lifted * parameters * LookSeconds) + Disk(documents, rowSize) + Disk(atoms, parameters) + (AtomSeconds * atoms),
            modelBytes + (((3 * lifted * largest) + (documents * lifted * 3) + (2 * documents * documents) + (documents * dictionarySize * 3)) * 4) + tile));
        stages.Add(Tokens(request, pass / documents, modelBytes + ActivationBytes(request) + (documents * atoms * 8)));
        return stages;
    }

    // A document goes through once, however many poles ask for it.
    private static PlannedStage Tokens(PlanRequest request, double documentSeconds, long memory)
    {
        var poles = PolesPerAtom * request.Atoms;
        var certified = request.Nulls >= LeastNulls ? poles * CertifiedShare * (1 - Math.Exp(-request.Documents / CertifyingDocuments)) : 0;
        var asked = request.Nulls == 0 ? poles * Pipeline.TokensStage.DocumentsPerPole : (certified * Pipeline.TokensStage.DocumentsPerPole) + ((poles - certified) * Pipeline.TokensStage.DocumentsPerOther);
        var different = request.Documents * (1 - Math.Exp(-asked / request.Documents)); // as if they were drawn at random
        var byLoss = certified * Pipeline.TokensStage.LossDocumentsPerPole;
        return new(
            Pipeline.TokensStage.Name,
            (documentSeconds * ((StrongestLength * different) + (LossPasses * byLoss))) + (DocumentSeconds * different) + (LossDocumentSeconds * byLoss),
            memory);
    }

    private static double PassSeconds(PlanRequest request) => request.Tokens * 4.0 * request.ModelParameters / request.Speeds.ModelFlops;

    private static double EigenSeconds(PlanRequest request) =>
        EigenFlops / request.Speeds.MatrixFlops * (request.Layout.Maps.DistinctBy(map => map.InputName, StringComparer.Ordinal).Sum(map => Math.Pow(map.InputSize, 3)) + request.Layout.Maps.Sum(map => Math.Pow(map.OutputSize, 3)));

    private static long CovarianceEntries(PlanRequest request) =>
        request.Layout.Maps.DistinctBy(map => map.InputName, StringComparer.Ordinal).Sum(map => (long)map.InputSize * map.InputSize) + request.Layout.Maps.Sum(map => (long)map.OutputSize * map.OutputSize);

    private static long ActivationBytes(PlanRequest request)
    {
        if (request.Speeds.ActivationBytes is { } measured)
        {
            return measured;
        }

        // Inputs and output gradients of every map, and about as much again inside of the model; logits of trained tokens, with their gradient.
        var tokens = Math.Max(request.BatchTokens, (long)request.LongestDocument);
        var perToken = request.Layout.Maps.Sum(map => (long)map.InputSize + map.OutputSize) * 4 * 3;
        var trainedShare = Math.Min(1, (double)request.TrainedTokens / Math.Max(1, request.Tokens));
        return (tokens * perToken) + (long)(tokens * trainedShare * request.VocabularySize * 4 * 3);
    }

    private static RunPlan Checked(PlanRequest request, RunPlan plan) => Overrun(request, plan) is { } overrun ? throw overrun : plan;

    private static PlanException? Overrun(PlanRequest request, RunPlan plan)
    {
        if (plan.DiskBytes > request.Budget.DiskBytes)
        {
            var largest = plan.Files.MaxBy(file => file.Bytes)!;
            return new("GA3001", "--disk", $"needs {Show(plan.DiskBytes)} of disk ({Show(largest.Bytes)} for {largest.Name}), {Show(request.Budget.DiskBytes)} are allowed", "Free some disk, raise --disk, use fewer documents (--limit), or --coordinates sketch.");
        }

        if (plan.MemoryBytes > request.Budget.MemoryBytes)
        {
            var largest = plan.Stages.MaxBy(stage => stage.MemoryBytes)!;
            return new("GA3002", "--memory", $"stage {largest.Name} needs about {Show(largest.MemoryBytes)} of memory, {Show(request.Budget.MemoryBytes)} are allowed", "Raise --memory, use fewer documents (--limit) or atoms (--atoms), or shorter ones (--max-tokens).");
        }

        return request.Budget.TimeSeconds is { } allowed && plan.Seconds > allowed
            ? new("GA3003", "--time", string.Create(CultureInfo.InvariantCulture, $"takes about {plan.Seconds / 60:0} minutes, {allowed / 60:0} are allowed"), "Allow more time, or use fewer or shorter documents (--limit, --max-tokens).")
            : null;
    }

    private static string Show(long bytes) => bytes >= Gib
        ? string.Create(CultureInfo.InvariantCulture, $"{(double)bytes / Gib:0.0} GiB")
        : string.Create(CultureInfo.InvariantCulture, $"{(double)bytes / (1 << 20):0} MiB");
}
