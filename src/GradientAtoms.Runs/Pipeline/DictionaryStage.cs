using System.Text.Json.Nodes;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Stages;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>Coordinates in; atoms learnt from the documents that are not held out, and codes of all documents.</summary>
internal static class DictionaryStage
{
    public const string Name = "dictionary";
    private const int CodeVersion = 3; // wide rows are learnt narrow but for the last rounds

    public static Stage Create(AuditOptions options) => new()
    {
        Name = Name,
        Version = CodeVersion,
        Options = RunJson.Of(options, "atoms", "sparsity", "nonzeros", "codes", "gate", "starts", "seed"),
        DependsOn = [DocumentsStage.Name, GradientsStage.Name, CoordinatesStage.Name, .. SizesStage.IsAsked(options) ? [SizesStage.Name] : Array.Empty<string>()],
        Run = context => Run(context, options),
    };

    private static void Run(StageContext context, AuditOptions options)
    {
        using var scope = NewDisposeScope();
        var learning = DocumentsStage.ReadTexts(context.Folder).Select(text => !text.HeldOut).ToArray();
        using var file = SafetensorsFile.Open(context.Folder.Need(CoordinatesStage.File));
        var rows = CoordinateRows.Open(file); // [N, k]
        var learnt = CoordinateRows.Open(file, [.. learning.Index().Where(document => document.Item).Select(document => document.Index)]); // [documents learnt from, k]
        var chosen = SizesStage.IsAsked(options) ? SizesStage.Chosen(context) : null;
        var atomCount = chosen?.Atoms ?? SizesStage.UsualAtoms(options, learnt.RowCount);
        using var dictionary = DictionaryLearner.Learn(
            learnt,
            new()
            {
                AtomCount = atomCount,
                Sparsity = chosen is null ? options.Sparsity : chosen.Sparsity,
                TargetNonzeros = options.Nonzeros,
                Codes = options.Codes,
                Gate = options.Gate,
                Starts = options.Starts,
                Seed = options.Seed,
            },
            context.Progress,
            context.CancellationToken);
        var encoded = SparseCoder.Encode(rows, dictionary.Atoms, new() { Sparsity = dictionary.Sparsity, Codes = options.Codes }, context.Progress, context.CancellationToken);
        var codes = dictionary.Gates?.Encode(rows, dictionary.Atoms) ?? encoded.Codes;
        var gates = dictionary.Gates?.ToTensor();
        context.WriteFile(RunFiles.Dictionary, path => DictionaryFile.Write(path, dictionary.Atoms, gates is null ? null : [(DictionaryFile.Gates, gates)]));
        context.WriteFile(RunFiles.Codes, path => CodesFile.Write(path, codes, UsedRows(context.Folder)));
        foreach (var (name, value) in new (string, JsonNode)[]
        {
            ("atoms", atomCount),
            ("sparsity", dictionary.Sparsity),
            ("objective", dictionary.Objective),
            ("duality_gap", dictionary.DualityGap),
            ("largest_duality_gap", encoded.LargestDualityGap),
            ("rounds", dictionary.Rounds),
            ("converged", dictionary.Converged),
            ("dead_atoms", dictionary.DeadAtoms),
            ("weak_atoms", dictionary.WeakAtoms),
            ("reseeded_atoms", dictionary.ReseededAtoms),
            ("nonzeros", codes.MeanNonzeros),
            ("start_objectives", new JsonArray([.. dictionary.StartObjectives.Select(objective => (JsonNode)objective)])),
            ("explained_share", Explained(encoded.Energies, encoded.ResidualEnergies, learning, held: false)),
        })
        {
            context.Notes[name] = value;
        }

        if (learning.Contains(false))
        {
            context.Notes["held_out_explained_share"] = Explained(encoded.Energies, encoded.ResidualEnergies, learning, held: true);
        }
    }

    private static int[] UsedRows(RunFolder run) => [.. DocumentsFile.Read(run.Need(RunFiles.Documents))
        .Select((row, index) => (row, index))
        .Where(pair => pair.row.Status == "used")
        .Select(pair => pair.index)];

    // Of the coordinates' energy, by the lasso codes as they are.
    private static double Explained(double[] energies, double[] residuals, bool[] learning, bool held)
    {
        double energy = 0, residual = 0;
        for (var i = 0; i < residuals.Length; i++)
        {
            if (learning[i] != held)
            {
                energy += energies[i];
                residual += residuals[i];
            }
        }

        return 1 - (residual / energy);
    }
}
