using System.Globalization;
using GradientAtoms.Evaluation;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.FineTuning;

/// <summary>A training under way: the working adapter, the optimiser and the counters.</summary>
internal sealed class TrainingRun : IDisposable
{
    private readonly CausalLanguageModel _model;
    private readonly TrainingPlan _plan;
    private readonly FineTuningOptions _options;
    private readonly LoraAdapter _adapter; // its factors ask for gradients
    private readonly string[] _names;
    private readonly Tensor[] _parameters;
    private readonly Tensor[] _first;
    private readonly Tensor[] _second;
    private readonly AdamW _optimiser;
    private readonly List<double> _losses;
    private readonly List<HeldOutLoss> _heldOut;
    private long _tokens;

    private TrainingRun(CausalLanguageModel model, LoraAdapter start, TrainingPlan plan, FineTuningOptions options, TrainingState? state)
    {
        (_model, _plan, _options) = (model, plan, options);
        using var scope = NewDisposeScope();
        Tensor Working(string name, Tensor value) => (state?.Tensors[$"parameter/{name}"] ?? value.detach()).to(model.Device, copy: true).requires_grad_();
        _adapter = new([.. start.Modules.Select(module => module with
        {
            A = Working($"{module.ModuleName}.lora_A", module.A),
            B = Working($"{module.ModuleName}.lora_B", module.B),
        })]);
        _names = [.. start.Modules.SelectMany(module => (string[])[$"{module.ModuleName}.lora_A", $"{module.ModuleName}.lora_B"])];
        _parameters = [.. _adapter.Modules.SelectMany(module => (Tensor[])[module.A, module.B])];
        Tensor Moment(string kind, int i) =>
            (state?.Tensors[$"{kind}/{_names[i]}"].to(model.Device, copy: true) ?? zeros(_parameters[i].shape, device: model.Device)).DetachFromDisposeScope();
        _first = [.. _names.Select((_, i) => Moment("first", i))];
        _second = [.. _names.Select((_, i) => Moment("second", i))];
        _optimiser = new(_parameters, _first, _second, options);
        (Step, _tokens) = (state?.Counters.Step ?? 0, state?.Counters.Tokens ?? 0);
        (_losses, _heldOut) = ([.. state?.Counters.Losses ?? []], [.. state?.Counters.HeldOut ?? []]);
    }

    /// <summary>Optimiser steps done.</summary>
    public int Step { get; private set; }

    /// <summary>The loss a trained token of each step's batch.</summary>
    public IReadOnlyList<double> Losses => _losses;

    /// <summary>The held-out losses so far.</summary>
    public IReadOnlyList<HeldOutLoss> HeldOut => _heldOut;

    /// <summary>Begins, or goes on from a state, which it disposes of.</summary>
    public static TrainingRun Start(CausalLanguageModel model, LoraAdapter adapter, TrainingPlan plan, FineTuningOptions options, TrainingState? state)
    {
        using (state)
        {
            if (state is not null && (state.Counters.Plan != plan.Hash || state.Counters.Step > plan.Batches.Count))
            {
                throw new FineTuningException("GA1041", "training checkpoint", "it belongs to other options, documents or another adapter", "Delete the checkpoint, or go back to the options that it was made with.");
            }

            if (state is not null)
            {
                CheckTensors(state, adapter);
            }

            return new(model, adapter, plan, options, state);
        }
    }

    /// <summary>One optimiser step.</summary>
    public void Advance(IReadOnlyList<TokenizedDocument> documents)
    {
        using var scope = NewDisposeScope();
        var indices = _plan.Batches[Step];
        var trained = indices.Sum(index => (long)documents[index].TrainedCount);
        var (gradients, total) = ((Tensor[]?)null, 0.0);
        var byLength = indices.OrderBy(index => documents[index].Tokens.Length).ThenBy(index => index);
        foreach (var part in BatchPlan.Cut([.. documents.Select(document => document.Tokens.Length)], byLength, _options.MicroBatchTokens))
        {
            var (loss, partGradients) = LossAndGradients(documents, part, trained);
            total += loss;
            if (gradients is null)
            {
                gradients = partGradients;
                continue;
            }

            for (var i = 0; i < gradients.Length; i++)
            {
                gradients[i].add_(partGradients[i]);
                partGradients[i].Dispose();
            }
        }

        var squaredNorm = gradients!.Sum(gradient =>
        {
            using var inner = NewDisposeScope();
            return gradient.to(ScalarType.Float64).square().sum().item<double>();
        });
        var norm = Math.Sqrt(squaredNorm);
        var scale = _options.ClipNorm > 0 && norm > _options.ClipNorm ? _options.ClipNorm / norm : 1;
        _optimiser.Step(gradients!, scale, _plan.LearningRate(Step), Step + 1);
        _losses.Add(total);
        _tokens += indices.Sum(index => (long)documents[index].Tokens.Length);
        Step++;
    }

