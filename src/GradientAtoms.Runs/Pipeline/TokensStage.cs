using System.Globalization;
using GradientAtoms.Localisation;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Stages;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>The strongest documents of every pole once more through the model; out comes which of their tokens carry the pole: <c>tokens.jsonl</c>.</summary>
internal static class TokensStage
{
    public const string Name = "tokens";

    /// <summary>Documents of a pole whose tokens are kept.</summary>
    public const int DocumentsPerPole = 4;

    /// <summary>Of a certified pole, those that are split by loss token too: three passes through the model each.</summary>
    public const int LossDocumentsPerPole = 2;

    // Sums of a document's parts in float32, beside products of stored float32 rows.
    private const double SumTolerance = 1e-3;

    // Lifted directions in memory at a time, with their rotation: a third of it is the directions'.
    private const long DirectionBytes = 768L << 20;

    public static Stage Create(AuditOptions options, ModelFiles model) => new()
    {
        Name = Name,
        Options = new System.Text.Json.Nodes.JsonObject { ["batch_tokens"] = options.BatchTokens },
        DependsOn = [DocumentsStage.Name, AdapterStage.Name, GradientsStage.Name, CoordinatesStage.Name, DictionaryStage.Name, AtomsStage.Name],
        Run = context => Run(context, model, options.BatchTokens),
    };

    private static void Run(StageContext context, ModelFiles model, int batchTokens)
    {
        using var scope = NewDisposeScope();
        using var coordinatesFile = SafetensorsFile.Open(context.Folder.Need(CoordinatesStage.File));
        using var coordinates = RunReader.ReadCoordinates(coordinatesFile);
        if (!coordinates.CanLift)
        {
            return; // a sketched atom is no direction of the weights: there is nothing to take products with
        }

        using var inputs = PassInputs.Open(context.Folder, model);
        using var rows = RunReader.OpenRows(context.Folder);
        using var whitening = CoordinatesStage.ReadWhitening(context.Folder, inputs.Source.Layout);
        using var bases = CurvatureFile.ReadBases(context.Folder.Need(RunFiles.Curvature), inputs.Source.Layout);
        using var dictionary = DictionaryFile.Read(context.Folder.Need(RunFiles.Dictionary));
        var atoms = AtomsFile.Read(context.Folder.Need(RunFiles.Atoms));
        var documents = inputs.Texts.Select((text, index) => (text.Id, index)).ToDictionary(pair => pair.Id, pair => pair.index, StringComparer.Ordinal);
        var norms = coordinates.Norms.data<double>().ToArray();
        var products = coordinatesFile.ReadRaw("gram_whitened"); // w_i · w_j
        var lines = new TokenLines(model.Loaded.Tokenizer, inputs.Documents, inputs.Source.Layout);
        var (written, worst, worstLoss) = (new List<TokenEvidence>(), 0.0, 0.0);
        foreach (var group in atoms.Chunk((int)Math.Clamp(DirectionBytes / (3 * sizeof(float) * inputs.Source.Layout.Size), 1, 4096)))
        {
            using var inner = NewDisposeScope();
            var directions = dictionary.Atoms.index_select(0, tensor(group.Select(atom => (long)atom.Row).ToArray(), dtype: ScalarType.Int64));
            var lifted = LiftedDirections.Natural(rows, bases, whitening, coordinates, directions, context.Progress, context.CancellationToken); // [K, d]
            var expected = coordinates.DocumentWeights(directions).matmul(products.to(ScalarType.Float64)); // [K, N]
            var asked = group
                .SelectMany((atom, direction) => atom.Poles.SelectMany(pole => pole.Top.Take(DocumentsPerPole).Select((top, rank) => (Pole: pole, Pair: new DocumentDirection(documents[top.Id], direction), Rank: rank))))
                .ToList();
            var positions = TokenSplits.ByPosition(inputs.Source, inputs.Documents, [.. asked.Select(entry => entry.Pair)], lifted, batchTokens, context.Progress, context.CancellationToken);
            var certified = asked.Select((entry, place) => (entry, place)).Where(pair => pair.entry.Pole.Certified == true && pair.entry.Rank < LossDocumentsPerPole).Select(pair => pair.place).ToList();
            var losses = TokenSplits.ByLoss(
                model.Loaded.Model, inputs.Adapter, inputs.Source.Layout, inputs.Documents, [.. certified.Select(place => asked[place].Pair)], lifted, batchTokens, context.Progress, context.CancellationToken);
            for (var i = 0; i < asked.Count; i++)
            {
                var ((pole, (document, direction), _), split) = (asked[i], positions[i]);
                var (scale, loss) = (pole.Sign / norms[document], certified.BinarySearch(i) is >= 0 and var place ? losses[place] : null);
                worst = Math.Max(worst, Math.Abs(split.Total - expected[direction, document].item<double>()) / norms[document]);
                worstLoss = Math.Max(worstLoss, loss is null ? 0 : Math.Abs(loss.Sum() - split.Total) / norms[document]);
                written.Add(lines.Make(pole.Id, document, split, loss, scale));
            }
        }

        context.WriteText(TokensFile.Name, TokensFile.Render(lines.Modules, written));
        Check("tokens/positions", worst, "sums of positions' parts, against products of the stored rows");
        if (written.Any(line => line.Loss is not null))
        {
            Check("tokens/losses", worstLoss, "sums of loss tokens' parts, against the positions'");
        }

        context.Notes["documents"] = written.Count;
        context.Notes["by_loss"] = written.Count(line => line.Loss is not null);

        void Check(string name, double error, string what) =>
            context.Check(name, error <= SumTolerance, string.Create(CultureInfo.InvariantCulture, $"{what}: projections differ by {error:0.0e+0} at most, {SumTolerance:0.0e+0} allowed"));
    }
}
