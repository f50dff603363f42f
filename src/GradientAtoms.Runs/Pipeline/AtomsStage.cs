using System.Text.Json;
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
    public const string Ledger = "explained.json";

    private const int SampledDocuments = 128;

    public static Stage Create(ModelFiles model) => new()
    {
        Name = Name,

        // Runs from before there were confounders get them when the audit is run again.
        Version = 2,
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
        var (modules, moduleShares, explained) = coordinates.CanLift ? ModuleShares(context, layout, coordinates, atoms, shares) : (null, null, []);
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
                Confounders = DocumentConfounders.Of(texts, DocumentsStage.ReadTokens(context.Folder, texts)),
                Certificates = CertificatesStage.Read(context.Folder),
            },
            progress: context.Progress,
            cancellationToken: context.CancellationToken);
        var kept = tensor(built.Select(atom => (long)atom.Row).ToArray(), dtype: ScalarType.Int64);
        var map = AtomMap.Layout(atoms.index_select(0, kept), codes.ToDense().index_select(1, kept));
        context.Write(RunFiles.Atoms, stream => AtomsFile.Write(stream, built));
        context.WriteText(Map, new JsonArray([.. map.Select((point, index) => (JsonNode)new JsonObject { ["atom"] = built[index].Id, ["x"] = point.X, ["y"] = point.Y })]).ToJsonString(RunJson.Compact) + "\n");
        context.WriteText(Ledger, JsonSerializer.Serialize(
            new ExplainedLedger
            {
                Documents = [.. texts.Zip(shares.Documents, (text, share) => new ExplainedDocument(text.Id, share ?? 0)).OrderBy(document => document.Explained)],
                Modules = explained,
                SampledDocuments = explained.Count > 0 ? Math.Min(texts.Count, SampledDocuments) : 0,
            },
            RunJson.Compact) + "\n");
        context.Notes["atoms"] = built.Count;
        context.Notes["poles"] = built.Sum(atom => atom.Poles.Count(pole => pole.Documents >= new AtomOptions().MinimumSupport));
        context.Notes["confounded_poles"] = built.Sum(atom => atom.Poles.Count(pole => pole.Only is { Count: > 0 }));
        context.Notes["unexplained_share"] = shares.Unexplained;
        context.Notes["documents_without_code"] = Enumerable.Range(0, codes.DocumentCount).Count(document => codes.AtomsOf(document).Length == 0);
    }

    /// <summary>The ledger of a finished run; null of one that was made before there was one.</summary>
    public static ExplainedLedger? ReadLedger(RunFolder run) => run.Manifest.Stage(Name)?.Outputs.Any(output => output.Path == Ledger) == true
        ? JsonSerializer.Deserialize<ExplainedLedger>(File.ReadAllText(run.Need(Ledger)), RunJson.Compact)
        : null;

    // Squared norms by module, brought back to the whitened space of all parameters: of each atom, and of a sample of the documents before and after the atoms are taken off.
    private static (List<string>? Names, double[,]? Shares, IReadOnlyList<ExplainedModule> Explained) ModuleShares(
        StageContext context, ParameterLayout layout, GramCoordinates coordinates, Tensor atoms, AtomShares shares)
    {
        using var scope = NewDisposeScope();
        using var rows = RunReader.OpenRows(context.Folder);
        using var whitening = CoordinatesStage.ReadWhitening(context.Folder, layout);
        var (count, sampled) = ((int)atoms.shape[0], Sample((int)coordinates.Rows.shape[0]));
        var documents = coordinates.Rows.index_select(0, sampled);
        var residuals = documents - shares.Refit!.ToDense().index_select(0, sampled).matmul(atoms);
        var lifted = coordinates.DocumentWeights(cat([atoms, documents, residuals], 0));
        var energies = RowCombination.EnergyByMap(rows, layout, whitening, lifted, context.Progress, context.CancellationToken); // [K + 2 sampled, maps]
        var modules = layout.Maps.Select(map => map.ModuleName).Distinct(StringComparer.Ordinal).ToList();
        var total = energies.sum(1).data<double>().ToArray();
        var byMap = energies.data<double>().ToArray();
        var parts = new double[count, modules.Count];
        var (before, after) = (new double[modules.Count], new double[modules.Count]);
        for (var row = 0; row < total.Length; row++)
        {
            for (var map = 0; map < layout.Maps.Count; map++)
            {
                var (module, energy) = (modules.IndexOf(layout.Maps[map].ModuleName), byMap[(row * layout.Maps.Count) + map]);
                if (row < count)
                {
                    parts[row, module] += total[row] > 0 ? energy / total[row] : 0;
                }
                else
                {
                    (row < count + sampled.shape[0] ? before : after)[module] += energy;
                }
            }
        }

        var whole = before.Sum();
        return (modules, parts, whole > 0 ? [.. modules.Select((name, module) => new ExplainedModule(name, before[module] / whole, before[module] > 0 ? 1 - (after[module] / before[module]) : 0))] : []);
    }

    // Evenly over the documents: each costs a row of the pass, as an atom does.
    private static Tensor Sample(int documents)
    {
        var count = Math.Min(documents, SampledDocuments);
        return tensor([.. Enumerable.Range(0, count).Select(place => (long)place * documents / count)], dtype: ScalarType.Int64);
    }
}

/// <summary>What the atoms explain of the rows that were learnt from, by document and by module: <c>explained.json</c>.</summary>
internal sealed record ExplainedLedger
{
    public string Schema { get; init; } = "gatoms/explained";

    public int Version { get; init; } = 1;

    /// <summary>Every document, the worst explained first.</summary>
    public required IReadOnlyList<ExplainedDocument> Documents { get; init; }

    /// <summary>Every module; empty where atoms cannot be brought back to the weights.</summary>
    public required IReadOnlyList<ExplainedModule> Modules { get; init; }

    /// <summary>Documents that the figures of the modules are taken over.</summary>
    public int SampledDocuments { get; init; }
}

/// <summary>A document and the share of its row's energy that the atoms explain.</summary>
internal sealed record ExplainedDocument(string Id, double Explained);

/// <summary>A module, its part of the rows' energy, and the share of that which the atoms explain; below 0 where they add more there than they take off.</summary>
internal sealed record ExplainedModule(string Name, double Part, double Explained);
