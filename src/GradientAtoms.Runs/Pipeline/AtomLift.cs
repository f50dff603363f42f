using GradientAtoms.Atoms;
using GradientAtoms.Coordinates;
using GradientAtoms.Localisation;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Stages;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>What is known of the atoms once they are brought back to the weights.</summary>
/// <param name="ModuleNames"><c>[M]</c>.</param>
/// <param name="ModuleShares"><c>[K, M]</c>: of each atom's squared norm.</param>
/// <param name="Explained">By module, of a sample of the documents.</param>
/// <param name="SampledDocuments">Documents in that sample.</param>
/// <param name="Places">The network.</param>
/// <param name="Splits"><c>[K]</c>: of each atom's squared norm, as shares.</param>
/// <param name="Change">What directions explain of the change of the weights; null where there is no change, or none that is known.</param>
internal sealed record LiftedAtoms(
    IReadOnlyList<string> ModuleNames,
    double[,] ModuleShares,
    IReadOnlyList<ExplainedModule> Explained,
    int SampledDocuments,
    NetworkPlaces Places,
    IReadOnlyList<PlaceSplit> Splits,
    LiftedChange? Change);

/// <summary>The change of the weights beside directions: atoms (by their rows), then as many documents drawn at random, then the mean document.</summary>
/// <param name="Start">What θ₀ is.</param>
/// <param name="Euclidean">Products in that metric.</param>
/// <param name="Curvature">Products in that metric.</param>
/// <param name="Atoms">Atoms, K.</param>
/// <param name="Documents">Documents drawn.</param>
/// <param name="EveryDocument">Share of the change, weighted with the curvature, in the span of all documents.</param>
internal sealed record LiftedChange(StartingPoint Start, ChangeInMetric Euclidean, ChangeInMetric Curvature, int Atoms, int Documents, double EveryDocument);

/// <summary>Brings atoms back to the weights once, and looks at them in every way as their maps go by.</summary>
internal static class AtomLift
{
    /// <summary>Documents that the modules' figures are taken over, at most.</summary>
    public const int SampledDocuments = 128;

    /// <summary>Lifts, looks, and writes the lifted directions to a file (see <see cref="LiftedFile"/>).</summary>
    public static LiftedAtoms Compute(StageContext context, ModelFiles model, LoraAdapter adapter, GramCoordinates coordinates, Tensor atoms, AtomShares shares)
    {
        LiftedAtoms? lifted = null;
        context.WriteFile(RunFiles.Lifted, path => lifted = Compute(path, context, model, adapter, coordinates, atoms, shares));
        return lifted!;
    }

