using System.Text.Json.Nodes;
using GradientAtoms.Gradients;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Tests.Support;

namespace GradientAtoms.Tests.Runs;

/// <summary>A tuned adapter, and an audit of each kind by one process, run once for all tests.</summary>
public sealed class WholeRuns : IDisposable
{
    private readonly TinyAudit _audit = new(documents: 150);
    private readonly string _adapter;

    public WholeRuns()
    {
        var tuned = _audit.Options("tuned", CoordinateKind.Exact);
        AuditPipeline.Tune(tuned);
        _adapter = Path.Combine(tuned.Out, RunFiles.Adapter);
        AuditPipeline.Run(Options("whole-exact", CoordinateKind.Exact));
        AuditPipeline.Run(Options("whole-sketch", CoordinateKind.Sketch));
    }

    public string this[string relative] => _audit[relative];

    public AuditOptions Options(string run, CoordinateKind kind) => _audit.Options(run, kind) with { Adapter = _adapter, Atoms = 8, SampleShare = 0.6 };

    public void Dispose() => _audit.Dispose();
}

/// <summary>Passes over the documents that several processes do a part of each.</summary>
/// <param name="runs">Shared.</param>
public sealed class ShardTests(WholeRuns runs) : IClassFixture<WholeRuns>
{
    [Theory]
    [InlineData(CoordinateKind.Exact, 1)]
    [InlineData(CoordinateKind.Sketch, 2)]
    public void Four_shards_in_any_order_one_of_them_killed_end_with_the_bytes_of_one_process(CoordinateKind kind, int passes)
    {
        var options = runs.Options($"shards-{kind}", kind);
        for (var pass = 1; pass <= passes; pass++)
        {
            Interrupt(options, new(2, 4), 17); // behind the first block of the shard
            foreach (var (index, missing) in new[] { (3, 3), (1, 2), (4, 1) })
            {
                var result = ShardPipeline.Run(options, new(index, 4));
                Assert.Equal(missing, result.Missing.Count);
                Assert.Contains(new ShardId(2, 4), result.Missing);
                Assert.Equal(pass < passes, result.HasSecondPass);
            }

            var first = new Dictionary<string, long>(StringComparer.Ordinal);
            var last = ShardPipeline.Run(options, new(2, 4), progress: new Relay<StageProgress>(progress => first.TryAdd(progress.Stage, progress.Done)));
            Assert.Empty(last.Missing);
            Assert.InRange(first[passes == 2 && pass == 1 ? "sample" : "gradients"], 17, 60); // it went on
            if (passes == 1)
            {
                Assert.True(ShardPipeline.Run(options, new(2, 4)).Outcome!.Decision.Reuse);
            }
        }

        AuditPipeline.Run(options);
        AssertSame(runs[$"whole-{kind.ToString().ToLowerInvariant()}"], options.Out);
        Assert.Null(ShardPipeline.Run(options, new(1, 4)).Pass);
        Assert.True(AuditPipeline.Run(options).NothingToDo);
    }

    [Fact]
    public void The_second_pass_can_be_done_alone()
    {
        var options = runs.Options("alone", CoordinateKind.Sketch);
        RunAll(options, 2);
        AuditPipeline.Run(options);
        AssertSame(runs["whole-sketch"], options.Out);
    }

    [Theory]
    [InlineData(CoordinateKind.Exact, "merge", 3)]
    [InlineData(CoordinateKind.Exact, "eigenbases", 1)]
    [InlineData(CoordinateKind.Exact, "curvature", 4)]
    [InlineData(CoordinateKind.Sketch, "curvature", 3)]
    public void A_merge_that_is_stopped_goes_on_to_the_same_bytes(CoordinateKind kind, string stage, int done)
    {
        var options = runs.Options($"stopped-{kind}-{stage}", kind);
        RunAll(options, 3);
        using var source = new CancellationTokenSource();
        Assert.ThrowsAny<OperationCanceledException>(() => AuditPipeline.Run(options, progress: new Relay<StageProgress>(Cancel(source, stage, done)), cancellationToken: source.Token));
        AuditPipeline.Run(options);
        AssertSame(runs[$"whole-{kind.ToString().ToLowerInvariant()}"], options.Out);
    }

