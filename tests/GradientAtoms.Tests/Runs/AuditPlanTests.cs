using GradientAtoms.Runs;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Tests.Runs;

/// <summary>How the audit decides what it keeps of gradients.</summary>
public sealed class AuditPlanTests
{
    [Fact]
    public void A_small_disk_gives_sketches_and_the_decision_stays_with_the_run()
    {
        using var audit = new TinyAudit(documents: 150);
        var options = audit.Options("run", CoordinateKind.Auto);
        var tight = options with { Disk = SketchBytes(options) };
        AuditPipeline.Run(tight);
        Assert.Equal("sketch", Kept(tight));
        Assert.Contains("over the limit", Why(tight), StringComparison.Ordinal);
        Assert.True(AuditPipeline.Run(options).NothingToDo);

        // Another number of atoms plans anew, and gradients that are there decide.
        var result = AuditPipeline.Run(options with { Atoms = 5 });
        Assert.Equal("sketch", Kept(options));
        Assert.True(result.Stages.Single(stage => stage.Decision.Stage == "gradients").Decision.Reuse);
        Assert.Equal("exact", Kept(Run(options with { Out = audit["other"] })));
    }

    [Fact]
    public void Little_memory_gives_smaller_batches_and_more_of_it_later_does_not_begin_anew()
    {
        using var audit = new TinyAudit(documents: 40);
        var options = audit.Options("run", CoordinateKind.Auto) with { BatchTokens = 4096, Until = AuditStop.Gradients };
        AuditPipeline.Run(options with { Until = AuditStop.Plan });
        using (var run = RunFolder.OpenRead(options.Out))
        {
            var memory = run.Manifest.Stage("plan")!.Notes["predicted"]!.AsObject().Max(stage => (long)stage.Value!["memory_bytes"]!);
            options = options with { Memory = memory - 4096 };
        }

        AuditPipeline.Run(options with { Atoms = 7 }); // other atoms: planned anew
        int Batches()
        {
            using var run = RunFolder.OpenRead(options.Out);
            return (int)run.Manifest.Stage("gradients")!.Options["batch_tokens"]!;
        }

        var fitted = Batches();
        Assert.InRange(fitted, 1, 2048);
        var later = AuditPipeline.Run(options with { Memory = null, Atoms = 6 });
        Assert.Equal(fitted, Batches());
        Assert.True(later.Stages.Single(stage => stage.Decision.Stage == "gradients").Decision.Reuse);
    }

    [Fact]
    public void What_fits_nowhere_ends_before_the_adapter_is_tuned()
    {
        using var audit = new TinyAudit(documents: 20);
        var options = audit.Options("run", CoordinateKind.Auto) with { Disk = 10_000 };
        Assert.Equal("GA3001", Assert.Throws<PlanException>(() => AuditPipeline.Run(options)).Code);
        using (var run = RunFolder.OpenRead(options.Out))
        {
            Assert.Null(run.Manifest.Stage("adapter"));
        }

        Assert.Equal("exact", Kept(Run(options with { Disk = null })));
    }

    [Fact]
    public void The_adapter_that_is_tuned_is_the_one_that_was_planned()
    {
        using var audit = new TinyAudit(documents: 20);
        var options = audit.Options("tuned", CoordinateKind.Exact) with { Rank = 3, Alpha = 12, TargetModules = "k_proj, down_proj" };
        AuditPipeline.Tune(options);

        using var model = new ModelFiles(options.Model);
        var folder = Path.Combine(options.Out, RunFiles.Adapter);
        using var adapter = model.LoadAdapter(folder);
        var planned = AuditPlan.Request(options, model.Description, SomeDocuments.Random(20)).Layout;
        Assert.Equal(planned.Maps.Select(map => map.Name), model.LayoutOf(adapter).Maps.Select(map => map.Name));
        Assert.Equal(planned.Size, adapter.ParameterCount);
        Assert.All(adapter.Modules, module => Assert.Equal((3, 4.0), (module.Rank, module.Scale)));
        Assert.All(adapter.Modules, module => Assert.Matches("k_proj$|down_proj$", module.ModuleName));
    }

    [Theory]
    [InlineData(CoordinateKind.Exact)]
    [InlineData(CoordinateKind.Raw)]
    [InlineData(CoordinateKind.Reference)]
    [InlineData(CoordinateKind.Sketch)]
    public void A_plan_has_the_sizes_of_the_files_that_the_audit_writes(CoordinateKind kind)
    {
        using var audit = new TinyAudit(documents: 150);
        var options = audit.Options("sizes", kind) with { Atoms = 10 };
        var largest = 0L;
        AuditPipeline.Run(options, progress: new Relay<StageProgress>(_ => largest = Math.Max(largest, Bytes(options.Out))));

        using var run = RunFolder.OpenRead(options.Out);
        using var model = new ModelFiles(options.Model);
        var plan = Planner.Plan(AuditPlan.Request(options, model.Description, DocumentsStage.ReadTokens(run, DocumentsStage.ReadTexts(run))));
        foreach (var name in (string[])[RunFiles.Gradients, RunFiles.Curvature, CoordinatesStage.File, RunFiles.Dictionary, .. kind == CoordinateKind.Sketch ? (string[])[] : [RunFiles.Lifted]])
        {
            // A tensor has a line in its file's header beside its numbers, which here are few.
            var written = run.Manifest.Stages.SelectMany(stage => stage.Outputs).Where(output => output.Path == name || output.Path.StartsWith($"{name}/", StringComparison.Ordinal)).Sum(output => output.Bytes);
            var planned = plan.Files.Single(file => file.Name == name).Bytes;
            Assert.True(written >= 0.75 * planned && written <= (1.1 * planned) + 40_000, $"{name}: {planned} planned, {written} written");
        }

        // Each stage once, under its own name, in its order; tokens wherever there are some.
        var stages = run.Manifest.Stages.Select(stage => stage.Name).ToList();
        Assert.Equal(stages.Where(stage => plan.Stages.Any(planned => planned.Name == stage)), plan.Stages.Select(planned => planned.Name));
        Assert.Equal(kind != CoordinateKind.Sketch, plan.Stages.Any(planned => planned.Name == TokensStage.Name));
        Assert.Equal(plan.Stages.Select(planned => planned.Name), run.Manifest.Stage(PlanStage.Name)!.Notes["predicted"]!.AsObject().Select(stage => stage.Key));
        Assert.True(plan.DictionarySize >= (long)run.Manifest.Stage("coordinates")!.Notes["dimensions"]!);
        Assert.InRange(largest, plan.Files.Single(file => file.Name == RunFiles.Gradients).Bytes, plan.DiskBytes + 150_000);
    }

    private static long Bytes(string folder) => new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Exists ? file.Length : 0);

    private static AuditOptions Run(AuditOptions options)
    {
        AuditPipeline.Run(options);
        return options;
    }

    private static long SketchBytes(AuditOptions options)
    {
        using var model = new ModelFiles(options.Model);
        var documents = model.ChatTokenizer(options).TokenizeAll(DocumentReader.Read(options.Data).Distinct, options.Data).Documents;
        return Planner.Plan(AuditPlan.Request(options with { Coordinates = CoordinateKind.Sketch }, model.Description, documents)).DiskBytes;
    }

    private static string? Kept(AuditOptions options)
    {
        using var run = RunFolder.OpenRead(options.Out);
        return (string?)run.Manifest.Stage("gradients")!.Options["kept"];
    }

    private static string Why(AuditOptions options)
    {
        using var run = RunFolder.OpenRead(options.Out);
        return (string)run.Manifest.Stage("plan")!.Notes["why"]!;
    }
}
