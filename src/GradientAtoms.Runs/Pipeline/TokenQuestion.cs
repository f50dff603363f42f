using GradientAtoms.Gradients;
using GradientAtoms.Localisation;
using GradientAtoms.Runs.Formats;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>A document's projection on a pole, split in every way.</summary>
/// <param name="Evidence">By token and module.</param>
/// <param name="Modules">The modules that it names, in forward order.</param>
/// <param name="Segments">Heads and parts with their parts of the projection; null where not asked for.</param>
/// <param name="Neurons">The rows of lora_B with the largest parts; null where not asked for.</param>
/// <param name="Expected">The projection again, from the stored rows.</param>
public sealed record TokenAnswer(
    TokenEvidence Evidence, IReadOnlyList<string> Modules, IReadOnlyList<(NamedSegment Segment, double Value)>? Segments, IReadOnlyList<NeuronValue>? Neurons, double Expected);

/// <summary>Asks for the tokens of any document on any pole of a finished run.</summary>
public static class TokenQuestion
{
    /// <summary>Runs the document through the run's model once more.</summary>
    /// <param name="session">The run.</param>
    /// <param name="document">The document's id.</param>
    /// <param name="pole">The pole's id.</param>
    /// <param name="byLoss">Also by loss token.</param>
    /// <param name="places">Also by head and neuron.</param>
    /// <param name="progress">Told how far it is.</param>
    /// <param name="cancellationToken">Looked at once a batch.</param>
    /// <exception cref="RunFolderException">GA2612: there is no such pole. GA2630: the run keeps sketches.</exception>
    /// <exception cref="ArgumentException">There is no such document.</exception>
    public static TokenAnswer Ask(
        RunSession session, string document, string pole, bool byLoss = false, bool places = false, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(session);
        using var scope = NewDisposeScope();
        var (atom, found) = session.FindPole(pole);
        if (!session.Coordinates.CanLift)
        {
            throw new RunFolderException(
                "GA2630", session.Folder.Path, "keeps sketches of gradients, and an atom of sketches is no direction of the weights", "Audit with --coordinates exact into another folder, with fewer documents (--limit) where they do not fit.");
        }

        var documents = session.Documents;
        var index = Enumerable.Range(0, documents.Count).FirstOrDefault(place => documents[place].Id == document, -1);
        if (index < 0)
        {
            throw new ArgumentException($"the run has no document {document}", nameof(document));
        }

        var direction = session.AtomRows.narrow(0, atom.Row, 1);
        using var file = LiftedFile.Find(session.Folder);
        var lifted = file?.ReadWhole(session.Layout, atom.Row).unsqueeze(0)
            ?? LiftedDirections.Natural(session.Rows, session.Bases, session.Whitening, session.Coordinates, direction, progress, cancellationToken); // [1, d]
        var directions = new DirectionsInMemory(lifted);
        var source = new AdapterGradientSource(session.Model.Loaded.Model, session.Adapter);
        DocumentDirection[] pair = [new(index, 0)];
        var split = TokenSplits.ByPosition(source, documents, pair, directions, session.BatchTokens, progress, cancellationToken)[0];
        var loss = byLoss ? TokenSplits.ByLoss(session.Model.Loaded.Model, session.Adapter, session.Layout, documents, pair, directions, session.BatchTokens, progress, cancellationToken)[0] : null;
        var scale = found.Sign / session.Coordinates.Norms[index].item<double>();
        var lines = new TokenLines(session.Model.Loaded.Tokenizer, documents, session.Layout);
        var network = new NetworkPlaces(session.Layout, session.Model.Loaded.Model.LinearModules);
        var where = places ? DocumentPlaces.Split(source, documents, index, lifted[0], network) : null;
        return new(
            lines.Make(found.Id, index, split, loss, scale),
            lines.Modules,
            where is null ? null : [.. network.Segments.Zip(where.Segments, (segment, value) => (PlacesFile.NameOf(segment), value * scale))],
            where is null ? null : [.. where.Neurons.Select(neuron => neuron with { Value = neuron.Value * scale })],
            scale * session.Coordinates.DocumentWeights(direction).matmul(session.WhitenedProducts(index)).item<double>());
    }
}
