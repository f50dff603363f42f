using GradientAtoms.Gradients;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Localisation;

/// <summary>A document whose product with a direction is split.</summary>
/// <param name="Document">Its index.</param>
/// <param name="Direction">The direction's.</param>
public sealed record DocumentDirection(int Document, int Direction);

/// <summary>A document's product g·v with a direction, split exactly in two ways.</summary>
/// <param name="Positions"><c>[T]</c>: the part of each position, at which modules read and have output gradients.</param>
/// <param name="Maps"><c>[maps]</c>: the part of each tracked map, in the layout's order.</param>
public sealed record PositionSplit(IReadOnlyList<double> Positions, IReadOnlyList<double> Maps)
{
    /// <summary>g·v.</summary>
    public double Total => Maps.Sum();
}

/// <summary>
/// Which tokens of a document carry its product with a direction. The product is linear in the gradient, so it splits exactly, in
/// two ways that answer different questions and have the same sum.
/// </summary>
public static class TokenSplits
{
    // Of a difference of losses: what a token's changes by, on average over the document's, and how far the parts may be from g·v, in their absolute sum.
    private const double StepNats = 2e-2;
    private const double SumError = 1e-3;
    private const int LogitPositions = 64;

    /// <summary>
    /// By position: with G_m = Σ_t u_mt x_mtᵀ, g·v = Σ_t (Σ_m u_mtᵀ V_m x_mt). A position's part says where modules are pulled
    /// along the direction; tokens of the prompt have one too. One pass over the documents, whatever the number of directions.
    /// </summary>
    /// <param name="source">Computes gradients.</param>
    /// <param name="documents">Every document.</param>
    /// <param name="pairs">What is split.</param>
    /// <param name="directions">v.</param>
    /// <param name="batchTokens">Padded tokens of a batch.</param>
    /// <param name="progress">Told after every batch.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    /// <returns>One a pair, in their order.</returns>
    public static IReadOnlyList<PositionSplit> ByPosition(
        AdapterGradientSource source,
        IReadOnlyList<TokenizedDocument> documents,
        IReadOnlyList<DocumentDirection> pairs,
        IDirectionSource directions,
        int batchTokens,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        var chosen = pairs.Select(pair => pair.Document).Distinct().Order().ToList();
        var places = chosen.Select(_ => new List<int>()).ToArray();
        for (var i = 0; i < pairs.Count; i++)
        {
            places[chosen.BinarySearch(pairs[i].Document)].Add(i);
        }

        var sink = new PositionSink(pairs, places, directions, [.. chosen.Select(index => documents[index].Tokens.Length)]);
        var (own, done) = (chosen.Select(index => documents[index]).ToList(), 0);
        foreach (var batch in BatchesOf(own, batchTokens))
        {
            cancellationToken.ThrowIfCancellationRequested();
            source.Run(own, batch, sink);
            progress?.Report(new("tokens", done += batch.Length, own.Count, "documents"));
        }

        return sink.Splits;
    }

    /// <summary>
    /// By loss token: ∇ℓ_t·v for the loss ℓ_t of each trained token alone, and L = Σ_t ℓ_t. A token's part says how much learning to
    /// predict this token goes along the direction. With the losses weighted, S(c) = ∇(Σ_t c_t ℓ_t)·v is linear in c, so one backward
    /// pass through a backward pass gives every ∂S/∂c_t = ∇ℓ_t·v at once.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="adapter">Its adapter.</param>
    /// <param name="layout">Where the adapter's parameters lie in a direction.</param>
    /// <param name="documents">Every document.</param>
    /// <param name="pairs">What is split.</param>
    /// <param name="directions">v.</param>
    /// <param name="batchTokens">Padded tokens of a batch.</param>
    /// <param name="progress">Told after every batch.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    /// <returns>For each pair <c>[T]</c>: the part of each token, 0 where it is not trained.</returns>
    public static IReadOnlyList<double[]> ByLoss(
        CausalLanguageModel model,
        LoraAdapter adapter,
        ParameterLayout layout,
        IReadOnlyList<TokenizedDocument> documents,
        IReadOnlyList<DocumentDirection> pairs,
        IDirectionSource directions,
        int batchTokens,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        var rows = pairs.Select(pair => documents[pair.Document]).ToList();
        var (splits, done) = (new double[pairs.Count][], 0);
        foreach (var batch in BatchesOf(rows, batchTokens))
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var tokens = TokenBatch.Of(rows, batch, model.Device);
            int[] own = [.. batch.Select(row => pairs[row].Direction)];
            var parts = LossParts(model, adapter, layout, tokens, map => directions.Read(map, own));
            var at = 0;
            foreach (var row in batch)
            {
                splits[row] = Spread(rows[row], parts, ref at);
            }

            progress?.Report(new("loss tokens", done += batch.Length, rows.Count, "documents"));
        }

