using System.Globalization;

namespace GradientAtoms.Runs.Planning;

/// <summary>Decides how a run is done from sizes and limits alone: the same request gives the same plan.</summary>
public static class Planner
{
    /// <summary>Documents up to which the matrix of all inner products, <c>[N, N]</c>, is practical.</summary>
    public const int LargestExact = 10_000;

    private const long Gib = 1L << 30;
    private const long RuntimeBytes = 400L << 20; // An allowance for .NET and libtorch before the first tensor.
    private const long BlockBytes = 128L << 20;
    private const int SmallestSketch = 4096;

    // Floating-point operations of the learner for each entry of [N, k] and atom; 5,000 x 6,800 rows and 500 atoms took 29 s at 120 GFLOP/s.
    private const double LearnerFlops = 205;

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
            CoordinateKind.Exact or CoordinateKind.Raw => Exact(request, request.Coordinates, "asked for"),
            CoordinateKind.Sketch => Sketch(request, request.SketchSize, "asked for"),
            CoordinateKind.Reference => Reference(request),
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
            var exact = Exact(request, CoordinateKind.Exact, string.Create(CultureInfo.InvariantCulture, $"{request.Documents:N0} documents and their rows fit: nothing is lost"));
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

    private static RunPlan Exact(PlanRequest request, CoordinateKind kind, string why)
    {
        if (request.Documents > LargestExact)
        {
            throw new PlanException("GA3004", $"--coordinates {kind.ToString().ToLowerInvariant()}", string.Create(CultureInfo.InvariantCulture, $"{request.Documents:N0} documents, exact coordinates take up to {LargestExact:N0}"), "Use --coordinates sketch, or fewer documents (--limit).");
        }

        var all = Make(request, kind, request.Layout.Size, Math.Min(request.Documents, request.Layout.Size), keepsAll: true, why);
        return all.DiskBytes <= request.Budget.DiskBytes
            ? all
            : Make(request, kind, request.Layout.Size, Math.Min(request.Documents, request.Layout.Size), keepsAll: false, why);
    }

    private static RunPlan Sketch(PlanRequest request, int size, string why) => Make(request, CoordinateKind.Sketch, size, size, keepsAll: false, why);

    private static RunPlan Reference(PlanRequest request)
    {
        var size = request.Layout.Maps.Sum(map => Math.Min(request.ReferenceCoordinates, map.Size));
        return Make(request, CoordinateKind.Reference, size, size, keepsAll: false, "asked for: what the other coordinates hold is dropped");
    }

    private static RunPlan Make(PlanRequest request, CoordinateKind kind, long rowSize, long dictionarySize, bool keepsAll, string why)
    {
        var (documents, parameters, atoms) = ((long)request.Documents, request.Layout.Size, (long)request.Atoms);
        var isSketch = kind == CoordinateKind.Sketch;
        var sample = keepsAll ? request.Documents
            : isSketch ? Pipeline.SketchStage.SampleCount(request.Documents, request.SampleShare)
            : Math.Max(1, (int)Math.Ceiling(request.Documents * request.SampleShare));
        var block = BlockDocuments(parameters);
        return new()
        {
            Coordinates = kind,
            Why = why,
            RowSize = rowSize,
            DictionarySize = dictionarySize,
            CosineError = kind switch { CoordinateKind.Exact or CoordinateKind.Raw => 0, CoordinateKind.Sketch => 1 / Math.Sqrt(rowSize), _ => null },
            KeepsAllGradients = keepsAll,
            SampleDocuments = sample,
            BlockDocuments = block,
            BlockCount = (request.Documents + block - 1) / block,
            Files =
            [
                new("gradients of the first pass", sample * parameters * 4, Temporary: true),
                new(RunFiles.Gradients, documents * rowSize * (isSketch ? 8 : 4), Temporary: false), // of a sketch two: whitened and raw
                new(RunFiles.Curvature, (CovarianceEntries(request) + parameters) * 4, Temporary: false),
                new(RunFiles.Dictionary, atoms * dictionarySize * 4, Temporary: false),
                new("codes, documents, atoms, report", 4096 + (documents * 400) + (atoms * 8192), Temporary: false),
            ],
            Stages = Stages(request, kind, rowSize, dictionarySize, keepsAll, sample, block),
        };
    }

