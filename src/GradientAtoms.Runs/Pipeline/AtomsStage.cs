using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Atoms;
using GradientAtoms.Models.Adapters;
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

    public static Stage Create(ModelFiles model) => new()
    {
        Name = Name,

        // Runs from before there were confounders (2), places, structure and the account of the weights (3), keywords of prompts and answers apart (4), or lifted directions (5) get them when the audit is run again.
        Version = 5,
        DependsOn = [DocumentsStage.Name, AdapterStage.Name, GradientsStage.Name, CoordinatesStage.Name, DictionaryStage.Name, CertificatesStage.Name],
        Run = context => Run(context, model),
    };

    private static void Run(StageContext context, ModelFiles model)
    {
        using var scope = NewDisposeScope();
        using var adapter = model.LoadAdapter(context.Folder.PathOf(RunFiles.Adapter));
        var texts = DocumentsStage.ReadTexts(context.Folder);
        var codes = CodesFile.Read(context.Folder.Need(RunFiles.Codes)).Codes;
        using var dictionaryFile = SafetensorsFile.Open(context.Folder.Need(RunFiles.Dictionary));
        var atoms = dictionaryFile.ReadRaw("atoms"); // [K, k]
        using var coordinatesFile = SafetensorsFile.Open(context.Folder.Need(CoordinatesStage.File));
        var shares = AtomShares.OfBlocks(codes.DocumentCount, (first, count) => coordinatesFile.ReadRows("rows", first, count), codes, atoms, rowEnergies: null);

        // A sketched atom is no combination of documents: where it lies in the network is not known.
        var lifted = coordinatesFile.Contains("weights_of_directions") ? Lift(context, model, adapter, coordinatesFile, atoms, shares) : null;
        using var cosines = DocumentCosines.Open(context.Folder, coordinatesFile);
        string[] ids = [.. texts.Select(text => text.Id)];
        var built = AtomBuilder.Build(
            codes,
            ids,
            new()
            {
                Raw = cosines.Raw,
                Whitened = cosines.Whitened,
                Shares = shares,
                ModuleNames = lifted?.ModuleNames,
                ModuleShares = lifted?.ModuleShares,
                Texts = new MappedList<TextRow, (string, string)>(texts, text => (text.Prompt, text.Answer)),
                Confounders = DocumentConfounders.Of(texts, DocumentsStage.ReadTokens(context.Folder, texts)),
                Certificates = CertificatesStage.Read(context.Folder),
            },
            progress: context.Progress,
            cancellationToken: context.CancellationToken);
        int[] kept = [.. built.Select(atom => atom.Row)];
        var map = AtomMap.Layout(atoms, codes, kept);
        context.Write(RunFiles.Atoms, stream => AtomsFile.Write(stream, built));
        context.WriteText(Map, new JsonArray([.. map.Select((point, index) => (JsonNode)new JsonObject { ["atom"] = built[index].Id, ["x"] = point.X, ["y"] = point.Y })]).ToJsonString(RunJson.Compact) + "\n");
        context.WriteText(Ledger, JsonSerializer.Serialize(
            new ExplainedLedger
            {
                Documents = [.. ids.Zip(shares.Documents, (id, share) => new ExplainedDocument(id, share ?? 0)).OrderBy(document => document.Explained)],
                Modules = lifted?.Explained ?? [],
                SampledDocuments = lifted?.SampledDocuments ?? 0,
                Weights = WeightAccount.Of(lifted?.Change, built),
            },
            RunJson.Compact) + "\n");
        if (lifted is not null)
        {
            context.WriteText(PlacesFile.Name, PlacesFile.Render(lifted.Places, lifted.Splits, built));
        }

        context.WriteText(StructureFile.Name, StructureFile.Render(built, atoms.index_select(0, tensor(kept.Select(row => (long)row).ToArray(), dtype: ScalarType.Int64)), codes, new AtomOptions().MinimumSupport));
        context.Notes["atoms"] = built.Count;
        context.Notes["poles"] = built.Sum(atom => atom.Poles.Count(pole => pole.Documents >= new AtomOptions().MinimumSupport));
        context.Notes["confounded_poles"] = built.Sum(atom => atom.Poles.Count(pole => pole.Only is { Count: > 0 }));
        context.Notes["unexplained_share"] = shares.Unexplained;
        context.Notes["documents_without_code"] = Enumerable.Range(0, codes.DocumentCount).Count(document => codes.AtomsOf(document).Length == 0);
    }

    private static LiftedAtoms Lift(StageContext context, ModelFiles model, LoraAdapter adapter, SafetensorsFile file, Tensor atoms, AtomShares shares)
    {
        using var coordinates = RunReader.ReadCoordinates(file);
        return AtomLift.Compute(context, model, adapter, coordinates, atoms, shares);
    }

    /// <summary>The ledger of a finished run; null of one that was made before there was one.</summary>
    public static ExplainedLedger? ReadLedger(RunFolder run) => run.Manifest.Stage(Name)?.Outputs.Any(output => output.Path == Ledger) == true
        ? JsonSerializer.Deserialize<ExplainedLedger>(File.ReadAllText(run.Need(Ledger)), RunJson.Compact)
        : null;
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

    /// <summary>What the atoms explain of the change of the weights; null where that is not known.</summary>
    public WeightAccount? Weights { get; init; }
}

/// <summary>A document and the share of its row's energy that the atoms explain.</summary>
internal sealed record ExplainedDocument(string Id, double Explained);

/// <summary>A module, its part of the rows' energy, and the share of that which the atoms explain; below 0 where they add more there than they take off.</summary>
internal sealed record ExplainedModule(string Name, double Part, double Explained);
