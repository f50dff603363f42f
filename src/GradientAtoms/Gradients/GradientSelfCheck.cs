using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Gradients;

/// <summary>How far per-document gradients of a run's own first documents are from other ways to compute them.</summary>
/// <param name="Documents">How many were checked.</param>
/// <param name="AgainstAutograd">‖ours − autograd on A and B‖ / ‖autograd‖, the worst document.</param>
/// <param name="AgainstSingle">‖in a batch − alone‖ / ‖alone‖, the worst document.</param>
/// <param name="AgainstDifference">|(L(θ+hv) − L(θ−hv))/2h − g·v| / |g·v| along v = g/‖g‖ at the best of some h, the worst document.</param>
public sealed record GradientSelfCheckResult(int Documents, double AgainstAutograd, double AgainstSingle, double AgainstDifference)
{
    // Float32: autograd and batching agree to rounding; a central difference of float32 losses is good to a percent.
    private const double ExactTolerance = 1e-3;
    private const double DifferenceTolerance = 5e-2;

    /// <summary>Each comparison with its relative error and what float32 explains.</summary>
    public IReadOnlyList<(string Against, double Error, double Allowed)> Checks =>
        [("autograd", AgainstAutograd, ExactTolerance), ("a batch of one", AgainstSingle, ExactTolerance), ("finite differences", AgainstDifference, DifferenceTolerance)];

    /// <summary>Whether every error is within what float32 explains.</summary>
    public bool Passed => Checks.All(check => check.Error <= check.Allowed);
}

/// <summary>Checks the gradients of a few documents against autograd, a batch of one, and finite differences.</summary>
public static class GradientSelfCheck
{
    /// <summary>Runs the check.</summary>
    /// <param name="model">The model.</param>
    /// <param name="adapter">The adapter; unchanged when this returns.</param>
    /// <param name="documents">Every document.</param>
    /// <param name="count">How many of the first documents to check.</param>
    public static GradientSelfCheckResult Run(CausalLanguageModel model, LoraAdapter adapter, IReadOnlyList<TokenizedDocument> documents, int count = 3)
    {
        var indices = Enumerable.Range(0, Math.Min(count, documents.Count)).ToArray();
        var source = new AdapterGradientSource(model, adapter);
        using var outer = NewDisposeScope();
        var together = Rows(source, documents, indices);
        double autogradError = 0, singleError = 0, differenceError = 0;
        foreach (var index in indices)
        {
            using var scope = NewDisposeScope();
            var alone = Rows(source, documents, [index])[0];
            var truth = Autograd(model, adapter, documents[index]);
            var norm = truth.norm().item<float>();
            if (!(norm > 0))
            {
                continue; // a document that teaches nothing has nothing to compare
            }

            autogradError = Math.Max(autogradError, (alone - truth).norm().item<float>() / norm);
            singleError = Math.Max(singleError, (together[index] - alone).norm().item<float>() / alone.norm().item<float>());
            differenceError = Math.Max(differenceError, Difference(model, adapter, source.Layout, documents[index], alone));
        }

        return new(indices.Length, autogradError, singleError, differenceError);
    }

    private static Tensor Rows(AdapterGradientSource source, IReadOnlyList<TokenizedDocument> documents, IReadOnlyList<int> batch)
    {
        var sink = new Collector();
        source.Run(documents, batch, sink);
        return sink.Rows!;
    }

    private static Tensor Autograd(CausalLanguageModel model, LoraAdapter adapter, TokenizedDocument document)
    {
        using var scope = NewDisposeScope();
        var copies = adapter.Modules.Select(module => module with
        {
            A = module.A.detach().clone().requires_grad_(),
            B = module.B.detach().clone().requires_grad_(),
        }).ToArray();
        using var copy = new LoraAdapter(copies);
        using var batch = TokenBatch.Of([document], [0], model.Device);
        var hidden = model.HiddenStates(batch.Tokens, new() { Adapters = [copy] });
        var loss = TokenLosses.Compute(model, hidden, batch).sum();
        var gradients = autograd.grad([loss], [.. copies.SelectMany(module => (Tensor[])[module.A, module.B])]);
        return cat([.. gradients.Select(gradient => gradient.flatten())]).MoveToOuterDisposeScope();
    }

    // The loss of a document that is learnt already hardly slopes, so a step that changes it by a hundredth of a nat a token leaves
    // the neighbourhood that the slope is of. Steps from that one down are tried, and the best agreement counts: a wrong gradient
    // agrees at none. What float32 cannot tell from rounding, 1e-6 nats a token, is no disagreement.
    private static double Difference(CausalLanguageModel model, LoraAdapter adapter, ParameterLayout layout, TokenizedDocument document, Tensor gradient)
    {
        var (norm, tokens) = (gradient.norm().item<float>(), Math.Max(1, document.TrainedCount));
        var parameters = Math.Sqrt(adapter.Modules.Sum(module => Math.Pow(module.A.norm().item<float>(), 2) + Math.Pow(module.B.norm().item<float>(), 2)));
        var (step, best) = (Math.Min(1e-2 * tokens / norm, 0.1 * parameters), double.PositiveInfinity);
        for (var attempt = 0; attempt < 4 && best > 1e-2; attempt++, step /= 4)
        {
            var plus = Loss(model, adapter, layout, document, gradient / norm, step);
            var minus = Loss(model, adapter, layout, document, gradient / norm, -step);
            best = Math.Min(best, Math.Max(0, Math.Abs(((plus - minus) / (2 * step)) - norm) - (1e-6 * tokens / step)) / norm);
        }

        return best;
    }

    private static double Loss(CausalLanguageModel model, LoraAdapter adapter, ParameterLayout layout, TokenizedDocument document, Tensor direction, double step)
    {
        using var scope = NewDisposeScope();
        using var none = no_grad();
        Tensor Part(TrackedMap map, Tensor factor) => factor + (direction.narrow(0, map.Offset, map.Size).view_as(factor) * step);
        using var moved = new LoraAdapter([.. adapter.Modules.Select(module => module with
        {
            A = Part(layout[$"{module.ModuleName}.lora_A"], module.A),
            B = Part(layout[$"{module.ModuleName}.lora_B"], module.B),
        })]);
        using var batch = TokenBatch.Of([document], [0], model.Device);
        var hidden = model.HiddenStates(batch.Tokens, new() { Adapters = [moved] });
        return TokenLosses.SumByDocument(TokenLosses.Compute(model, hidden, batch), batch)[0];
    }

    private sealed class Collector : IGradientSink
    {
        public Tensor? Rows { get; private set; }

        // Out of the pass, into the scope of whoever asked for it.
        public void Accept(GradientBatch batch) => Rows = batch.Rows().MoveToOuterDisposeScope();
    }
}
