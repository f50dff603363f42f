using System.Text.Json.Nodes;
using GradientAtoms.Coordinates;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Stages;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>Rotated gradients in; whitened unit coordinates out, with the same inner products, and the energy ledger.</summary>
internal static class CoordinatesStage
{
    public const string Name = "coordinates";
    public const string File = "coordinates.safetensors";

    public static Stage Create(AuditOptions options, ModelFiles model, CoordinateKind kind) => new()
    {
        Name = Name,
        Options = new JsonObject { ["coordinates"] = kind.ToString().ToLowerInvariant(), ["damping"] = kind == CoordinateKind.Exact ? options.Damping : null, ["center"] = options.Center },
        DependsOn = [DocumentsStage.Name, AdapterStage.Name, GradientsStage.Name],
        Run = context => Run(context, options, model, kind),
    };

    /// <summary>How a run whitens. The caller owns it.</summary>
    public static Whitening ReadWhitening(RunFolder run, ParameterLayout layout, CoordinateKind kind, double damping)
    {
        var path = run.Need(RunFiles.Curvature);
        switch (kind)
        {
            case CoordinateKind.Raw:
                return Whitening.Raw(layout.Size);
            case CoordinateKind.Reference:
                using (var bases = CurvatureFile.ReadBases(path, layout))
                {
                    using var kronecker = bases.KroneckerEigenvalues();
                    return Whitening.Reference(layout, kronecker);
                }

            default:
                using (var eigenvalues = CurvatureFile.ReadEigenvalues(path, layout))
                {
                    return Whitening.Ekfac(eigenvalues, damping);
                }
        }
    }

    private static void Run(StageContext context, AuditOptions options, ModelFiles model, CoordinateKind kind)
    {
        using var adapter = model.LoadAdapter(context.Folder.PathOf(RunFiles.Adapter));
        var layout = model.LayoutOf(adapter);
        var learning = DocumentsStage.ReadTexts(context.Folder).Select(text => !text.HeldOut).ToList();
        using var rows = RunReader.OpenRows(context.Folder);
        using var whitening = ReadWhitening(context.Folder, layout, kind, options.Damping);
        using var gram = GramPass.Compute(rows, layout, whitening, context.Progress, context.CancellationToken);
        using var coordinates = GramCoordinates.Fit(gram.Whitened, learning, options.Center);
        using var scope = NewDisposeScope();
        context.WriteFile(File, path => SafetensorsWriter.Write(path,
        [
            ("rows", coordinates.Rows),
            ("weights_of_directions", coordinates.WeightsOfDirections),
            ("norms", coordinates.Norms),
            ("gram_raw", gram.Raw.to(ScalarType.Float32)),
            ("gram_whitened", gram.Whitened.to(ScalarType.Float32)),
        ]));
        var rawEnergy = gram.Ledger.Sum(line => line.RawEnergy);
        context.Notes["whitening"] = whitening.Kind;
        context.Notes["damping"] = whitening.Damping;
        context.Notes["kept_coordinates"] = whitening.KeptCount;
        context.Notes["parameters"] = layout.Size;
        context.Notes["dimensions"] = coordinates.Rows.shape[1];
        context.Notes["mean_norm"] = coordinates.MeanNorm;
        context.Notes["raw_energy"] = rawEnergy;
        context.Notes["kept_energy_share"] = gram.Ledger.Sum(line => line.RawKept) / rawEnergy;
        context.Notes["ledger"] = new JsonArray([.. gram.Ledger.Select(line => (JsonNode)RunJson.Of(line))]);
    }
}
