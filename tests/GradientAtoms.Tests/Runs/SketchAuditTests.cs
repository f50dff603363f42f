using GradientAtoms.DictionaryLearning;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Steering;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Runs;

/// <summary>A tuned adapter, and an audit of each kind with it, run once for all tests.</summary>
public sealed class SketchRuns : IDisposable
{
    private readonly TinyAudit _audit = new(documents: 60);
    private readonly string _adapter;

    public SketchRuns()
    {
        var tuned = _audit.Options("tuned", CoordinateKind.Sketch);
        AuditPipeline.Tune(tuned);
        _adapter = Path.Combine(tuned.Out, RunFiles.Adapter);
        (Exact, Sketch) = (Options("exact", CoordinateKind.Exact), Options("sketch", CoordinateKind.Sketch));
        AuditPipeline.Run(Exact);
        AuditPipeline.Run(Sketch);
    }

    public AuditOptions Exact { get; }

    public AuditOptions Sketch { get; }

    public AuditOptions Options(string run, CoordinateKind kind) => _audit.Options(run, kind) with { Adapter = _adapter };

    public void Dispose() => _audit.Dispose();
}

/// <summary>Audits of a random llama that keep sketches, from the data file to the atoms.</summary>
/// <param name="runs">Shared.</param>
public sealed class SketchAuditTests(SketchRuns runs) : IClassFixture<SketchRuns>
{
    [Fact]
    public void An_audit_with_sketches_gives_atoms_whose_poles_can_be_steered_by_their_documents()
    {
        Assert.True(AuditPipeline.Run(runs.Sketch).NothingToDo);
        using var session = new RunSession(runs.Sketch.Out);
        var atom = session.Atoms[0];
        Assert.NotNull(atom.Share);
        Assert.Null(atom.Modules); // not known, so not there
        Assert.Contains(session.Atoms.SelectMany(one => one.Poles), pole => pole.Coherence is not null);

        // The run's own documents get the codes that they have, as others would.
        var own = session.Encode([.. session.Documents.Take(5)]);
        for (var document = 0; document < 5; document++)
        {
            Assert.Equal(session.Codes.AtomsOf(document).ToArray(), own.AtomsOf(document).ToArray());
        }

        var pole = atom.Poles[0];
        using var scope = NewDisposeScope();
        var directions = session.Directions();
        AssertTensor.Close(tensor(1.0f), directions.Data(atom.Row, pole.Sign, pole.Id).Direction.norm(), relativeToMax: 1e-5);
        Assert.Equal("GA1055", Assert.Throws<SteeringException>(() => directions.Natural(atom.Row, pole.Sign, pole.Id)).Code);
        Assert.Equal("GA1055", Assert.Throws<SteeringException>(() => directions.Gradient(atom.Row, pole.Sign, pole.Id)).Code);
    }

    [Fact]
    public void Sketches_are_as_near_to_the_exact_coordinates_as_the_run_says()
    {
        using var scope = NewDisposeScope();
        var (exact, sketch) = (runs.Exact, runs.Sketch);

        // Sixty documents are a sample of themselves, so the whitening is the same and the sketch is all that differs.
        using var run = RunFolder.OpenRead(sketch.Out);
        var notes = run.Manifest.Stage("gradients")!.Notes;
        Assert.Equal(60, (int)notes["sample_documents"]!);
        Assert.Equal(0, (double)notes["eigenvalue_mean_difference"]!, 1e-4);
        Assert.Equal(0, (double)notes["eigenvalue_median_log_ratio"]!, 1e-3);
        using var exactCosines = Cosines(exact.Out);
        using var sketchCosines = Cosines(sketch.Out);
        var all = Enumerable.Range(0, 60).ToArray();
        var said = (double)notes["cosine_error"]!;
        Assert.InRange(said * Math.Sqrt(sketch.SketchSize), 0.8, 1.25);
        Assert.InRange(RootMeanSquare(exactCosines.Whitened.Cosines(all), sketchCosines.Whitened.Cosines(all)), 0.8 * said, 1.25 * said);
        Assert.InRange(RootMeanSquare(exactCosines.Raw.Cosines(all), sketchCosines.Raw.Cosines(all)), 0, 1.5 * said);

        // What is computed again for a pole is what the exact run has stored, up to the choice of eigenvectors.
        using var exactSession = new RunSession(exact.Out);
        using var sketchSession = new RunSession(sketch.Out);
        var (stored, again) = (exactSession.Rows.ReadRows([40, 3]), sketchSession.Rows.ReadRows([40, 3]));
        AssertTensor.Close(stored.matmul(stored.t()), again.matmul(again.t()), relativeToMax: 1e-4);
    }