    private static List<PlannedStage> Stages(PlanRequest request, CoordinateKind kind, long rowSize, long dictionarySize, bool keepsAll, int sample, int block)
    {
        var isSketch = kind == CoordinateKind.Sketch;
        var (documents, parameters, atoms, speeds) = ((long)request.Documents, request.Layout.Size, (long)request.Atoms, request.Speeds);
        var modelBytes = RuntimeBytes + (request.ModelParameters * 4);
        var pass = PassSeconds(request);
        var covariance = CovarianceEntries(request) * 8;
        var inPass = modelBytes + ActivationBytes(request) + (Math.Min(block, documents) * parameters * 4);

        // Rotation Q_Sᵀ G Q_A of a document: o·o·i + o·i·i multiplications and additions a map.
        var rotation = request.Layout.Maps.Sum(map => 2.0 * map.Size * (map.OutputSize + map.InputSize)) / speeds.MatrixFlops;
        var stages = new List<PlannedStage>();
        if (request.TuneEpochs > 0)
        {
            stages.Add(new("tune", pass * request.TuneEpochs, inPass + (parameters * 16)));
        }

        // Covariances are formed from tokens: [T, i] twice a map and token.
        var covarianceFlops = request.Layout.Maps.DistinctBy(map => map.InputName, StringComparer.Ordinal).Sum(map => 2.0 * map.InputSize * map.InputSize)
            + request.Layout.Maps.Sum(map => 2.0 * map.OutputSize * map.OutputSize);
        var sampleShare = (double)sample / documents;
        stages.Add(new("curvature", (sampleShare * (pass + (request.Tokens * covarianceFlops / speeds.MatrixFlops) + (documents * rotation) + (documents * parameters * 4 / speeds.DiskBytes)))
            + EigenSeconds(request), inPass + (2 * covariance)));

        var fullPass = (keepsAll ? documents * parameters * 4 / speeds.DiskBytes : pass) + (documents * rotation) + (documents * rowSize * 4 / speeds.DiskBytes);
        var sketchWork = isSketch ? documents * parameters * Math.Log2(Math.Max(2, parameters)) * 2 / speeds.MatrixFlops * 10 : 0;
        stages.Add(new("gradients", fullPass + sketchWork, inPass + (Math.Min(block, documents) * (rowSize + parameters) * 4) + (covariance / 2)));

        if (!isSketch)
        {
            // Gram matrix, its eigenvectors in float64, and the coordinates.
            var gram = (2.0 * documents * documents * parameters / speeds.MatrixFlops) + (25.0 * documents * documents * documents / speeds.MatrixFlops * 4);
            stages.Add(new("coordinates", gram + (documents * rowSize * 4 / speeds.DiskBytes), RuntimeBytes + (documents * documents * 8 * 4) + (2 * BlockBytes)));
        }

        stages.Add(new("dictionary", LearnerFlops * documents * dictionarySize * atoms / speeds.MatrixFlops,
            RuntimeBytes + (((2 * documents * dictionarySize) + (3 * atoms * dictionarySize) + (4 * documents * atoms)) * 4)));
        stages.Add(new("atoms", (2.0 * documents * parameters * atoms / speeds.MatrixFlops) + (documents * rowSize * 4 / speeds.DiskBytes),
            RuntimeBytes + (((atoms * parameters) + (documents * atoms)) * 4) + (2 * BlockBytes)));
        return stages;
    }

    private static double PassSeconds(PlanRequest request) => request.Tokens * 4.0 * request.ModelParameters / request.Speeds.ModelFlops;

    private static double EigenSeconds(PlanRequest request) =>
        25 * 4 / request.Speeds.MatrixFlops * (request.Layout.Maps.DistinctBy(map => map.InputName, StringComparer.Ordinal).Sum(map => Math.Pow(map.InputSize, 3)) + request.Layout.Maps.Sum(map => Math.Pow(map.OutputSize, 3)));

    private static long CovarianceEntries(PlanRequest request) =>
        request.Layout.Maps.DistinctBy(map => map.InputName, StringComparer.Ordinal).Sum(map => (long)map.InputSize * map.InputSize) + request.Layout.Maps.Sum(map => (long)map.OutputSize * map.OutputSize);

    private static long ActivationBytes(PlanRequest request)
    {
        // Inputs and output gradients of every map, and about as much again inside of the model; logits of trained tokens, with their gradient.
        var tokens = Math.Max(request.BatchTokens, (long)request.LongestDocument);
        var perToken = request.Layout.Maps.Sum(map => (long)map.InputSize + map.OutputSize) * 4 * 3;
        var trainedShare = Math.Min(1, (double)request.TrainedTokens / Math.Max(1, request.Tokens));
        return (tokens * perToken) + (long)(tokens * trainedShare * request.VocabularySize * 4 * 3);
    }

    /// <summary>Documents of a block: the power of two whose rows take about 128 MiB, 8 to 512.</summary>
    internal static int BlockDocuments(long parameters)
    {
        var block = 8;
        while (block < 512 && block * 2 * parameters * 4 <= BlockBytes)
        {
            block *= 2;
        }

        return block;
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