        return splits;
    }

    /// <summary>
    /// By loss token, from differences D(h) = (ℓ_t(θ + hv) − ℓ_t(θ − hv)) / 2h: two passes forward and none backward, in the memory of a
    /// forward pass of one document. <see cref="ByLoss"/> keeps the graph of two backward passes, gigabytes of it for a document of 512
    /// tokens.
    /// </summary>
    /// <remarks>
    /// h is one at which g·v says that a token's loss changes by .02 nats on average. Where the parts do not add up to g·v within a
    /// thousandth of their absolute sum, (4 D(h/2) − D(h)) / 3 is taken (Richardson), and where those do not either, the exact parts: of
    /// documents that are almost learnt no h is both small enough for their losses and large enough for float32.
    /// </remarks>
    /// <param name="model">The model.</param>
    /// <param name="adapter">Its adapter.</param>
    /// <param name="layout">Where the adapter's parameters lie in a direction.</param>
    /// <param name="documents">Every document.</param>
    /// <param name="pairs">What is split.</param>
    /// <param name="products">g·v of each pair.</param>
    /// <param name="directions">v.</param>
    /// <param name="progress">Told after every document.</param>
    /// <param name="cancellationToken">Looked at once a document.</param>
    /// <returns>For each pair <c>[T]</c>: the part of each token, 0 where it is not trained.</returns>
    public static IReadOnlyList<double[]> ByLossDifference(
        CausalLanguageModel model,
        LoraAdapter adapter,
        ParameterLayout layout,
        IReadOnlyList<TokenizedDocument> documents,
        IReadOnlyList<DocumentDirection> pairs,
        IReadOnlyList<double> products,
        IDirectionSource directions,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        var splits = new double[pairs.Count][];
        for (var i = 0; i < pairs.Count; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            using var none = no_grad();
            var document = documents[pairs[i].Document];
            using var tokens = TokenBatch.Of([document], [0], model.Device);
            int[] which = [pairs[i].Direction];
            var moves = adapter.Modules.Select((module, place) => (
                A: directions.Read(layout.Maps[2 * place], which)[0].to(model.Device),
                B: directions.Read(layout.Maps[(2 * place) + 1], which)[0].to(model.Device))).ToArray();
            float[] Losses(double step)
            {
                using var inner = NewDisposeScope();
                using var moved = new LoraAdapter([.. adapter.Modules.Select((module, place) => module with { A = module.A + (moves[place].A * step), B = module.B + (moves[place].B * step) })]);
                var hidden = model.HiddenStates(tokens.Tokens, new() { Adapters = [moved] });
                return TokenLosses.Compute(model, hidden, tokens, LogitPositions).cpu().data<float>().ToArray();
            }

            double[] Difference(double h) => [.. Losses(h).Zip(Losses(-h), (plus, minus) => ((double)plus - minus) / (2 * h))];
            bool AddsUp(double[] parts) => Math.Abs(parts.Sum() - products[i]) <= SumError * parts.Sum(Math.Abs);
            var step = StepNats * Math.Max(1, document.TrainedCount) / Math.Max(Math.Abs(products[i]), 1);
            var parts = Difference(step);
            if (!AddsUp(parts))
            {
                parts = [.. parts.Zip(Difference(step / 2), (coarse, fine) => ((4 * fine) - coarse) / 3)];
            }

            if (!AddsUp(parts))
            {
                using var gradients = enable_grad();
                parts = LossParts(model, adapter, layout, tokens, map => directions.Read(map, which));
            }

            var at = 0;
            splits[i] = Spread(document, parts, ref at);
            progress?.Report(new("loss tokens", i + 1, pairs.Count, "documents"));
        }

        return splits;
    }

    // ∂S/∂c of every predicted token of a batch whose row b goes along direction b, [P].
    private static double[] LossParts(CausalLanguageModel model, LoraAdapter adapter, ParameterLayout layout, TokenBatch tokens, Func<TrackedMap, Tensor> directions)
    {
        using var scope = NewDisposeScope();
        using var recorder = new OutputRecorder(adapter);
        var hidden = model.HiddenStates(tokens.Tokens, new() { Adapters = [adapter], Observer = recorder, DifferentiatesTwice = true });
        var losses = TokenLosses.Compute(model, hidden, tokens); // [P]
        var weights = ones_like(losses).requires_grad_(); // c
        var outputs = adapter.Modules.Select(module => recorder.Outputs[module.ModuleName]).ToArray();
        var gradients = autograd.grad([(losses * weights).sum()], outputs, create_graph: true); // u of each module, [B, T, out]
        var product = zeros(1, device: model.Device);
        for (var i = 0; i < outputs.Length; i++)
        {
            var (lora, input) = (adapter.Modules[i], recorder.Inputs[adapter.Modules[i].ModuleName]);
            var (directionA, directionB) = (directions(layout.Maps[2 * i]).to(model.Device), directions(layout.Maps[(2 * i) + 1]).to(model.Device)); // [B, r, in], [B, out, r]

            // How the output of each position moves along the direction, what it reads held still: s (V_B A x + B V_A x).
            var moved = input.matmul(lora.A.t()).bmm(directionB.transpose(1, 2)) + input.bmm(directionA.transpose(1, 2)).matmul(lora.B.t());
            product = product + ((gradients[i] * moved).sum() * lora.Scale);
        }

        return [.. autograd.grad([product.sum()], [weights])[0].cpu().data<float>().ToArray().Select(part => (double)part)];
    }

    // Parts of the trained tokens over all tokens of a document.
    private static double[] Spread(TokenizedDocument document, double[] parts, ref int at)
    {
        var spread = new double[document.Tokens.Length];
        for (var t = 1; t < spread.Length; t++)
        {
            spread[t] = document.Trained[t] ? parts[at++] : 0;
        }

        return spread;
    }

    private static IEnumerable<int[]> BatchesOf(List<TokenizedDocument> documents, int batchTokens) =>
        documents.Count == 0 ? [] : BatchPlan.Make([.. documents.Select(document => document.Tokens.Length)], batchTokens, int.MaxValue).Blocks.SelectMany(block => block).Select(batch => batch.ToArray());

    private static Tensor Indices(IEnumerable<int> indices) => tensor(indices.Select(index => (long)index).ToArray(), dtype: ScalarType.Int64);

    /// <summary>Splits what a batch shows; documents are indices into those that were chosen.</summary>
    private sealed class PositionSink(IReadOnlyList<DocumentDirection> pairs, IReadOnlyList<List<int>> places, IDirectionSource directions, int[] lengths) : IGradientSink
    {
        public PositionSplit[] Splits { get; } = new PositionSplit[pairs.Count];

        public void Accept(GradientBatch batch)
        {
            using var scope = NewDisposeScope();
            var own = batch.Documents.SelectMany((document, row) => places[document].Select(place => (Place: place, Row: row, Length: lengths[document]))).ToArray();
            var rows = Indices(own.Select(pair => pair.Row));
            int[] which = [.. own.Select(pair => pairs[pair.Place].Direction)];
            var length = batch.Maps[0].Inputs.shape[1];
            var positions = zeros([own.Length, length], dtype: ScalarType.Float64); // [P, T]
            var maps = new List<Tensor>();
            foreach (var map in batch.Maps)
            {
                using var inner = NewDisposeScope();
                var device = map.Inputs.device;
                var direction = directions.Read(map.Map, which).to(device); // [P, out, in]
                var along = map.Inputs.index_select(0, rows.to(device)).bmm(direction.transpose(1, 2)); // [P, T, out]
                var terms = (along * map.OutputGradients.index_select(0, rows.to(device))).sum(-1, type: ScalarType.Float64).cpu(); // [P, T]
                positions.add_(terms);
                maps.Add(terms.sum(1).MoveToOuterDisposeScope());
            }

            var (byPosition, byMap) = (positions.data<double>().ToArray(), stack(maps, 1).data<double>().ToArray());
            for (var i = 0; i < own.Length; i++)
            {
                Splits[own[i].Place] = new(byPosition[(int)(i * length)..(int)((i * length) + own[i].Length)], byMap[(i * maps.Count)..((i + 1) * maps.Count)]);
            }
        }
    }
}
