using GradientAtoms.FineTuning;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.FineTuning;

public class LoraTrainerTests
{
    private static readonly FineTuningOptions Options = new() { Epochs = 2, BatchTokens = 40, MicroBatchTokens = 30, LearningRate = 1e-2, WarmupSteps = 2, Seed = 7, CheckpointEvery = 3, HeldOutEvery = 4 };

    [Fact]
    public void Training_lowers_the_losses_of_what_is_trained_and_of_what_is_held_out()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model, ["q_proj", "v_proj", "down_proj"], rank: 4);
        var documents = Patterned(40);

        using var result = LoraTrainer.Train(model, adapter, documents[..30], documents[30..], Options with { Epochs = 6 });

        Assert.True(result.HeldOut[^1].Loss < 0.7 * result.HeldOut[0].Loss, $"held out: {result.HeldOut[0].Loss:f3} to {result.HeldOut[^1].Loss:f3}");
        Assert.True(result.StepLosses.TakeLast(5).Average() < 0.7 * result.StepLosses.Take(5).Average());
        Assert.Equal((0, result.Steps), (result.HeldOut[0].Step, result.HeldOut[^1].Step));
        Assert.Equal(result.Steps, result.StepLosses.Count);
        Assert.Equal(6 * documents[..30].Sum(document => (long)document.Tokens.Length), result.Tokens);
        Assert.Equal(adapter.ParameterCount, result.SecondMoments.shape[0]);
        Assert.True(result.SecondMoments.min().item<float>() >= 0);
    }

    [Fact]
    public void The_adapter_that_training_begins_with_stays_as_it_is()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        using var before = adapter.Modules[0].A.clone();

        using var result = LoraTrainer.Train(model, adapter, SomeDocuments.Random(6), [], Options);

        Assert.True(before.equal(adapter.Modules[0].A).all().item<bool>());
        Assert.False(adapter.Modules[0].A.requires_grad);
        Assert.False(result.Adapter.Modules[0].A.requires_grad);
        Assert.Empty(result.HeldOut);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(7)]
    public void A_training_continued_from_its_checkpoint_gives_the_same_bits(int stopAt)
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var (documents, heldOut) = (SomeDocuments.Random(25), SomeDocuments.Random(5, seed: 9));
        using var whole = LoraTrainer.Train(model, adapter, documents, heldOut, Options);
        Assert.True(whole.Steps > stopAt);

        var store = new MemoryStore();
        using var stop = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => LoraTrainer.Train(model, adapter, documents, heldOut, Options, store, new StopAfter(stopAt, stop), stop.Token));
        Assert.Equal(stopAt / Options.CheckpointEvery * Options.CheckpointEvery, TrainingCounters.FromJson(store.Json!).Step);
        using var continued = LoraTrainer.Train(model, adapter, documents, heldOut, Options, store);

        AssertSame(whole, continued);
        using var again = LoraTrainer.Train(model, adapter, documents, heldOut, Options, store);
        AssertSame(whole, again);
    }

    [Fact]
    public void A_checkpoint_of_other_options_or_documents_is_refused()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var documents = SomeDocuments.Random(8);
        var store = new MemoryStore();
        LoraTrainer.Train(model, adapter, documents, [], Options, store).Dispose();

        Assert.Equal("GA1041", Assert.Throws<FineTuningException>(() => LoraTrainer.Train(model, adapter, documents, [], Options with { LearningRate = 1e-3 }, store)).Code);
        Assert.Equal("GA1041", Assert.Throws<FineTuningException>(() => LoraTrainer.Train(model, adapter, [.. documents.Skip(1)], [], Options, store)).Code);
        Assert.Equal("GA1041", Assert.Throws<FineTuningException>(() => LoraTrainer.Train(model, adapter, documents, documents, Options, store)).Code);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("{\"Step\":3}")]
    [InlineData("{\"Step\":-1,\"Tokens\":0,\"Plan\":\"\",\"Losses\":[],\"HeldOut\":[]}")]
    [InlineData("{\"Step\":2,\"Tokens\":0,\"Plan\":\"\",\"Losses\":[1.5],\"HeldOut\":[]}")]
    public void Counters_that_are_rubbish_are_refused(string json) =>
        Assert.Equal("GA1042", Assert.Throws<FineTuningException>(() => TrainingCounters.FromJson(json)).Code);

    [Fact]
    public void A_checkpoint_without_a_tensor_is_refused()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var documents = SomeDocuments.Random(8);
        var store = new MemoryStore();
        LoraTrainer.Train(model, adapter, documents, [], Options, store).Dispose();
        var name = $"second/{adapter.Modules[0].ModuleName}.lora_B";
        store.Tensors!.Remove(name);

        var error = Assert.Throws<FineTuningException>(() => LoraTrainer.Train(model, adapter, documents, [], Options, store));

        Assert.Equal("GA1042", error.Code);
        Assert.Contains(name, error.Location, StringComparison.Ordinal);
    }

    [Fact]
    public void Data_without_trained_tokens_and_options_out_of_range_are_refused()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        FineTuningException Refused(IReadOnlyList<TokenizedDocument> documents, FineTuningOptions options) =>
            Assert.Throws<FineTuningException>(() => LoraTrainer.Train(model, adapter, documents, [], options));

        Assert.Equal("GA1040", Refused([new("none", 1, [1, 2], [false, false], 0)], Options).Code);
        foreach (var options in (FineTuningOptions[])[Options with { Epochs = 0 }, Options with { LearningRate = double.NaN }, Options with { Beta2 = 1 }, Options with { BatchTokens = 0 }, Options with { ClipNorm = -1 }])
        {
            Assert.Equal("GA1043", Refused(SomeDocuments.Random(2), options).Code);
        }
    }

    [Fact]
    public void A_loss_that_is_not_finite_stops_with_the_documents()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        adapter.Modules[1].A.fill_(float.NaN);

        var error = Assert.Throws<NumericalException>(() => LoraTrainer.Train(model, adapter, SomeDocuments.Random(3), [], Options));

        Assert.Contains("doc-", error.Location, StringComparison.Ordinal);
    }

    [Fact]
    public void A_gradient_that_is_not_finite_stops_with_its_module()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);

        // B = 0 keeps the loss finite, and s·A x is so large that the gradient of B overflows.
        using var broken = new LoraAdapter([.. adapter.Modules.Select((module, i) => i == 1
            ? module with { A = module.A * 1e25f, B = zeros_like(module.B), Scale = 1e25 }
            : module)]);

        var error = Assert.Throws<NumericalException>(() => LoraTrainer.Train(model, broken, SomeDocuments.Random(3), [], Options));

        Assert.Contains(adapter.Modules[1].ModuleName, error.Location, StringComparison.Ordinal);
    }

    [Fact]
    public void The_gradient_of_a_step_is_that_of_the_mean_loss_a_trained_token()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var documents = SomeDocuments.Random(5);

        // One step, one batch: the second moments are the squared gradient itself once corrected for their start.
        using var result = LoraTrainer.Train(model, adapter, documents, [], Options with { Epochs = 1, BatchTokens = 1000, MicroBatchTokens = 20, ClipNorm = 0, LogitPositions = 4 });

        using var scope = NewDisposeScope();
        var parameters = adapter.Modules.SelectMany(module => (Tensor[])[module.A, module.B]).Select(factor => factor.requires_grad_()).ToArray();
        var total = zeros(1);
        foreach (var document in documents)
        {
            var tokens = tensor(document.Tokens.Select(token => (long)token).ToArray());
            var logits = model.Logits(model.HiddenStates(tokens.unsqueeze(0), new() { Adapters = [adapter] }))[0];
            for (var t = 1; t < document.Tokens.Length; t++)
            {
                if (document.Trained[t])
                {
                    total = total - nn.functional.log_softmax(logits[t - 1], 0)[document.Tokens[t]];
                }
            }
        }

        var mean = total.sum() / documents.Sum(document => document.TrainedCount);
        var gradient = cat([.. autograd.grad([mean], parameters).Select(part => part.flatten())]);
        Assert.Equal(1, result.Steps);
        Assert.Equal(mean.item<float>(), result.StepLosses[0], 1e-5);
        AssertTensor.Close(gradient.square(), result.SecondMoments, 1e-4);
    }

    [Fact]
    public void Cutting_a_step_into_parts_changes_nothing_but_rounding()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var documents = SomeDocuments.Random(12);
        var options = Options with { Epochs = 1, BatchTokens = 60, LearningRate = 1e-3 };
        using var whole = LoraTrainer.Train(model, adapter, documents, [], options);
        using var parts = LoraTrainer.Train(model, adapter, documents, [], options with { MicroBatchTokens = 13, LogitPositions = 3 });

        Assert.Equal(whole.Steps, parts.Steps);
        Assert.Equal(whole.StepLosses[0], parts.StepLosses[0], 1e-5);
        AssertTensor.Close(whole.SecondMoments, parts.SecondMoments, 1e-3);
    }

    [Fact]
    public void Training_leaves_no_tensor_behind()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var documents = SomeDocuments.Random(8);
        LoraTrainer.Train(model, adapter, documents, documents, Options).Dispose();
        var before = TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount;

        LoraTrainer.Train(model, adapter, documents, documents, Options).Dispose();

        Assert.Equal(before, TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    // Each next token follows from the one before, so that there is something to learn.
    private static TokenizedDocument[] Patterned(int count) =>
        [.. SomeDocuments.Random(count, shortest: 6).Select((document, i) => document with
        {
            Tokens = [.. Enumerable.Range(0, document.Tokens.Length).Select(t => (i + (3 * t)) % 20)],
        })];

    private static void AssertSame(FineTuningResult expected, FineTuningResult actual)
    {
        Assert.Equal(expected.StepLosses, actual.StepLosses);
        Assert.Equal(expected.HeldOut, actual.HeldOut);
        Assert.Equal(expected.Tokens, actual.Tokens);
        Assert.True(expected.SecondMoments.equal(actual.SecondMoments).all().item<bool>());
        foreach (var (one, other) in expected.Adapter.Modules.Zip(actual.Adapter.Modules))
        {
            Assert.True(one.A.equal(other.A).all().item<bool>());
            Assert.True(one.B.equal(other.B).all().item<bool>());
        }
    }

    private sealed class StopAfter(int step, CancellationTokenSource stop) : IProgress<StageProgress>
    {
        public void Report(StageProgress value)
        {
            if (value.Done == step)
            {
                stop.Cancel();
            }
        }
    }

    private sealed class MemoryStore : ITrainingCheckpointSink
    {
        public Dictionary<string, Tensor>? Tensors { get; private set; }

        public string? Json { get; private set; }

        public TrainingState? Load() => Json is null ? null : new(Tensors!.ToDictionary(pair => pair.Key, pair => pair.Value.clone(), StringComparer.Ordinal), TrainingCounters.FromJson(Json));

        public void Save(TrainingState state)
        {
            Tensors = state.Tensors.ToDictionary(pair => pair.Key, pair => pair.Value.detach().clone().DetachFromDisposeScope(), StringComparer.Ordinal);
            Json = state.Counters.ToJson();
        }
    }
}
