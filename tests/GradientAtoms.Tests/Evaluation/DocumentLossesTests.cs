using GradientAtoms.Evaluation;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Evaluation;

public class DocumentLossesTests
{
    [Fact]
    public void A_loss_is_minus_the_sum_of_the_log_probabilities_of_the_trained_tokens()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var documents = SomeDocuments.Random(7);

        var losses = DocumentLosses.Compute(model, [adapter], documents);

        for (var i = 0; i < documents.Count; i++)
        {
            using var scope = NewDisposeScope();
            var tokens = tensor(documents[i].Tokens.Select(token => (long)token).ToArray()).unsqueeze(0);
            var logProbabilities = nn.functional.log_softmax(model.Logits(model.HiddenStates(tokens, new() { Adapters = [adapter] })).to(ScalarType.Float64), -1);
            var expected = 0.0;
            for (var t = 1; t < documents[i].Tokens.Length; t++)
            {
                expected -= documents[i].Trained[t] ? logProbabilities[0, t - 1, documents[i].Tokens[t]].item<double>() : 0;
            }

            Assert.Equal(expected, losses.Sums[i], 1e-4);
            Assert.Equal(documents[i].TrainedCount, losses.Counts[i]);
        }

        Assert.Equal(losses.Sums.Sum() / losses.Counts.Sum(), losses.MeanPerToken, 1e-12);
    }

    [Fact]
    public void Batches_and_logit_chunks_do_not_matter()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var documents = SomeDocuments.Random(20, longest: 30);

        var together = DocumentLosses.Compute(model, [adapter], documents, new() { BatchTokens = 10_000 });
        var alone = DocumentLosses.Compute(model, [adapter], documents, new() { BatchTokens = 1, LogitPositions = 3 });

        AssertEqual(together, alone, 1e-4);
    }

    [Fact]
    public void A_shared_prefix_run_once_gives_the_same_losses()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        var counting = new CountingModel(model);
        var prefix = new[] { 5, 9, 2, 40, 11, 7 };
        var documents = WithPrefix(prefix, SomeDocuments.Random(9));

        var plain = DocumentLosses.Compute(counting, [adapter], documents, new() { SharePrefix = false });
        var plainTokens = counting.Tokens;
        counting.Tokens = 0;
        var shared = DocumentLosses.Compute(counting, [adapter], documents);

        AssertEqual(plain, shared, 1e-4);
        Assert.Equal(plainTokens - ((documents.Length - 1) * (long)prefix.Length), counting.Tokens);
    }

    [Fact]
    public void A_prefix_that_is_trained_on_is_not_shared_beyond_its_first_prediction()
    {
        using var model = Some.Llama();
        var documents = WithPrefix([5, 9, 2, 40], SomeDocuments.Random(5));
        var trained = documents.Select((document, i) =>
            new TokenizedDocument(document.Id, document.Line, document.Tokens, [.. document.Tokens.Select((_, t) => t > 0 && (i != 2 || t > 1))], 0)).ToArray();

        AssertEqual(
            DocumentLosses.Compute(model, [], trained, new() { SharePrefix = false }),
            DocumentLosses.Compute(model, [], trained),
            1e-4);
    }

    [Fact]
    public void Identical_documents_have_identical_losses_with_and_without_the_prefix()
    {
        using var model = Some.Llama();
        var document = SomeDocuments.Random(1, shortest: 8)[0];

        var losses = DocumentLosses.Compute(model, [], [document, document, document]);

        Assert.Equal(losses.Sums[0], losses.Sums[1], 1e-5);
        Assert.Equal(DocumentLosses.Compute(model, [], [document]).Sums[0], losses.Sums[2], 1e-4);
    }

    [Fact]
    public void A_document_without_trained_tokens_has_loss_zero_and_no_mean()
    {
        using var model = Some.Llama();
        var losses = DocumentLosses.Compute(model, [], [new("none", 1, [1, 2, 3], [false, false, false], 0)]);

        Assert.Equal(0, losses.Sums[0]);
        Assert.True(double.IsNaN(losses.MeanPerToken));
        Assert.True(double.IsNaN(losses.MeanLogLikelihood(0)));
    }

    [Fact]
    public void Weights_that_are_not_finite_stop_with_the_document()
    {
        using var model = Some.Llama();
        using var adapter = Some.Adapter(model);
        adapter.Modules[1].B.fill_(float.NaN); // a value projection: torch's CPU attention turns NaN scores into zeros

        var error = Assert.Throws<NumericalException>(() => DocumentLosses.Compute(model, [adapter], SomeDocuments.Random(2)));

        Assert.Equal("GA2501", error.Code);
        Assert.Contains("doc-", error.Location, StringComparison.Ordinal);
    }

    [Fact]
    public void Losses_leave_no_tensor_behind()
    {
        using var model = Some.Llama();
        var documents = WithPrefix([5, 9, 2], SomeDocuments.Random(6));
        DocumentLosses.Compute(model, [], documents);
        var before = TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount;

        DocumentLosses.Compute(model, [], documents, new() { BatchTokens = 30 });

        Assert.Equal(before, TorchSharp.DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    private static TokenizedDocument[] WithPrefix(int[] prefix, IReadOnlyList<TokenizedDocument> documents) =>
        // The first token after the prefix differs, so that no more than the prefix is shared; the one after it is the first trained.
        [.. documents.Select(document => new TokenizedDocument(
            document.Id,
            document.Line,
            [.. prefix, document.Line, .. document.Tokens],
            [.. prefix.Select(_ => false), false, .. document.Tokens.Select(_ => true)],
            0))];

    private static void AssertEqual(DocumentLosses expected, DocumentLosses actual, double tolerance)
    {
        for (var i = 0; i < expected.Sums.Count; i++)
        {
            Assert.Equal(expected.Sums[i], actual.Sums[i], tolerance);
        }
    }
}
