using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using GradientAtoms.Atoms;
using GradientAtoms.Coordinates;
using GradientAtoms.Models;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Labels;
using GradientAtoms.Runs.Manifest;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Runs.Reports;

/// <summary>Collects what the report shows from the files and notes of a run.</summary>
internal static class ReportBuilder
{
    private const int WorstDocuments = 12;

    /// <summary>Reads a run whose atoms are done.</summary>
    /// <param name="run">The run.</param>
    /// <param name="model">What its model is.</param>
    /// <param name="options">The options to show.</param>
    /// <exception cref="RunFolderException">GA2607: a part of the run is missing.</exception>
    public static ReportData From(RunFolder run, ModelDescription model, JsonObject options)
    {
        var notes = new StageNotes(run.Manifest);
        var atoms = RunReader.ReadAtoms(run);
        var explained = AtomsStage.ReadLedger(run);
        var worst = (explained?.Documents ?? []).Take(WorstDocuments).ToList();
        var named = atoms.SelectMany(atom => atom.Poles).SelectMany(pole => pole.Top).Select(document => document.Id).Concat(worst.Select(document => document.Id)).ToHashSet(StringComparer.Ordinal);
        return new()
        {
            // Of the data, not of the folder: a run that is moved or named otherwise keeps its bytes.
            Name = Path.GetFileNameWithoutExtension((string?)options["data"] ?? "run"),
            Model = new(model.Name, model.Architecture, model.ParameterCount)
            {
                Format = $"{model.Format}: {string.Join(", ", model.StoredTypes.OrderByDescending(type => type.Value).ThenBy(type => type.Key, StringComparer.Ordinal).Select(type => type.Key))}",
                AdapterName = (string?)options["adapter"],
                Rank = (int?)notes.Number("adapter", "rank"),
                Scale = notes.Number("adapter", "scale"),
                Modules = [.. notes.List("adapter", "modules").Select(module => (string)module!)],
            },
            Reading = Reading(run, notes, options),
            Tuning = Tuning(notes),
            SelfChecks = [.. run.Manifest.Stages.SelectMany(stage => stage.Checks)],
            Coverage = Coverage(notes),
            Dictionary = Dictionary(notes, options, SizesFile.Read(run)),
            Atoms = atoms,
            Map = Map(run, atoms),
            Labels = LabelsFile.Read(run),
            Timeline = TimelineStage.IsThere(run) ? Timeline.Read(run.Need(TimelineStage.File)) : null,
            Ledger = Ledger(notes, explained),
            WorstExplained = [.. worst.Select(document => (document.Id, document.Explained))],
            Tokens = TokensFile.IsThere(run) ? TokensFile.Read(run).ToDictionary(line => (line.Pole, line.Document)) : [],
            Places = PlacesFile.Read(run),
            Structure = StructureFile.Read(run),
            Weights = explained?.Weights,
            Documents = DocumentsStage.ReadTexts(run).Where(text => named.Contains(text.Id)).ToDictionary(text => text.Id, text => new ReportDocument(text.Prompt, text.Answer) { Line = text.Line }, StringComparer.Ordinal),
            Caveats = [.. Caveats(notes, model)],
            Provenance = new()
            {
                Options = [.. options.Where(option => option.Value is not null).Select(option => KeyValuePair.Create(option.Key, option.Value is JsonValue value && value.TryGetValue<string>(out var text) ? text : option.Value!.ToJsonString(RunJson.Compact)))],
                Versions = [.. run.Manifest.Versions],
                Checksums = [.. Checksums(run.Manifest)],
            },
        };
    }

    private static ReportReading Reading(RunFolder run, StageNotes notes, JsonObject options)
    {
        var file = (string?)options["data"] ?? "data";
        return new(file, (int)(notes.Number("documents", "rows") ?? 0), (int)(notes.Number("documents", "documents") ?? 0))
        {
            Shape = notes.Text("documents", "shape"),
            Rejected = [.. DocumentsFile.Read(run.Need(RunFiles.Documents)).Where(row => row.Status == "rejected").Select(row => new Text.Documents.RejectedRow(file, row.SourceRow, row.Reason ?? "not said"))],
            DuplicateCount = (int)(notes.Number("documents", "duplicates") ?? 0),
            HeldOutCount = (int)(notes.Number("documents", "held_out") ?? 0),
            TruncatedCount = (int)(notes.Number("documents", "truncated_documents") ?? 0),
            TruncatedTokenCount = (long)(notes.Number("documents", "truncated_tokens") ?? 0),
            TokenCount = (long)(notes.Number("documents", "tokens") ?? 0),
            TrainedTokenCount = (long)(notes.Number("documents", "trained_tokens") ?? 0),
            MeanLoss = notes.Number("gradients", "mean_loss"),
        };
    }

