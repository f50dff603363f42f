using GradientAtoms.Gradients;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>What a pass over the documents reads of a run. Owns the adapter.</summary>
/// <param name="Texts">The used documents.</param>
/// <param name="Documents">Their tokens.</param>
/// <param name="Adapter">The adapter of the run.</param>
/// <param name="Source">Computes gradients with it.</param>
internal sealed record PassInputs(IReadOnlyList<TextRow> Texts, IReadOnlyList<TokenizedDocument> Documents, LoraAdapter Adapter, AdapterGradientSource Source) : IDisposable
{
    public static PassInputs Open(RunFolder run, ModelFiles model)
    {
        var texts = DocumentsStage.ReadTexts(run);
        var documents = DocumentsStage.ReadTokens(run, texts);
        var adapter = model.LoadAdapter(run.PathOf(RunFiles.Adapter));
        return new(texts, documents, adapter, new(model.Loaded.Model, adapter));
    }

    public void Dispose() => Adapter.Dispose();
}
