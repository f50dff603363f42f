using System.Globalization;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.FineTuning;

/// <summary>
/// Trains the factors of a LoRA adapter on the trained tokens of documents: AdamW on the mean loss a trained token of each batch.
/// </summary>
public static class LoraTrainer
{
    /// <summary>Trains.</summary>
    /// <param name="model">The model, whose weights stay as they are.</param>
    /// <param name="adapter">Where the training begins: a fresh adapter or one to go on with. It is left as it is.</param>
    /// <param name="train">The documents; those without trained tokens are passed over.</param>
    /// <param name="heldOut">Documents whose loss is watched; may be empty.</param>
    /// <param name="options">How to train, or null for the defaults.</param>
    /// <param name="checkpoints">Where states are kept, and where an interrupted training is found; or null.</param>
    /// <param name="progress">Told once a step.</param>
    /// <param name="cancellationToken">Looked at once a step.</param>
    /// <returns>The caller owns it. A training that was continued gives the same bits as one that was never stopped.</returns>
    /// <exception cref="FineTuningException">GA1040: no trained token; GA1041: the checkpoint is of another training; GA1042: it is damaged; GA1043: an option is out of range.</exception>
    /// <exception cref="NumericalException">A loss or a gradient is not finite.</exception>
    public static FineTuningResult Train(
        CausalLanguageModel model,
        LoraAdapter adapter,
        IReadOnlyList<TokenizedDocument> train,
        IReadOnlyList<TokenizedDocument> heldOut,
        FineTuningOptions? options = null,
        ITrainingCheckpointSink? checkpoints = null,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        options ??= new();
        Check(options);
        var plan = new TrainingPlan(train, heldOut, adapter, options);
        if (plan.Batches.Count == 0)
        {
            throw new FineTuningException("GA1040", "training data", "no document has a trained token", "Check the chat template and which turns are trained.");
        }

        using var run = TrainingRun.Start(model, adapter, plan, options, checkpoints?.Load());
        var hasHeldOut = heldOut.Any(document => document.TrainedCount > 0);
        var total = plan.Batches.Count;
        if (run.Step == 0 && hasHeldOut && run.HeldOut.Count == 0)
        {
            run.Watch(heldOut, cancellationToken);
        }

        var kept = plan.Snapshots;
        while (run.Step < total)
        {
            cancellationToken.ThrowIfCancellationRequested();
            run.Advance(train);
            if (hasHeldOut && (run.Step == total || (options.HeldOutEvery > 0 && run.Step % options.HeldOutEvery == 0)))
            {
                run.Watch(heldOut, cancellationToken);
            }

            // Before the state is saved: a training that goes on from it has its adapters kept already.
            if (checkpoints is not null && kept.Contains(run.Step))
            {
                using var snapshot = run.Snapshot();
                checkpoints.Keep(run.Step, snapshot);
            }

            if (checkpoints is not null && (run.Step == total || (options.CheckpointEvery > 0 && run.Step % options.CheckpointEvery == 0)))
            {
                checkpoints.Save(run.State());
            }

            progress?.Report(new("fine-tuning", run.Step, total, "steps", string.Create(CultureInfo.InvariantCulture, $"loss {run.Losses[^1]:f3}")));
        }

        return run.Result();
    }

    private static void Check(FineTuningOptions options)
    {
        void Need(bool right, string option, string range)
        {
            if (!right)
            {
                throw new FineTuningException("GA1043", option, $"must be {range}", "Change the option.");
            }
        }

        Need(options.Epochs >= 1, "epochs", "at least 1");
        Need(options.BatchTokens >= 1, "batch tokens", "at least 1");
        Need(options.MicroBatchTokens >= 1, "micro-batch tokens", "at least 1");
        Need(options.LogitPositions >= 1, "logit positions", "at least 1");
        Need(double.IsFinite(options.LearningRate) && options.LearningRate > 0, "learning rate", "above 0");
        Need(options.Snapshots >= 0, "snapshots", "at least 0");
        Need(options.WarmupSteps >= 0, "warm-up steps", "at least 0");
        Need(options.Beta1 is >= 0 and < 1 && options.Beta2 is >= 0 and < 1, "betas", "from 0 to below 1");
        Need(double.IsFinite(options.Epsilon) && options.Epsilon > 0, "epsilon", "above 0");
        Need(double.IsFinite(options.WeightDecay) && options.WeightDecay >= 0, "weight decay", "at least 0");
        Need(!double.IsNaN(options.ClipNorm) && options.ClipNorm >= 0, "clip norm", "at least 0");
    }
}