    private static ReportTuning? Tuning(StageNotes notes) => notes.Number("adapter", "steps") is { } steps
        ? new((int)steps, notes.Number("adapter", "held_out_loss_before"), notes.Number("adapter", "held_out_loss_after"))
        {
            Curve = [.. notes.List("adapter", "step_losses").Select((loss, index) => (index + 1, loss!.GetValue<double>()))],
        }
        : null;

    private static ReportCoverage? Coverage(StageNotes notes) => notes.Number("adapter", "parameters") is { } trained && notes.Number("gradients", "parameters") is { } seen
        ? new((long)trained, (long)(notes.Number("coordinates", "kept_coordinates") ?? seen))
        {
            Note = notes.Number("coordinates", "kept_coordinates") is { } kept && kept < seen ? string.Create(CultureInfo.InvariantCulture, $"the coordinates keep {kept:N0} directions of {seen:N0}") : null,
        }
        : null;

    private static ReportDictionary? Dictionary(StageNotes notes, JsonObject options, TriedSizes? sizes) => notes.Number("dictionary", "atoms") is { } atoms
        ? new((int)atoms, notes.Number("dictionary", "sparsity") ?? 0, notes.Number("dictionary", "nonzeros") ?? 0)
        {
            Codes = (string?)options["codes"],
            ExplainedShare = notes.Number("dictionary", "explained_share"),
            HeldOutExplainedShare = notes.Number("dictionary", "held_out_explained_share"),
            Objective = notes.Number("dictionary", "objective"),
            DualityGap = notes.Number("dictionary", "duality_gap"),
            Sizes = sizes,
        }
        : null;

    private static IReadOnlyList<MapPoint> Map(RunFolder run, IReadOnlyList<Atom> atoms)
    {
        var path = run.PathOf(AtomsStage.Map);
        if (!File.Exists(path))
        {
            return [];
        }

        var places = JsonNode.Parse(File.ReadAllText(path))!.AsArray().ToDictionary(point => (string)point!["atom"]!, point => new MapPoint((double)point!["x"]!, (double)point["y"]!), StringComparer.Ordinal);
        return atoms.All(atom => places.ContainsKey(atom.Id)) ? [.. atoms.Select(atom => places[atom.Id])] : [];
    }

    private static List<ReportLedgerStep> Ledger(StageNotes notes, ExplainedLedger? explained)
    {
        var lines = notes.List("coordinates", "ledger").Select(line => line.Deserialize<LedgerLine>(RunJson.Compact)!).ToArray();
        var raw = lines.Sum(line => line.RawEnergy);
        if (raw <= 0)
        {
            return [];
        }

        var modules = lines.GroupBy(line => line.Map[..Math.Max(line.Map.LastIndexOf(".lora_", StringComparison.Ordinal), 0)] is { Length: > 0 } module ? module : line.Map, StringComparer.Ordinal);
        return
        [
            new("kept coordinates", "raw gradients, Σ‖g‖²", lines.Sum(line => line.RawKept) / raw)
            {
                Modules = [.. modules.Select(module => new ReportModuleEnergy(module.Key, module.Sum(line => line.RawEnergy) / raw, module.Sum(line => line.RawKept) / Math.Max(module.Sum(line => line.RawEnergy), double.Epsilon)))],
            },
            .. explained is { Modules.Count: > 0 }
                ? (ReportLedgerStep[])[new("explained by the atoms", string.Create(CultureInfo.InvariantCulture, $"unit rows of {explained.SampledDocuments:N0} documents, fitted again"), explained.Modules.Sum(module => module.Part * module.Explained))
                {
                    Modules = [.. explained.Modules.Select(module => new ReportModuleEnergy(module.Name, module.Part, module.Explained))],
                }]
                : [],
        ];
    }

