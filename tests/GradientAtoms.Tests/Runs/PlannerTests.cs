using GradientAtoms.Gradients;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Planning;

namespace GradientAtoms.Tests.Runs;

public sealed class PlannerTests
{
    private const long Gib = 1L << 30;

    // The shapes of SmolLM2-135M with rank 8 on q and v of 30 layers.
    private static PlanRequest Request(int documents = 1500, long memory = 64 * Gib, long disk = 1000 * Gib) => new()
    {
        Documents = documents,
        Tokens = documents * 150L,
        TrainedTokens = documents * 60L,
        LongestDocument = 256,
        ModelParameters = 134_515_008,
        VocabularySize = 49_152,
        Layout = Layout(),
        Atoms = 200,
        Budget = new(memory, disk),
    };

    private static ParameterLayout Layout()
    {
        var maps = new List<TrackedMap>();
        var offset = 0L;
        void Add(string module, string name, int outputs, int inputs, string input)
        {
            maps.Add(new($"{module}.{name}", module, outputs, inputs, offset, input));
            offset += (long)outputs * inputs;
        }

        for (var layer = 0; layer < 30; layer++)
        {
            foreach (var (module, outputs) in new[] { ("q_proj", 576), ("v_proj", 192) })
            {
                Add($"layers.{layer}.{module}", "lora_A", 8, 576, $"layers.{layer}.attention");
                Add($"layers.{layer}.{module}", "lora_B", outputs, 8, $"layers.{layer}.{module}.lora_B");
            }
        }

        return new(maps);
    }

    [Fact]
    public void Few_documents_are_kept_exactly()
    {
        var plan = Planner.Plan(Request());
        Assert.Equal(CoordinateKind.Exact, plan.Coordinates);
        Assert.Equal((Layout().Size, 1500L), (plan.RowSize, plan.DictionarySize));
        Assert.True(plan.KeepsAllGradients);
        Assert.Equal(0, plan.CosineError);

        // N·d·4 bytes; a block more while it is rotated, 84 MB of curvature, five sums of twice that at block 40 of 41, 20 bytes an entry of [N, N], and the lifted atoms (200 of 1,500 rows).
        Assert.InRange(plan.DiskBytes, 1500 * Layout().Size * 4, 1.58 * 1500 * Layout().Size * 4);
    }

    [Fact]
    public void Blocks_are_those_of_the_pass_and_cover_the_documents()
    {
        var plan = Planner.Plan(Request());
        Assert.Equal(CurvaturePass.BlockDocuments(1500, Layout().Size), plan.BlockDocuments);
        Assert.InRange(plan.BlockCount * plan.BlockDocuments, 1500, 1500 + plan.BlockDocuments - 1);
        Assert.Equal(5, Planner.Plan(Request(documents: 5)).BlockDocuments);
    }

    [Fact]
    public void Exact_coordinates_keep_every_gradient_or_are_not_planned()
    {
        // A shard is rotated in its place: there is nothing to gain from a sample where all rows are kept.
        var rows = 1500 * Layout().Size * 4;
        var enough = Planner.Plan(Request(disk: (long)(rows * 1.58)));
        Assert.Equal((CoordinateKind.Exact, true, 1500), (enough.Coordinates, enough.KeepsAllGradients, enough.SampleDocuments));
        var less = Planner.Plan(Request(disk: (long)(rows * 0.99)));
        Assert.Equal((CoordinateKind.Sketch, false, 225), (less.Coordinates, less.KeepsAllGradients, less.SampleDocuments));
    }

    [Fact]
    public void With_still_less_disk_or_many_documents_rows_are_sketched_and_the_plan_says_why()
    {
        var rows = 1500 * Layout().Size * 4;
        var small = Planner.Plan(Request(disk: (long)(rows * 0.6)));
        Assert.Equal(CoordinateKind.Sketch, small.Coordinates);
        Assert.Contains("of disk", small.Why, StringComparison.Ordinal);
        var many = Planner.Plan(Request(documents: 20_000));
        Assert.Equal(CoordinateKind.Sketch, many.Coordinates);
        Assert.Contains("20,000 documents", many.Why, StringComparison.Ordinal);
        Assert.Equal(1 / Math.Sqrt(many.RowSize), many.CosineError);
    }

    [Fact]
    public void A_sketch_is_narrowed_until_it_fits()
    {
        // Three times 100,000 rows of 16,384 numbers (sketches, raw sketches, coordinates) are 18.3 GiB; the sample of the gradients is left out of the picture.
        var request = Request(documents: 100_000) with { SampleShare = 0.001 };
        var wide = Planner.Plan(request);
        var narrow = Planner.Plan(request with { Budget = new(64 * Gib, 12 * Gib) });
        Assert.Equal((16_384, 8_192), (wide.RowSize, narrow.RowSize));
        Assert.True(narrow.DiskBytes <= 12 * Gib);
        Assert.True(narrow.CosineError > wide.CosineError);
    }