    private static LiftedAtoms Compute(string path, StageContext context, ModelFiles model, LoraAdapter adapter, GramCoordinates coordinates, Tensor atoms, AtomShares shares)
    {
        using var scope = NewDisposeScope();
        var layout = model.LayoutOf(adapter);
        using var rows = RunReader.OpenRows(context.Folder);
        using var whitening = CoordinatesStage.ReadWhitening(context.Folder, layout);
        using var bases = CurvatureFile.ReadBases(context.Folder.Need(RunFiles.Curvature), layout);
        var (count, sampled) = ((int)atoms.shape[0], Sample((int)coordinates.Rows.shape[0]));
        var energies = (int)(count + (2 * sampled.shape[0]));
        var documents = coordinates.Rows.index_select(0, sampled);
        var residuals = documents - shares.Refit!.ToDense().index_select(0, sampled).matmul(atoms);
        var inverse = coordinates.Norms.reciprocal(); // [N]
        var mean = inverse.unsqueeze(0) / coordinates.Norms.shape[0]; // of the unit rows
        var weights = cat([coordinates.DocumentWeights(cat([atoms, documents, residuals], 0)), mean], 0); // [K + 2 sampled + 1, N]
        var drawn = Drawn(context.Folder, count);
        var start = StartingPoint.Of(context.Folder, model, adapter);
        var places = new NetworkPlaces(layout, model.Loaded.Model.LinearModules);
        var tally = new PlaceTally(places, count);
        var directions = count + (int)drawn.shape[0] + 1;
        using var change = start is null ? null : new WeightChange(whitening, bases.Rotate(start.Change.unsqueeze(0))[0], directions);
        var products = zeros([rows.RowCount], dtype: ScalarType.Float64);
        using var file = LiftedFile.Create(path, layout, weights.narrow(0, 0, count));
        var byMap = new List<double[]>();
        Tensor? controls = null; // the drawn documents' unit rows, of the map that goes by
        RowCombination.Stream(
            rows,
            layout,
            weights,
            (map, part) =>
            {
                var white = part.narrow(0, 0, energies) * whitening.Scale.narrow(0, map.Offset, map.Size);
                byMap.Add(white.square().sum(1, type: ScalarType.Float64).data<double>().ToArray());
                tally.AddEnergy(map, bases, white.narrow(0, 0, count));
                LiftedFile.Append(file, map, bases, whitening, white.narrow(0, 0, count));
                if (change is not null)
                {
                    using var own = controls!;
                    change.Add(map, cat([part.narrow(0, 0, count), own, part.narrow(0, energies, 1)], 0));
                    controls = null;
                }
            },
            change is null ? null : tile =>
            {
                products.add_(change.Products(tile));
                controls ??= empty([drawn.shape[0], tile.Map.Size], ScalarType.Float32).DetachFromDisposeScope();
                controls.narrow(1, tile.First, tile.Rows.shape[1]).copy_(tile.Rows.index_select(0, drawn) * inverse.index_select(0, drawn).unsqueeze(1));
            },
            context.Progress,
            context.CancellationToken);

        file.Complete();
        var modules = layout.Maps.Select(map => map.ModuleName).Distinct(StringComparer.Ordinal).ToList();
        var (parts, explained) = ByModule([.. layout.Maps.Select(map => modules.IndexOf(map.ModuleName))], modules, byMap, count, (int)sampled.shape[0]);
        return new(
            modules,
            parts,
            explained,
            (int)sampled.shape[0],
            places,
            [.. tally.Splits().Select(split => split.Shares())],
            change is null ? null : new(start!, change.Euclidean(), change.Curvature(), count, directions - count - 1, change.DocumentsShare(products, coordinates)));
    }

    // Energies of atoms, of documents, and of what the atoms leave of these, from maps to modules.
    private static (double[,] Atoms, IReadOnlyList<ExplainedModule> Explained) ByModule(int[] moduleOf, List<string> modules, List<double[]> byMap, int count, int sampled)
    {
        var parts = new double[count, modules.Count];
        var (before, after) = (new double[modules.Count], new double[modules.Count]);
        for (var row = 0; row < count + (2 * sampled); row++)
        {
            var total = byMap.Sum(map => map[row]);
            for (var map = 0; map < byMap.Count; map++)
            {
                var (module, energy) = (moduleOf[map], byMap[map][row]);
                if (row < count)
                {
                    parts[row, module] += total > 0 ? energy / total : 0;
                }
                else
                {
                    (row < count + sampled ? before : after)[module] += energy;
                }
            }
        }

        var whole = before.Sum();
        return (parts, whole > 0 ? [.. modules.Select((name, module) => new ExplainedModule(name, before[module] / whole, before[module] > 0 ? 1 - (after[module] / before[module]) : 0))] : []);
    }

    // Evenly over the documents: each costs a row of the pass, as an atom does.
    private static Tensor Sample(int documents)
    {
        var count = Math.Min(documents, SampledDocuments);
        return tensor([.. Enumerable.Range(0, count).Select(place => (long)place * documents / count)], dtype: ScalarType.Int64);
    }

    // As many documents as atoms, by their ids.
    private static Tensor Drawn(RunFolder run, int count)
    {
        var ids = DocumentsStage.ReadTexts(run).Select((text, index) => (text.Id, Index: index));
        return tensor(ids.OrderBy(text => RandomStream.Seed(0, $"weights/{text.Id}")).Take(count).Select(text => (long)text.Index).ToArray(), dtype: ScalarType.Int64);
    }
}