    [Fact]
    public void A_missing_shard_and_one_that_is_not_finished_are_named_with_what_to_run()
    {
        var options = Until(runs.Options("missing", CoordinateKind.Exact), AuditStop.Gradients);
        ShardPipeline.Run(options, new(1, 3));
        Interrupt(options, new(3, 3), 17);
        var error = Assert.Throws<RunFolderException>(() => AuditPipeline.Run(options));
        Assert.Equal("GA2620", error.Code);
        Assert.Contains("shard 2/3 is missing, shard 3/3 is not finished (interrupted)", error.Problem, StringComparison.Ordinal);
        Assert.Contains("--shard 2/3", error.Remedy, StringComparison.Ordinal);

        ShardPipeline.Run(options, new(2, 3));
        ShardPipeline.Run(options, new(3, 3));
        AuditPipeline.Run(options);
        AssertSameGradients(runs["whole-exact"], options.Out);
    }

    [Fact]
    public void Shards_that_cut_the_documents_in_two_ways_or_are_there_twice_are_named()
    {
        var options = Until(runs.Options("double", CoordinateKind.Exact), AuditStop.Gradients);
        RunAll(options, 2);
        ShardPipeline.Run(options, new(2, 3));
        var mixed = Assert.Throws<RunFolderException>(() => AuditPipeline.Run(options));
        Assert.Equal("GA2621", mixed.Code);
        Assert.Contains("1/2 and 2/3", mixed.Problem, StringComparison.Ordinal);
        Directory.Delete(ShardFolder(options, "2-of-3"), recursive: true);

        Copy(ShardFolder(options, "2-of-2"), ShardFolder(options, "of-a-friend"));
        var twice = Assert.Throws<RunFolderException>(() => AuditPipeline.Run(options));
        Assert.Equal("GA2621", twice.Code);
        Assert.Contains("shard 2/2", twice.Problem, StringComparison.Ordinal);

        // A shard is what its record says, wherever its folder came from.
        Directory.Delete(ShardFolder(options, "2-of-2"), recursive: true);
        AuditPipeline.Run(options);
        AssertSameGradients(runs["whole-exact"], options.Out);
    }

    [Theory]
    [InlineData("rows")]
    [InlineData("sums")]
    public void A_damaged_shard_is_named_and_mended_by_running_it_again(string store)
    {
        var options = Until(runs.Options($"damaged-{store}", CoordinateKind.Exact), AuditStop.Gradients);
        RunAll(options, 2);
        var file = Directory.GetFiles(Path.Combine(ShardFolder(options, "2-of-2"), store)).Order(StringComparer.Ordinal).Last();
        var bytes = File.ReadAllBytes(file);
        bytes[^3] ^= 0x10;
        File.WriteAllBytes(file, bytes);
        var changed = Assert.Throws<RunFolderException>(() => AuditPipeline.Run(options));
        Assert.Equal(("GA2622", file), (changed.Code, changed.Location));
        Assert.Contains("--shard 2/2", changed.Remedy, StringComparison.Ordinal);
        Assert.True(Directory.Exists(ShardFolder(options, "1-of-2"))); // nothing was taken before all was looked at

        File.Delete(file);
        Assert.Equal("GA2622", Assert.Throws<RunFolderException>(() => AuditPipeline.Run(options)).Code);
        File.WriteAllBytes(file, bytes);
        Assert.False(ShardPipeline.Run(options, new(2, 2)).Outcome!.Decision.Reuse);
        AuditPipeline.Run(options);
        AssertSameGradients(runs["whole-exact"], options.Out);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("{\"schema\":\"gatoms/run\",\"version\":1,\"stages\":[{\"name\":null}]}")]
    public void A_shard_whose_record_is_damaged_is_an_error_with_a_code(string manifest)
    {
        var options = Until(runs.Options("unreadable", CoordinateKind.Exact), AuditStop.Gradients);
        if (!Directory.Exists(ShardFolder(options, "1-of-2")))
        {
            ShardPipeline.Run(options, new(1, 2));
        }

        File.WriteAllText(Path.Combine(ShardFolder(options, "1-of-2"), "run.json"), manifest);
        Assert.Equal("GA2622", Assert.Throws<RunFolderException>(() => AuditPipeline.Run(options)).Code);
        Assert.Equal("GA2622", Assert.Throws<RunFolderException>(() => ShardPipeline.Run(options, new(1, 2))).Code);
        Directory.Delete(ShardFolder(options, "1-of-2"), recursive: true);
    }