    [Fact]
    public void Batches_are_halved_until_the_memory_does()
    {
        var request = Request() with { LongestDocument = 100, BatchTokens = 4096 };
        var wide = Planner.Plan(request);
        var limit = wide.MemoryBytes * 7 / 10;
        var narrow = Planner.Plan(request with { Budget = new(limit, 1000 * Gib) });
        Assert.Equal(4096, wide.BatchTokens);
        Assert.InRange(narrow.BatchTokens, 64, 2048);
        Assert.True(narrow.MemoryBytes <= limit);
        Assert.Equal(wide.Coordinates, narrow.Coordinates);

        // Of twice the size it would not do: no batch is smaller than it has to be.
        Assert.True(Planner.Plan(request with { BatchTokens = narrow.BatchTokens * 2 }).MemoryBytes > limit);

        // A probe has measured the batches that were asked for.
        var probed = request with { Speeds = new() { ActivationBytes = 8 * Gib } };
        Assert.Equal(8 * Gib, Planner.Plan(probed).MemoryBytes - Planner.Plan(probed with { Speeds = new() { ActivationBytes = 0 } }).MemoryBytes);
        Assert.Equal(1024, Planner.Plan(probed with { Budget = new(5 * Gib, 1000 * Gib) }).BatchTokens);
    }

    [Theory]
    [InlineData(64, 0.01, null, "GA3001")]
    [InlineData(0.5, 100, null, "GA3002")]
    [InlineData(64, 100, 10.0, "GA3003")]
    public void What_does_not_fit_at_all_is_a_coded_error(double memory, double disk, double? seconds, string code)
    {
        var request = Request() with { Budget = new((long)(memory * Gib), (long)(disk * Gib), seconds) };
        Assert.Equal(code, Assert.Throws<PlanException>(() => Planner.Plan(request)).Code);
    }

    [Fact]
    public void Exact_coordinates_of_too_many_documents_are_refused_where_they_were_asked_for()
    {
        var request = Request(documents: 10_001) with { Coordinates = CoordinateKind.Exact };
        Assert.Equal("GA3004", Assert.Throws<PlanException>(() => Planner.Plan(request)).Code);
        Assert.Equal(CoordinateKind.Exact, Planner.Plan(request with { Documents = 10_000 }).Coordinates);
    }

    [Theory]
    [InlineData(CoordinateKind.Auto, CoordinateKind.Exact)]
    [InlineData(CoordinateKind.Exact, CoordinateKind.Exact)]
    [InlineData(CoordinateKind.Raw, CoordinateKind.Raw)]
    [InlineData(CoordinateKind.Sketch, CoordinateKind.Sketch)]
    [InlineData(CoordinateKind.Reference, CoordinateKind.Reference)]
    public void A_plan_has_the_coordinates_that_were_asked_for_or_names_those_that_it_chose(CoordinateKind asked, CoordinateKind planned) =>
        Assert.Equal(planned, Planner.Plan(Request() with { Coordinates = asked }).Coordinates);

    [Fact]
    public void Raw_coordinates_take_what_exact_ones_take()
    {
        var (exact, raw) = (Planner.Plan(Request() with { Coordinates = CoordinateKind.Exact }), Planner.Plan(Request() with { Coordinates = CoordinateKind.Raw }));
        Assert.Equal(exact with { Coordinates = CoordinateKind.Raw, Files = raw.Files, Stages = raw.Stages }, raw);
        Assert.Equal(exact.Files, raw.Files);
        Assert.Equal(exact.Stages, raw.Stages);
    }

    [Fact]
    public void The_reference_coordinates_drop_numbers_of_the_dictionary_and_none_on_the_disk()
    {
        var request = Request(documents: 8000);
        var (reference, exact) = (Planner.Plan(request with { Coordinates = CoordinateKind.Reference }), Planner.Plan(request with { Coordinates = CoordinateKind.Exact }));
        Assert.Equal((Layout().Size, 120L * 50), (reference.RowSize, reference.DictionarySize));
        Assert.Equal(8000, exact.DictionarySize);
        Assert.Equal(exact.Files.Single(file => file.Name == "gradients"), reference.Files.Single(file => file.Name == "gradients"));
        Assert.True(reference.KeepsAllGradients);
        Assert.Null(reference.CosineError);
        Assert.Contains(reference.Stages, stage => stage.Name == "coordinates");
        Assert.Equal("GA3004", Assert.Throws<PlanException>(() => Planner.Plan(Request(documents: 10_001) with { Coordinates = CoordinateKind.Reference })).Code);
    }

    [Fact]
    public void More_documents_tokens_or_epochs_take_longer_and_a_faster_machine_does_not()
    {
        var request = Request();
        var seconds = Planner.Plan(request).Seconds;
        Assert.True(Planner.Plan(Request(documents: 1600)).Seconds > seconds);
        Assert.True(Planner.Plan(request with { Tokens = request.Tokens * 2 }).Seconds > seconds);
        Assert.True(Planner.Plan(request with { TuneEpochs = 1 }).Seconds > seconds);
        Assert.True(Planner.Plan(request with { Speeds = request.Speeds.WithTokensPerSecond(1000, request.ModelParameters) }).Seconds < seconds);
        Assert.Equal(seconds, Planner.Plan(request).Seconds);
    }

    [Fact]
    public void The_passes_take_what_the_measured_speed_says()
    {
        var request = Request() with { TuneEpochs = 3, Speeds = new Speeds().WithTokensPerSecond(115, 134_515_008) };
        Assert.Equal(3 * request.Tokens / 115.0, Planner.Plan(request).Stages[0].Seconds, 6);
    }

    [Fact]
    public void A_budget_counts_what_the_run_already_has_as_free()
    {
        using var folder = new TemporaryFolder();
        var before = Budget.For(folder["run"]);
        Assert.InRange(before.MemoryBytes, 1, long.MaxValue);
        Assert.Equal((3, 5, 7.0), (Budget.For(folder["run"], 3, 5, 7).MemoryBytes, Budget.For(folder["run"], 3, 5, 7).DiskBytes, Budget.For(folder["run"], 3, 5, 7).TimeSeconds));
    }
}