    private static IEnumerable<string> Caveats(StageNotes notes, ModelDescription model)
    {
        string[] quantised = [.. model.StoredTypes.Keys.Where(type => type.StartsWith('Q') || type.StartsWith("IQ", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];
        if (quantised.Length > 0)
        {
            yield return $"The model's weights are quantised ({string.Join(", ", quantised)}): gradients are those of the quantised model.";
        }

        if (notes.Node("adapter", "changes_nothing") is JsonValue value && value.TryGetValue<bool>(out var nothing) && nothing)
        {
            yield return "The adapter changes nothing (every lora_B is zero): only lora_B has a gradient there.";
        }

        if (notes.Node("coordinates", "residualised") is JsonArray taken)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"{string.Join(", ", taken.Select(name => (string)name!))} were taken off the rows before the dictionary, {100 * (notes.Number("coordinates", "residualised_energy_share") ?? 0):0.0} % of their energy: what goes with them alone is no atom here.");
        }

        if (notes.Node("adapter", "trained_but_not_analysed") is System.Text.Json.Nodes.JsonArray saved)
        {
            yield return $"Trained but not analysed (modules_to_save): {string.Join(", ", saved.Select(module => (string?)module))}. They take part in every prediction; their own change is in no atom.";
        }

        if (notes.Number("documents", "split_by_turn") is > 0 and var split)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"{split:N0} chats became one document a turn, because the chat template rewrites earlier turns.");
        }

        if (notes.Number("dictionary", "weak_atoms") is > 0 and var weak)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"{weak:N0} atoms have fewer documents than a behaviour needs; they are listed without coherence.");
        }

        if (notes.Number("coordinates", "sketch_size") is { } size)
        {
            yield return string.Create(
                CultureInfo.InvariantCulture,
                $"Gradients are kept as sketches of {size:0} numbers: a cosine is off by {notes.Number("gradients", "cosine_error") ?? 0:0.0000} (root mean square over {notes.Number("gradients", "cosine_pairs") ?? 0:0} pairs of a sample; the cosines themselves are {notes.Number("gradients", "cosine_root_mean_square") ?? 0:0.0000}). Where in the network an atom lies is not known.");
        }

        if (notes.Number("atoms", "confounded_poles") is > 0 and var confounded)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"{confounded:N0} poles are marked \"only\": one of length, position, source, language, format or near-duplicates explains at least half of who is on them.");
        }

        if (notes.Number("certificates", "poles") is not { } tested)
        {
            yield return "Whether a pole is more than chance is not tested in this run: coherence alone does not tell.";
        }
        else if (notes.Node("certificates", "can_certify") is JsonValue can && can.TryGetValue<bool>(out var enough) && !enough)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"{tested:N0} poles were compared with chance, and none can be certified: fewer than 19 nulls.");
        }
        else
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"{notes.Number("certificates", "certified_poles"):N0} of {tested:N0} poles with enough documents are certified: more than chance. That alone does not make one a behaviour.");
        }
    }

    private static IEnumerable<KeyValuePair<string, string>> Checksums(RunManifest manifest)
    {
        foreach (var input in manifest.Stages.SelectMany(stage => stage.Inputs).DistinctBy(input => input.Key, StringComparer.Ordinal).OrderBy(input => input.Key, StringComparer.Ordinal))
        {
            yield return KeyValuePair.Create($"input {input.Key}", input.Value);
        }

        // Shards are many and each is in run.json; the page names the files that people open.
        foreach (var output in manifest.Stages.Where(stage => stage.Name != ReportStage.Name).SelectMany(stage => stage.Outputs).Where(output => !output.Path.StartsWith($"{RunFiles.Gradients}/", StringComparison.Ordinal)))
        {
            yield return KeyValuePair.Create(output.Path, output.Sha256);
        }
    }

    /// <summary>The stages' own words, by stage and name; what is not there is null.</summary>
    private sealed class StageNotes(RunManifest manifest)
    {
        public JsonNode? Node(string stage, string name) => manifest.Stage(stage)?.Notes[name];

        public double? Number(string stage, string name) => Node(stage, name) is JsonValue value && double.TryParse(value.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : null;

        public string? Text(string stage, string name) => Node(stage, name) is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

        public IEnumerable<JsonNode?> List(string stage, string name) => Node(stage, name) as JsonArray ?? [];
    }
}
