using System.Text.Json;
using GradientAtoms.Models.Adapters;
using static TorchSharp.torch;

namespace GradientAtoms.FineTuning;

/// <summary>A held-out loss.</summary>
/// <param name="Step">Optimiser steps before it was measured; 0 is before the fine-tune.</param>
/// <param name="Loss">Per trained token, in nats.</param>
public sealed record HeldOutLoss(int Step, double Loss);

/// <summary>What a training has done, beside its tensors.</summary>
/// <param name="Step">Optimiser steps done.</param>
/// <param name="Tokens">Tokens seen, without padding.</param>
/// <param name="Plan">Hash of the options, the adapter's shapes and the documents, held-out ones included: a state continues only its own training.</param>
/// <param name="Losses">The loss a trained token of each step's batch, before the step.</param>
/// <param name="HeldOut">The held-out losses so far.</param>
public sealed record TrainingCounters(int Step, long Tokens, string Plan, IReadOnlyList<double> Losses, IReadOnlyList<HeldOutLoss> HeldOut)
{
    /// <summary>As JSON; numbers keep every bit.</summary>
    public string ToJson() => JsonSerializer.Serialize(this);

    /// <summary>Reads what <see cref="ToJson"/> wrote.</summary>
    /// <exception cref="FineTuningException">GA1042: it is something else.</exception>
    public static TrainingCounters FromJson(string json)
    {
        try
        {
            var counters = JsonSerializer.Deserialize<TrainingCounters>(json);
            if (counters is { Step: >= 0, Tokens: >= 0, Plan: not null, Losses: not null, HeldOut: not null } && counters.Losses.Count == counters.Step)
            {
                return counters;
            }
        }
        catch (JsonException)
        {
            // Said below: whatever is wrong with it, the remedy is the same.
        }

        throw new FineTuningException("GA1042", "training checkpoint", "its counters cannot be read", "Delete the checkpoint and start the fine-tune again.");
    }
}

/// <summary>
/// Everything a training needs to go on as if it had not stopped: a caller stores <see cref="Tensors"/> under their names and
/// <see cref="Counters"/> as JSON. There is no random state beside it: the batches follow from the seed.
/// </summary>
public sealed class TrainingState : IDisposable
{
    /// <summary>Takes over tensors that were stored.</summary>
    /// <param name="tensors">By the names that <see cref="Tensors"/> had.</param>
    /// <param name="counters">Read from its JSON.</param>
    public TrainingState(IReadOnlyDictionary<string, Tensor> tensors, TrainingCounters counters)
    {
        Tensors = tensors;
        Counters = counters;
        foreach (var tensor in tensors.Values)
        {
            tensor.DetachFromDisposeScope();
        }
    }

    /// <summary>
    /// For each factor of the adapter, <c>MODULE.lora_A</c> and <c>MODULE.lora_B</c>: its value (<c>parameter/…</c>) and Adam's
    /// moments (<c>first/…</c>, <c>second/…</c>), float32.
    /// </summary>
    public IReadOnlyDictionary<string, Tensor> Tensors { get; }

    /// <summary>Steps, losses, and whose they are.</summary>
    public TrainingCounters Counters { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in Tensors.Values)
        {
            tensor.Dispose();
        }
    }
}

/// <summary>Where checkpoints of a training go.</summary>
public interface ITrainingCheckpointSink
{
    /// <summary>The last state that was saved, which the trainer then owns, or null to begin at the beginning.</summary>
    TrainingState? Load();

    /// <summary>Saves a state. The tensors are the trainer's own and change after the call.</summary>
    void Save(TrainingState state);

    /// <summary>Keeps the adapter as it is behind a step (<see cref="FineTuningOptions.Snapshots"/>). A training that goes on from a state hands over again what came after that state, to the same bits.</summary>
    /// <param name="steps">Optimiser steps done.</param>
    /// <param name="adapter">The trainer's own, gone after the call.</param>
    void Keep(int steps, LoraAdapter adapter)
    {
    }
}

/// <summary>A trained adapter and how it came about. Owns its tensors.</summary>
public sealed class FineTuningResult : IDisposable
{
    internal FineTuningResult(LoraAdapter adapter, Tensor secondMoments, TrainingCounters counters)
    {
        Adapter = adapter;
        SecondMoments = secondMoments.DetachFromDisposeScope();
        StepLosses = counters.Losses;
        HeldOut = counters.HeldOut;
        Steps = counters.Step;
        Tokens = counters.Tokens;
    }

    /// <summary>The trained adapter; its tensors need no gradient.</summary>
    public LoraAdapter Adapter { get; }

    /// <summary>
    /// <c>[d]</c>, float32, in the order of <see cref="Gradients.ParameterLayout"/>: Adam's second moments, corrected for their
    /// start at zero, of the gradient of the mean loss a token. They give the <c>adam</c> step its scale.
    /// </summary>
    public Tensor SecondMoments { get; }

    /// <summary>The loss a trained token of each step's batch, before that step.</summary>
    public IReadOnlyList<double> StepLosses { get; }

    /// <summary>Held-out losses, the first before the fine-tune, the last after it; empty without held-out documents.</summary>
    public IReadOnlyList<HeldOutLoss> HeldOut { get; }

    /// <summary>Optimiser steps.</summary>
    public int Steps { get; }

    /// <summary>Tokens seen, without padding.</summary>
    public long Tokens { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Adapter.Dispose();
        SecondMoments.Dispose();
    }
}