    [Fact]
    public void Shards_of_other_options_data_or_weights_are_refused_with_the_difference()
    {
        var options = Until(runs.Options("foreign", CoordinateKind.Exact), AuditStop.Gradients);
        RunAll(options, 2);

        // A process with other options does not take the run away from the others.
        var prepared = Assert.Throws<RunFolderException>(() => ShardPipeline.Run(options with { MaxTokens = 9 }, new(1, 2)));
        Assert.Equal("GA2624", prepared.Code);
        Assert.Contains("max_tokens 512 -> 9", prepared.Problem, StringComparison.Ordinal);

        // The run is begun anew with others: what the shards have made is of the old ones.
        var other = options with { MaxTokens = 9 };
        AuditPipeline.Run(other with { Until = AuditStop.Adapter });
        var foreign = Assert.Throws<RunFolderException>(() => AuditPipeline.Run(other));
        Assert.Equal("GA2623", foreign.Code);
        Assert.Contains("shard 1/2", foreign.Problem, StringComparison.Ordinal);
        Assert.Contains("documents changed", foreign.Problem, StringComparison.Ordinal);

        AuditPipeline.Run(options with { Until = AuditStop.Adapter });
        var batches = Assert.Throws<RunFolderException>(() => AuditPipeline.Run(options with { BatchTokens = 32 }));
        Assert.Contains("batch_tokens 64 -> 32", batches.Problem, StringComparison.Ordinal);

        // The weights of another model, in place of the ones that the shards used.
        var record = Path.Combine(ShardFolder(options, "2-of-2"), "run.json");
        var manifest = JsonNode.Parse(File.ReadAllText(record))!;
        manifest["stages"]![0]!["inputs"]!["model/model.safetensors"] = new string('0', 64);
        manifest["stages"]![0]!["input_hash"] = new string('0', 64);
        File.WriteAllText(record, manifest.ToJsonString());
        AuditPipeline.Run(options with { Until = AuditStop.Adapter });
        var weights = Assert.Throws<RunFolderException>(() => AuditPipeline.Run(options));
        Assert.Equal(("GA2623", ShardFolder(options, "2-of-2")), (weights.Code, weights.Location));
        Assert.Contains("model/model.safetensors", weights.Problem, StringComparison.Ordinal);

        ShardPipeline.Run(options, new(2, 2)); // replaces it
        AuditPipeline.Run(options);
        AssertSameGradients(runs["whole-exact"], options.Out);
    }

    [Fact]
    public void More_shards_than_blocks_are_refused_and_one_shard_is_the_whole()
    {
        var options = Until(runs.Options("many", CoordinateKind.Exact), AuditStop.Gradients);
        Assert.Equal("GA2625", Assert.Throws<RunFolderException>(() => ShardPipeline.Run(options, new(1, 1000))).Code);
        ShardPipeline.Run(options, new(1, 1));
        AuditPipeline.Run(options);
        AssertSameGradients(runs["whole-exact"], options.Out);
    }

    [Fact]
    public async Task A_shard_waits_for_the_process_that_prepares_the_run()
    {
        var options = runs.Options("waits", CoordinateKind.Exact);
        var told = new TaskCompletionSource();
        var holder = RunFolder.Create(options.Out);
        var shard = Task.Run(() => ShardPipeline.Run(options, new(1, 2), progress: new Relay<StageProgress>(progress =>
        {
            if (progress.Stage == "wait")
            {
                told.TrySetResult();
            }
        })));
        await told.Task.WaitAsync(TimeSpan.FromMinutes(2), TestContext.Current.CancellationToken);
        holder.Dispose();
        Assert.NotNull((await shard).Outcome);
    }

    [Fact]
    public void A_second_process_with_the_same_shard_is_refused_and_others_leave_its_files_alone()
    {
        var options = Until(runs.Options("locked", CoordinateKind.Exact), AuditStop.Gradients);
        AuditPipeline.Run(options with { Until = AuditStop.Adapter });
        using var run = RunFolder.OpenRead(options.Out);
        using var other = ShardFolders.Create(run, ShardStage.Covariances, new(1, 2));
        var unfinished = Path.Combine(other.Path, ".block.gatoms-partial");
        File.WriteAllText(unfinished, "another process is writing this");
        Assert.Equal("GA2603", Assert.Throws<RunFolderException>(() => ShardPipeline.Run(options, new(1, 2))).Code);
        ShardPipeline.Run(options, new(2, 2));
        Assert.Equal("GA2620", Assert.Throws<RunFolderException>(() => AuditPipeline.Run(options)).Code);
        Assert.True(File.Exists(unfinished));
    }