    /// <summary>Measures the held-out loss.</summary>
    public void Watch(IReadOnlyList<TokenizedDocument> heldOut, CancellationToken cancellationToken)
    {
        var losses = DocumentLosses.Compute(_model, [_adapter], heldOut, new() { BatchTokens = _options.BatchTokens }, cancellationToken: cancellationToken);
        _heldOut.Add(new(Step, losses.MeanPerToken));
    }

    /// <summary>The state, with this run's own tensors: it is not to be disposed of.</summary>
    public TrainingState State()
    {
        var tensors = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        for (var i = 0; i < _names.Length; i++)
        {
            tensors[$"parameter/{_names[i]}"] = _parameters[i];
            tensors[$"first/{_names[i]}"] = _first[i];
            tensors[$"second/{_names[i]}"] = _second[i];
        }

        return new(tensors, Counters());
    }

    /// <summary>The adapter as it is now. The caller owns it.</summary>
    public LoraAdapter Snapshot()
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        return new([.. _adapter.Modules.Select(module => module with { A = module.A.detach().clone(), B = module.B.detach().clone() })]);
    }

    /// <summary>The trained adapter. The caller owns it.</summary>
    public FineTuningResult Result()
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        var adapter = Snapshot();
        var second = cat([.. _second.Select(moment => moment.flatten())]) / (1 - Math.Pow(_options.Beta2, Math.Max(1, Step))); // [d]
        return new(adapter, second, Counters());
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _adapter.Dispose();
        _optimiser.Dispose();
    }

    private TrainingCounters Counters() => new(Step, _tokens, _plan.Hash, [.. _losses], [.. _heldOut]);

    private static void CheckTensors(TrainingState state, LoraAdapter adapter)
    {
        foreach (var (name, shape) in adapter.Modules.SelectMany(module =>
            ((string, long[])[])[($"{module.ModuleName}.lora_A", module.A.shape), ($"{module.ModuleName}.lora_B", module.B.shape)]))
        {
            foreach (var kind in (string[])["parameter", "first", "second"])
            {
                if (!state.Tensors.TryGetValue($"{kind}/{name}", out var tensor) || tensor.dtype != ScalarType.Float32 || !tensor.shape.AsSpan().SequenceEqual(shape))
                {
                    throw new FineTuningException(
                        "GA1042", $"training checkpoint, {kind}/{name}", "the tensor is missing or of another shape", "Delete the checkpoint and start the fine-tune again.");
                }
            }
        }
    }

    /// <summary>The part of a step's mean loss that some of its documents make, and its gradients, one a parameter.</summary>
    private (double Loss, Tensor[] Gradients) LossAndGradients(IReadOnlyList<TokenizedDocument> documents, IReadOnlyList<int> indices, long trained)
    {
        using var scope = NewDisposeScope();
        using var batch = TokenBatch.Of(documents, indices, _model.Device);
        var hidden = _model.HiddenStates(batch.Tokens, new() { Adapters = [_adapter] }); // [B, T, h]
        var (loss, hiddenGradient) = LossAtHead(hidden, batch, trained);
        if (!double.IsFinite(loss))
        {
            throw NotFinite(documents, indices, null, "loss");
        }

        var gradients = autograd.grad([hidden], _parameters, [hiddenGradient]);
        for (var i = 0; i < gradients.Count; i++)
        {
            using var inner = NewDisposeScope();
            if (!double.IsFinite(gradients[i].to(ScalarType.Float64).square().sum().item<double>()))
            {
                throw NotFinite(documents, indices, _names[i], "gradient");
            }
        }

        return (loss, [.. gradients.Select(gradient => gradient.MoveToOuterDisposeScope())]);
    }

    private NumericalException NotFinite(IReadOnlyList<TokenizedDocument> documents, IReadOnlyList<int> indices, string? module, string what) => new(
        $"fine-tuning step {(Step + 1).ToString(CultureInfo.InvariantCulture)}{(module is null ? "" : $", {module}")}, documents {string.Join(", ", indices.Select(index => documents[index].Id).Take(20))}",
        $"the {what} is not finite",
        "Use a smaller learning rate, or check these documents and the model's weights.");

    /// <summary>
    /// The summed loss over the step's trained tokens and its gradient at the hidden states, some positions at a time: the
    /// logits of a whole batch would be the largest tensors of the training by far.
    /// </summary>
    private (double Loss, Tensor HiddenGradient) LossAtHead(Tensor hidden, TokenBatch batch, long trained)
    {
        var (losses, gradients) = TokenLosses.WithGradient(_model, hidden.detach().flatten(0, 1).index_select(0, batch.Predicting), batch.Targets, _options.LogitPositions);
        var gradient = zeros_like(hidden.detach()).flatten(0, 1); // [B·T, h]
        gradient.index_copy_(0, batch.Predicting, gradients / trained);
        return (losses.sum(ScalarType.Float64).item<double>() / trained, gradient.view(hidden.shape));
    }
}
