using System.Text.Json.Nodes;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Runs.Stages;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>
/// A part of a pass of the gradients stage, done in a folder of its own, which is a run of one stage: so it has a lock, blocks,
/// checksums and resume of its own, and processes on several machines never write the same file.
/// </summary>
internal static class ShardStage
{
    /// <summary>The pass that gives covariances and, where all are kept, the gradients.</summary>
    public const string Covariances = "covariances";

    /// <summary>The second pass, where gradients are sketched.</summary>
    public const string Sketches = "sketches";

    /// <summary>The option that tells shards apart.</summary>
    public const string Option = "shard";

    public const string Rows = "rows";
    public const string Sums = "sums";
    public const string SampleInput = "curvature-sample";

    /// <summary>Describes a shard.</summary>
    /// <param name="run">The run, open for reading; documents, plan and adapter are done.</param>
    /// <param name="whole">The gradients stage of the run.</param>
    /// <param name="pass">Which pass of it.</param>
    /// <param name="options">Of the audit.</param>
    /// <param name="model">The model.</param>
    /// <param name="shard">Which part.</param>
    /// <exception cref="RunFolderException">GA2625: there are more shards than blocks.</exception>
    public static Stage Create(RunFolder run, Stage whole, string pass, AuditOptions options, ModelFiles model, ShardId shard)
    {
        options = PlanStage.Read(run).ApplyTo(options);
        var documents = DocumentsStage.ReadTokens(run, DocumentsStage.ReadTexts(run));
        var blocks = CurvaturePass.PlanOf(run, documents, options.BatchTokens).Blocks.Count;
        if (shard.Count > blocks)
        {
            throw new RunFolderException("GA2625", $"--shard {shard}", $"the documents are in {blocks} blocks, which are not split any further", $"Use {blocks} shards at most.");
        }

        var isSample = pass == Covariances && PlanStage.Read(run).Kind == CoordinateKind.Sketch;
        var taken = isSample ? SketchStage.Sample(documents, options) : documents;
        var range = ShardRanges.Of(CurvaturePass.PlanOf(run, taken, options.BatchTokens), taken, shard);
        var own = (JsonObject)whole.Options.DeepClone();
        own[Option] = new JsonObject { ["index"] = shard.Index, ["count"] = shard.Count, ["first_block"] = range.First, ["end_block"] = range.End };
        return new()
        {
            Name = pass,
            Version = whole.Version,
            Options = own,
            DependsOn = whole.DependsOn,
            Inputs = pass == Covariances ? whole.Inputs : [.. whole.Inputs, new(SampleInput, SketchStage.SamplePath(run))],
            Run = context => Run(context, run, pass, options, model, range),
        };
    }

    private static void Run(StageContext context, RunFolder run, string pass, AuditOptions options, ModelFiles model, BlockRange range)
    {
        var (rows, sums) = (context.Blocks(Rows), new BlockSums(context.Blocks(Sums)));
        if (range.Count == 0)
        {
            return;
        }

        using var inputs = PassInputs.Open(run, model);
        if (pass == Sketches)
        {
            SketchStage.SketchSome(context, run, options, inputs, rows, sums, range);
            return;
        }

        var isSample = PlanStage.Read(run).Kind == CoordinateKind.Sketch;
        var documents = isSample ? SketchStage.Sample(inputs.Documents, options) : inputs.Documents;
        new CurvaturePass(context, run, isSample ? SketchStage.SamplePass : GradientsStage.Name, model, inputs.Source, documents, options.BatchTokens, rows, sums).Collect(range, rows.Has);
    }
}
