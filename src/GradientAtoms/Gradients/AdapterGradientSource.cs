using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Gradients;

/// <summary>
/// Per-document gradients of a LoRA-tuned language model: one batched forward, one backward to the outputs of the adapted
/// modules, no weight gradient, no pass a document.
/// </summary>
/// <remarks>
/// An adapted module computes y = W x + s·B(A x). With u_t = ∂L/∂y_t a document's gradients are
/// ∂L/∂B = s Σ_t u_t (A x_t)ᵀ and ∂L/∂A = s Σ_t (Bᵀ u_t) x_tᵀ: two tracked maps, lora_A with inputs x and output gradients
/// s·Bᵀu, lora_B with inputs A x and output gradients s·u.
/// </remarks>
public sealed class AdapterGradientSource
{
    private readonly CausalLanguageModel _model;
    private readonly LoraAdapter _adapter;

    /// <summary>Looks at an adapter of a model; owns neither.</summary>
    public AdapterGradientSource(CausalLanguageModel model, LoraAdapter adapter)
    {
        _model = model;
        _adapter = adapter;
        var inputNames = model.LinearModules.ToDictionary(module => module.Name, module => module.InputName, StringComparer.Ordinal);
        Layout = ParameterLayout.Of(adapter, name => inputNames[name]);
    }

    /// <summary>Where each parameter lies in a flat gradient.</summary>
    public ParameterLayout Layout { get; }

    /// <summary>Runs one batch and hands it to the sinks.</summary>
    /// <param name="documents">Every document.</param>
    /// <param name="batch">Indices of those to run.</param>
    /// <param name="sinks">Called in order.</param>
    /// <exception cref="NumericalException">A loss or a gradient is not finite.</exception>
    public void Run(IReadOnlyList<TokenizedDocument> documents, IReadOnlyList<int> batch, params IReadOnlyList<IGradientSink> sinks)
    {
        using var scope = NewDisposeScope();
        using var tokens = TokenBatch.Of(documents, batch, _model.Device);
        using var recorder = new OutputRecorder(_adapter);
        var hidden = _model.HiddenStates(tokens.Tokens, new() { Adapters = [_adapter], Observer = recorder }); // [B, T, h]
        var predicting = hidden.flatten(0, 1).index_select(0, tokens.Predicting); // [P, h]
        var (tokenLosses, predictingGradients) = TokenLosses.WithGradient(_model, predicting, tokens.Targets);
        var losses = TokenLosses.SumByDocument(tokenLosses, tokens);
        var outputs = _adapter.Modules.Select(module => recorder.Outputs[module.ModuleName]).ToArray();
        var gradients = autograd.grad([predicting], outputs, [predictingGradients]);
        using var _ = no_grad();
        var maps = new List<MapBatch>();
        for (var i = 0; i < _adapter.Modules.Count; i++)
        {
            var lora = _adapter.Modules[i];
            var input = recorder.Inputs[lora.ModuleName];
            var scaled = gradients[i] * lora.Scale; // [B, T, out]
            maps.Add(new(Layout.Maps[2 * i], input, scaled.matmul(lora.B), tokens.Attended));
            maps.Add(new(Layout.Maps[(2 * i) + 1], input.matmul(lora.A.t()), scaled, tokens.Attended));
        }

        var result = new GradientBatch(batch, losses, maps);
        Check(documents, result);
        foreach (var sink in sinks)
        {
            sink.Accept(result);
        }
    }

    private static void Check(IReadOnlyList<TokenizedDocument> documents, GradientBatch batch)
    {
        for (var row = 0; row < batch.Documents.Count; row++)
        {
            if (!double.IsFinite(batch.Losses[row]))
            {
                throw new NumericalException(
                    $"document {documents[batch.Documents[row]].Id}",
                    "its loss is not a finite number",
                    "Check the model's weights (gatoms inspect MODEL), or leave the document out.");
            }
        }

        using var scope = NewDisposeScope();
        var isFinite = stack([.. batch.Maps.Select(map => isfinite(map.DocumentGradients.sum([1, 2])))]); // [maps, B]
        if (!isFinite.all().item<bool>())
        {
            var first = (int)isFinite.flatten().to(ScalarType.Int64).argmin().item<long>();
            throw new NumericalException(
                $"document {documents[batch.Documents[first % batch.Documents.Count]].Id}, module {batch.Maps[first / batch.Documents.Count].Map.Name}",
                "its gradient is not finite",
                "Check the adapter's weights (gatoms inspect ADAPTER), or leave the document out.");
        }
    }
}
