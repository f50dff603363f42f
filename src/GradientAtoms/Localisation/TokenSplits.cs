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
    /// <summary>
    /// By position: with G_m = Σ_t u_mt x_mtᵀ, g·v = Σ_t (Σ_m u_mtᵀ V_m x_mt). A position's part says where modules are pulled
    /// along the direction; tokens of the prompt have one too. One pass over the documents, whatever the number of directions.
    /// </summary>
    /// <param name="source">Computes gradients.</param>
    /// <param name="documents">Every document.</param>
    /// <param name="pairs">What is split.</param>
    /// <param name="directions">v, <c>[K, d]</c>, in the layout's order, not rotated.</param>
    /// <param name="batchTokens">Padded tokens of a batch.</param>
    /// <param name="progress">Told after every batch.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    /// <returns>One a pair, in their order.</returns>
    public static IReadOnlyList<PositionSplit> ByPosition(
        AdapterGradientSource source,
        IReadOnlyList<TokenizedDocument> documents,
        IReadOnlyList<DocumentDirection> pairs,
        Tensor directions,
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
    /// <param name="directions">v, <c>[K, d]</c>, in the layout's order, not rotated.</param>
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
        Tensor directions,
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
            var parts = LossParts(model, adapter, layout, tokens, directions.index_select(0, Indices(batch.Select(row => pairs[row].Direction))));
            var at = 0;
            foreach (var row in batch)
            {
                splits[row] = [.. rows[row].Trained.Select((trained, t) => trained && t > 0 ? parts[at++] : 0.0)];
            }

            progress?.Report(new("loss tokens", done += batch.Length, rows.Count, "documents"));
        }

        return splits;
    }

    // ∂S/∂c of every predicted token of a batch whose row b goes along direction b, [P].
    private static double[] LossParts(CausalLanguageModel model, LoraAdapter adapter, ParameterLayout layout, TokenBatch tokens, Tensor directions)
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
            Tensor Direction(TrackedMap map) => directions.narrow(1, map.Offset, map.Size).view(-1, map.OutputSize, map.InputSize).to(model.Device);
            var (directionA, directionB) = (Direction(layout.Maps[2 * i]), Direction(layout.Maps[(2 * i) + 1])); // [B, r, in], [B, out, r]

            // How the output of each position moves along the direction, what it reads held still: s (V_B A x + B V_A x).
            var moved = input.matmul(lora.A.t()).bmm(directionB.transpose(1, 2)) + input.bmm(directionA.transpose(1, 2)).matmul(lora.B.t());
            product = product + ((gradients[i] * moved).sum() * lora.Scale);
        }

        return [.. autograd.grad([product.sum()], [weights])[0].cpu().data<float>().ToArray().Select(part => (double)part)];
    }

    private static IEnumerable<int[]> BatchesOf(List<TokenizedDocument> documents, int batchTokens) =>
        documents.Count == 0 ? [] : BatchPlan.Make([.. documents.Select(document => document.Tokens.Length)], batchTokens, int.MaxValue).Blocks.SelectMany(block => block).Select(batch => batch.ToArray());

    private static Tensor Indices(IEnumerable<int> indices) => tensor(indices.Select(index => (long)index).ToArray(), dtype: ScalarType.Int64);

    /// <summary>Splits what a batch shows; documents are indices into those that were chosen.</summary>
    private sealed class PositionSink(IReadOnlyList<DocumentDirection> pairs, IReadOnlyList<List<int>> places, Tensor directions, int[] lengths) : IGradientSink
    {
        public PositionSplit[] Splits { get; } = new PositionSplit[pairs.Count];

        public void Accept(GradientBatch batch)
        {
            using var scope = NewDisposeScope();
            var own = batch.Documents.SelectMany((document, row) => places[document].Select(place => (Place: place, Row: row, Length: lengths[document]))).ToArray();
            var (rows, which) = (Indices(own.Select(pair => pair.Row)), Indices(own.Select(pair => pairs[pair.Place].Direction)));
            var length = batch.Maps[0].Inputs.shape[1];
            var positions = zeros([own.Length, length], dtype: ScalarType.Float64); // [P, T]
            var maps = new List<Tensor>();
            foreach (var map in batch.Maps)
            {
                using var inner = NewDisposeScope();
                var device = map.Inputs.device;
                var direction = directions.narrow(1, map.Map.Offset, map.Map.Size).view(-1, map.Map.OutputSize, map.Map.InputSize).index_select(0, which).to(device); // [P, out, in]
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
