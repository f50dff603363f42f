using GradientAtoms.Evaluation;
using GradientAtoms.Gradients;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Gradients;

public class TokenBatchTests
{
    private static readonly TokenizedDocument[] Documents =
    [
        new("long", 1, [10, 11, 12, 13, 14], [false, false, true, false, true], 0),
        new("short", 2, [20, 21, 22], [true, true, false], 0),
        new("none", 3, [30, 31], [false, false], 0),
    ];

    [Fact]
    public void A_batch_lists_the_positions_before_trained_tokens_document_by_document()
    {
        using var batch = TokenBatch.Of(Documents, [1, 0, 2]);

        Assert.Equal([20, 21, 22, 0, 0, 10, 11, 12, 13, 14, 30, 31, 0, 0, 0], batch.Tokens.data<long>().ToArray());
        Assert.Equal([3L, 5], batch.Tokens.shape);
        Assert.Equal([0, 1, 2, 5, 6, 7, 8, 9, 10, 11], batch.Attended.data<long>().ToArray());
        Assert.Equal([0, 6, 8], batch.Predicting.data<long>().ToArray()); // the first token of "short" is predicted by nothing
        Assert.Equal([21, 12, 14], batch.Targets.data<long>().ToArray());
        Assert.Equal([1, 2, 0], batch.Counts);
    }

    [Fact]
    public void All_tokens_but_the_first_can_be_looked_at_and_a_front_left_to_a_cache()
    {
        using var all = TokenBatch.Of(Documents, [1, 2], predicted: PredictedTokens.All);
        Assert.Equal([0, 1, 3], all.Predicting.data<long>().ToArray());
        Assert.Equal([21, 22, 31], all.Targets.data<long>().ToArray());
        Assert.Equal([2, 1], all.Counts);

        using var rest = TokenBatch.Of(Documents, [0, 1], skip: 1);
        Assert.Equal([11, 12, 13, 14, 21, 22, 0, 0], rest.Tokens.data<long>().ToArray());
        Assert.Equal([0, 2], rest.Predicting.data<long>().ToArray());
        Assert.Equal([12, 14], rest.Targets.data<long>().ToArray());
        Assert.Equal([2, 0], rest.Counts);
    }

    [Fact]
    public void Batches_take_every_document_in_order_and_stay_within_the_budget_or_hold_one()
    {
        int[] lengths = [3, 9, 30, 4, 8, 2, 7];
        var batches = BatchPlan.Cut(lengths, [2, 1, 4, 6, 3, 0, 5], batchTokens: 18);
        Assert.Equal([[2], [1, 4], [6, 3], [0, 5]], batches.Select(batch => batch.ToArray()));
        Assert.Equal([[0, 5, 3], [6, 4], [1], [2]], BatchPlan.Cut(lengths, [0, 5, 3, 6, 4, 1, 2], batchTokens: 18).Select(batch => batch.ToArray()));
        Assert.Equal([[0, 1]], BatchPlan.LongestFirst(Documents, document => document.TrainedCount > 0, 1000).Select(batch => batch.ToArray()));
    }

    [Fact]
    public void The_gradient_pass_and_the_evaluation_have_one_loss_to_the_last_bit()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var documents = SomeDocuments.Random(5);
        var source = new AdapterGradientSource(model, adapter);
        var evaluated = DocumentLosses.Compute(model, [adapter], documents, new() { BatchTokens = 1 });

        for (var document = 0; document < documents.Count; document++)
        {
            var losses = new Losses();
            source.Run(documents, [document], losses);
            Assert.Equal([evaluated.Sums[document]], losses.Values);
        }
    }

    [Fact]
    public void Logits_in_parts_give_the_losses_of_all_at_once_and_sums_go_to_their_documents()
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var model = Some.Llama();
        var documents = SomeDocuments.Random(6, longest: 20);
        using var batch = TokenBatch.Of(documents, [.. Enumerable.Range(0, documents.Count)]);
        var hidden = model.HiddenStates(batch.Tokens, new());

        var whole = TokenLosses.Compute(model, hidden, batch);
        var parts = TokenLosses.Compute(model, hidden, batch, logitPositions: 7);

        Assert.Equal(documents.Sum(document => document.TrainedCount), whole.shape[0]);
        AssertTensor.Close(whole, parts, relativeToMax: 1e-6);
        var (values, sums, at) = (whole.data<float>().ToArray(), TokenLosses.SumByDocument(whole, batch), 0);
        for (var row = 0; row < documents.Count; row++)
        {
            Assert.Equal(values.Skip(at).Take(documents[row].TrainedCount).Aggregate(0.0, (sum, value) => sum + value), sums[row]);
            at += documents[row].TrainedCount;
        }
    }

    private sealed class Losses : IGradientSink
    {
        public IReadOnlyList<double> Values { get; private set; } = [];

        public void Accept(GradientBatch batch) => Values = batch.Losses;
    }
}