    [Fact]
    public void Shards_cut_every_plan_into_ranges_of_about_the_same_work()
    {
        var random = new Random(7);
        foreach (var count in new[] { 20, 150, 700 })
        {
            var documents = Enumerable.Range(0, count).Select(index => SomeDocuments.Random(1)[0] with { Tokens = new int[random.Next(4, 400)] }).ToList();
            var plan = BatchPlan.Make([.. documents.Select(document => document.Tokens.Length)], 1024, CurvaturePass.BlockDocuments(documents.Count, 1000));
            long Work(BlockRange range) => Enumerable.Range(range.First, range.Count).Sum(block => plan.Blocks[block].Sum(batch => (long)batch.Count * batch.Max(document => documents[document].Tokens.Length)));
            var largest = Enumerable.Range(0, plan.Blocks.Count).Max(block => Work(new(block, block + 1)));
            foreach (var shards in Enumerable.Range(1, plan.Blocks.Count + 3))
            {
                var ranges = ShardId.All(shards).Select(shard => ShardRanges.Of(plan, documents, shard)).ToList();
                Assert.Equal(0, ranges[0].First);
                Assert.Equal(plan.Blocks.Count, ranges[^1].End);
                Assert.All(ranges.Zip(ranges.Skip(1)), pair => Assert.Equal(pair.First.End, pair.Second.First));
                Assert.Equal(Math.Min(shards, plan.Blocks.Count), ranges.Count(range => range.Count > 0));
                Assert.All(ranges, range => Assert.InRange(Work(range), 0, (Work(new(0, plan.Blocks.Count)) / shards) + (2 * largest)));
            }
        }
    }

    [Theory]
    [InlineData("2/4", 2, 4)]
    [InlineData("1/1", 1, 1)]
    public void A_shard_is_written_as_a_part_of_a_whole(string text, int index, int count) => Assert.Equal(new ShardId(index, count), ShardId.TryParse(text));

    [Theory]
    [InlineData("")]
    [InlineData("0/4")]
    [InlineData("5/4")]
    [InlineData("1/0")]
    [InlineData("-1/4")]
    [InlineData("1/4/2")]
    [InlineData("1")]
    [InlineData("a/b")]
    [InlineData("1/99999999999")]
    public void What_is_no_part_of_a_whole_is_no_shard(string text) => Assert.Null(ShardId.TryParse(text));

    private static AuditOptions Until(AuditOptions options, AuditStop stop) => options with { Until = stop };

    private static string ShardFolder(AuditOptions options, string name) => Path.Combine(options.Out, "shards", $"covariances-{name}");

    private static void RunAll(AuditOptions options, int count)
    {
        foreach (var shard in ShardId.All(count))
        {
            ShardPipeline.Run(options, shard);
        }
    }

    private static void Interrupt(AuditOptions options, ShardId shard, int done)
    {
        using var source = new CancellationTokenSource();
        var watch = new Relay<StageProgress>(progress =>
        {
            if (progress.Stage is "sample" or "gradients" && progress.Done >= done)
            {
                source.Cancel();
            }
        });
        Assert.ThrowsAny<OperationCanceledException>(() => ShardPipeline.Run(options, shard, progress: watch, cancellationToken: source.Token));
    }

    private static Action<StageProgress> Cancel(CancellationTokenSource source, string stage, int done) => progress =>
    {
        if (progress.Stage == stage && progress.Done >= done)
        {
            source.Cancel();
        }
    };

    private static void Copy(string from, string to)
    {
        foreach (var file in Directory.GetFiles(from, "*", SearchOption.AllDirectories))
        {
            var place = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(place)!);
            File.Copy(file, place);
        }
    }

    private static void AssertSame(string expected, string actual)
    {
        using var one = RunFolder.OpenRead(expected);
        using var other = RunFolder.OpenRead(actual);
        Assert.Equal(Outputs(one), Outputs(other));
        Assert.Equal(one.Manifest.ContentHash, other.Manifest.ContentHash);
        Assert.Equal(Files(expected), Files(actual)); // and nothing is left over
    }

    private static void AssertSameGradients(string expected, string actual)
    {
        using var one = RunFolder.OpenRead(expected);
        using var other = RunFolder.OpenRead(actual);
        Assert.Equal(one.Manifest.Stage("gradients")!.OutputHash, other.Manifest.Stage("gradients")!.OutputHash);
        Assert.False(Directory.Exists(Path.Combine(actual, "shards")));
    }

    private static Dictionary<string, string> Outputs(RunFolder run) =>
        run.Manifest.Stages.SelectMany(stage => stage.Outputs).ToDictionary(output => output.Path, output => output.Sha256, StringComparer.Ordinal);

    private static string[] Files(string path) =>
        [.. Directory.GetFiles(path, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(path, file)).Order(StringComparer.Ordinal)];
}