    [Theory]
    [InlineData(CoordinateKind.Exact, "coordinates")]
    [InlineData(CoordinateKind.Sketch, "sample")]
    public void A_run_that_other_options_left_half_way_is_read_with_those_that_it_was_made_with(CoordinateKind kind, string stage)
    {
        var options = runs.Options($"half-{kind}", kind);
        AuditPipeline.Run(options);
        var recorded = (double)RunFolder.OpenRead(options.Out).Manifest.Stage("coordinates")!.Notes["damping"]!;
        Interrupt(options with { Damping = 0.5, Atoms = 5, Codes = CodeSigns.Nonnegative }, stage, 1);

        using var session = new RunSession(options.Out);
        Assert.Equal(0.5, session.Options.Damping);
        Assert.Equal(CodeSigns.Nonnegative, session.Options.Codes);
        Assert.Equal(kind, session.Kind);
        Assert.Equal(recorded, session.Whitening.Damping);
        var own = session.Encode([.. session.Documents.Take(8)]);
        for (var document = 0; document < 8; document++)
        {
            Assert.Equal(session.Codes.AtomsOf(document).ToArray(), own.AtomsOf(document).ToArray());
            Assert.All(session.Codes.CodesOf(document).ToArray().Zip(own.CodesOf(document).ToArray()), pair => Assert.Equal(pair.First, pair.Second, 1e-3f));
        }

        Assert.Contains(Enumerable.Range(0, 8).SelectMany(document => own.CodesOf(document).ToArray()), code => code < 0);
    }

    [Theory]
    [InlineData(CoordinateKind.Exact)]
    [InlineData(CoordinateKind.Sketch)]
    public void Documents_pass_the_gates_of_a_run_as_its_own_did(CoordinateKind kind)
    {
        var options = runs.Options($"gated-{kind}", kind) with { Gate = 0.6 };
        AuditPipeline.Run(options);
        using var session = new RunSession(options.Out);
        var own = session.Encode([.. session.Documents.Take(8)]);
        for (var document = 0; document < 8; document++)
        {
            Assert.Equal(session.Codes.AtomsOf(document).ToArray(), own.AtomsOf(document).ToArray());
            Assert.All(session.Codes.CodesOf(document).ToArray().Zip(own.CodesOf(document).ToArray()), pair => Assert.Equal(pair.First, pair.Second, 1e-3f));
        }

        Assert.True(AuditPipeline.Run(options).NothingToDo);
        Assert.Equal("dictionary", AuditPipeline.Run(options with { Gate = null }).Stages.First(stage => !stage.Decision.Reuse).Record.Name);
    }

    [Theory]
    [InlineData("sample", 30)]
    [InlineData("curvature", 2)]
    [InlineData("gradients", 35)]
    public void An_interrupted_audit_ends_with_the_bytes_of_an_uninterrupted_one(string stage, int done)
    {
        var again = runs.Options($"interrupted-{stage}", CoordinateKind.Sketch);
        Interrupt(again, stage, done);
        var firstReports = Resume(again);
        Assert.Equal(stage == "sample", firstReports.ContainsKey("self-check")); // a pass that is done is not done again
        if (stage != "curvature")
        {
            Assert.InRange(firstReports[stage], 17, 60); // behind the first block
        }

        AssertSameBytes(runs.Sketch.Out, again.Out);
    }

    [Theory]
    [InlineData(CoordinateKind.Exact, "gradients-raw")]
    [InlineData(CoordinateKind.Sketch, "gradients")]
    public void A_block_that_is_lost_behind_the_running_sums_begins_the_pass_again(CoordinateKind kind, string folder)
    {
        var again = runs.Options($"lost-{kind}", kind);
        Interrupt(again, "gradients", 50);
        File.Delete(Path.Combine(again.Out, folder, "block-00000.safetensors"));
        Assert.InRange(Resume(again)["gradients"], 1, 16);
        AssertSameBytes((kind == CoordinateKind.Exact ? runs.Exact : runs.Sketch).Out, again.Out);
    }

    private static DocumentCosines Cosines(string path)
    {
        using var run = RunFolder.OpenRead(path);
        using var file = SafetensorsFile.Open(run.PathOf("coordinates.safetensors"));
        return DocumentCosines.Open(run, file);
    }

    private static double RootMeanSquare(double[,] a, double[,] b) =>
        Math.Sqrt(a.Cast<double>().Zip(b.Cast<double>()).Sum(pair => Math.Pow(pair.First - pair.Second, 2)) / (a.Length - a.GetLength(0)));

    private static void Interrupt(AuditOptions options, string stage, int done)
    {
        using var source = new CancellationTokenSource();
        Assert.ThrowsAny<OperationCanceledException>(() => AuditPipeline.Run(
            options,
            progress: new Relay<StageProgress>(progress =>
            {
                if (progress.Stage == stage && progress.Done >= done)
                {
                    source.Cancel();
                }
            }),
            cancellationToken: source.Token));
    }

    // How far each stage is in its first report.
    private static Dictionary<string, long> Resume(AuditOptions options)
    {
        var first = new Dictionary<string, long>(StringComparer.Ordinal);
        AuditPipeline.Run(options, progress: new Relay<StageProgress>(progress => first.TryAdd(progress.Stage, progress.Done)));
        return first;
    }

    private static void AssertSameBytes(string expected, string actual)
    {
        static Dictionary<string, string> Outputs(string path)
        {
            using var run = RunFolder.OpenRead(path);
            return run.Manifest.Stages.SelectMany(stage => stage.Outputs).ToDictionary(output => output.Path, output => output.Sha256, StringComparer.Ordinal);
        }

        Assert.Equal(Outputs(expected), Outputs(actual));
        Assert.Equal(Files(expected), Files(actual)); // and nothing is left over
    }

    private static string[] Files(string path) =>
        [.. Directory.GetFiles(path, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(path, file)).Order(StringComparer.Ordinal)];
}
