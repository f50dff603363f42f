using System.Text.Json.Nodes;
using GradientAtoms.Atoms;
using GradientAtoms.Coordinates;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Stages;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>Dictionary and codes in; atoms and poles as people read them out: documents, coherence, shares, modules, keywords, map.</summary>
internal static class AtomsStage
{
    public const string Name = "atoms";
    public const string Map = "map.json";

    public static Stage Create(ModelFiles model) => new()
    {
        Name = Name,
        DependsOn = [DocumentsStage.Name, AdapterStage.Name, GradientsStage.Name, CoordinatesStage.Name, DictionaryStage.Name, CertificatesStage.Name],
        Run = context => Run(context, model),
    };

    private static void Run(StageContext context, ModelFiles model)
    {
        using var scope = NewDisposeScope();
        using var adapter = model.LoadAdapter(context.Folder.PathOf(RunFiles.Adapter));
        var layout = model.LayoutOf(adapter);
        var texts = DocumentsStage.ReadTexts(context.Folder);
        var codes = CodesFile.Read(context.Folder.Need(RunFiles.Codes)).Codes;
        using var dictionaryFile = SafetensorsFile.Open(context.Folder.Need(RunFiles.Dictionary));
        var atoms = dictionaryFile.ReadRaw("atoms"); // [K, k]
        using var coordinatesFile = SafetensorsFile.Open(context.Folder.Need(CoordinatesStage.File));
        using var coordinates = RunReader.ReadCoordinates(coordinatesFile);
        var shares = AtomShares.Of(coordinates.Rows, codes, atoms);

        // A sketched atom is no combination of documents: where it lies in the network is not known.
        var (modules, moduleShares) = coordinates.CanLift ? ModuleShares(context, layout, coordinates, atoms) : (null, null);
        using var cosines = DocumentCosines.Open(context.Folder, coordinatesFile);
        var built = AtomBuilder.Build(
            codes,
            [.. texts.Select(text => text.Id)],
            new()
            {
                Raw = cosines.Raw,
                Whitened = cosines.Whitened,
                Shares = shares,
                ModuleNames = modules,
                ModuleShares = moduleShares,
                Texts = [.. texts.Select(text => $"{text.Prompt}\n{text.Answer}")],
                Certificates = CertificatesStage.Read(context.Folder),
            },
            progress: context.Progress,
            cancellationToken: context.CancellationToken);
        var kept = tensor(built.Select(atom => (long)atom.Row).ToArray(), dtype: ScalarType.Int64);
        var map = AtomMap.Layout(atoms.index_select(0, kept), codes.ToDense().index_select(1, kept));
        context.Write(RunFiles.Atoms, stream => AtomsFile.Write(stream, built));
        context.WriteText(Map, new JsonArray([.. map.Select((point, index) => (JsonNode)new JsonObject { ["atom"] = built[index].Id, ["x"] = point.X, ["y"] = point.Y })]).ToJsonString(RunJson.Compact) + "\n");
        context.Notes["atoms"] = built.Count;
        context.Notes["poles"] = built.Sum(atom => atom.Poles.Count(pole => pole.Documents >= new AtomOptions().MinimumSupport));
        context.Notes["unexplained_share"] = shares.Unexplained;
        context.Notes["documents_without_code"] = Enumerable.Range(0, codes.DocumentCount).Count(document => codes.AtomsOf(document).Length == 0);
    }

    // Squared norm of each atom, brought back to the whitened space of all parameters, by module.
    private static (List<string>? Names, double[,]? Shares) ModuleShares(
        StageContext context, ParameterLayout layout, GramCoordinates coordinates, Tensor atoms)
    {
        using var scope = NewDisposeScope();
        using var rows = RunReader.OpenRows(context.Folder);
        using var whitening = CoordinatesStage.ReadWhitening(context.Folder, layout);
        var energies = RowCombination.EnergyByMap(rows, layout, whitening, coordinates.DocumentWeights(atoms), context.Progress, context.CancellationToken); // [K, maps]
        var modules = layout.Maps.Select(map => map.ModuleName).Distinct(StringComparer.Ordinal).ToList();
        var total = energies.sum(1).data<double>().ToArray();
        var byMap = energies.data<double>().ToArray();
        var shares = new double[atoms.shape[0], modules.Count];
        for (var atom = 0; atom < total.Length; atom++)
        {
            for (var map = 0; map < layout.Maps.Count; map++)
            {
                shares[atom, modules.IndexOf(layout.Maps[map].ModuleName)] += total[atom] > 0 ? byMap[(atom * layout.Maps.Count) + map] / total[atom] : 0;
            }
        }

        return (modules, shares);
    }
}
