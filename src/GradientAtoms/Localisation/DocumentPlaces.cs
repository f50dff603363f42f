using GradientAtoms.Gradients;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Localisation;

/// <summary>Where in the network a document's product with a direction lies.</summary>
public static class DocumentPlaces
{
    /// <summary>Splits g·v = Σ over entries of G ∘ V: by map, by head, by neuron.</summary>
    /// <param name="source">Computes the gradient.</param>
    /// <param name="documents">Every document.</param>
    /// <param name="document">Which.</param>
    /// <param name="direction">v, <c>[d]</c>, in the layout's order, not rotated.</param>
    /// <param name="places">The network.</param>
    /// <param name="neurons">Neurons that are kept, those of the largest parts.</param>
    public static PlaceSplit Split(AdapterGradientSource source, IReadOnlyList<TokenizedDocument> documents, int document, Tensor direction, NetworkPlaces places, int neurons = 20)
    {
        ArgumentNullException.ThrowIfNull(source);
        var tally = new PlaceTally(places, 1, neurons);
        source.Run(documents, [document], new Sink(direction, tally));
        return tally.Splits()[0];
    }

    private sealed class Sink(Tensor direction, PlaceTally tally) : IGradientSink
    {
        public void Accept(GradientBatch batch)
        {
            foreach (var map in batch.Maps)
            {
                using var scope = NewDisposeScope();
                var own = direction.narrow(0, map.Map.Offset, map.Map.Size).view(map.Map.OutputSize, map.Map.InputSize).to(map.DocumentGradients.device);
                tally.AddProducts(map.Map, (map.DocumentGradients * own).cpu());
            }
        }
    }
}
