using System.Text.Json.Nodes;
using GradientAtoms.Confounders;
using GradientAtoms.Coordinates;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Manifest;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Runs.Stages;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>Rotated gradients in; whitened unit coordinates out, with the same inner products (of sketches: about the same), and the energy ledger.</summary>
internal static class CoordinatesStage
{
    public const string Name = "coordinates";
    public const string File = "coordinates.safetensors";

    public static Stage Create(AuditOptions options, ModelFiles model, CoordinateKind kind) => new()
    {
        Name = Name,
        Options = OptionsOf(options, kind),
        DependsOn = [DocumentsStage.Name, AdapterStage.Name, GradientsStage.Name],
        Run = context =>
        {
            using var scope = NewDisposeScope();
            using var adapter = model.LoadAdapter(context.Folder.PathOf(RunFiles.Adapter));
            var layout = model.LayoutOf(adapter);
            var learning = DocumentsStage.ReadTexts(context.Folder).Select(text => !text.HeldOut).ToList();
            using var whitening = MakeWhitening(context.Folder, layout, kind, eigenvalues => Whitening.Ekfac(eigenvalues, options.Damping));
            if (kind == CoordinateKind.Sketch)
            {
                FromSketches(context, layout, whitening, learning, options);
            }
            else
            {
                FromRows(context, layout, whitening, learning, options);
            }
        },
    };

    /// <summary>How a run keeps gradients.</summary>
    /// <exception cref="RunFolderException">GA2607: it has no coordinates.</exception>
    public static CoordinateKind KindOf(RunFolder run) => Enum.Parse<CoordinateKind>((string)Record(run).Options["coordinates"]!, ignoreCase: true);

    /// <summary>How the coordinates of a run were whitened, as their stage recorded it: the run's options may be those of an audit that never got here. The caller owns it.</summary>
    /// <exception cref="RunFolderException">GA2607: it has no coordinates.</exception>
    public static Whitening ReadWhitening(RunFolder run, ParameterLayout layout) =>
        MakeWhitening(run, layout, KindOf(run), eigenvalues => Whitening.EkfacDamped(eigenvalues, (double)Record(run).Notes["damping"]!));

    private static StageRecord Record(RunFolder run) => run.Manifest.Stage(Name)
        ?? throw new RunFolderException("GA2607", run.Path, "has no coordinates", "Run the same `gatoms audit` again: it makes what is missing.");

    private static Whitening MakeWhitening(RunFolder run, ParameterLayout layout, CoordinateKind kind, Func<Tensor, Whitening> ekfac)
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
                using (var eigenvalues = CurvatureFile.ReadEigenvalues(path, layout, ofSample: kind == CoordinateKind.Sketch))
                {
                    return ekfac(eigenvalues);
                }
        }
    }

    private static void FromRows(StageContext context, ParameterLayout layout, Whitening whitening, IReadOnlyList<bool> learning, AuditOptions options)
    {
        using var rows = RunReader.OpenRows(context.Folder);
        using var whitened = GramPass.Compute(rows, layout, whitening, context.Progress, context.CancellationToken);
        using var coordinates = GramCoordinates.Fit(whitened, learning, options.Center);
        using var scope = NewDisposeScope();
        Write(context, coordinates.Norms, Residuals(context, coordinates.Rows, learning, options),
        [
            ("weights_of_directions", coordinates.WeightsOfDirections!),
            ("gram_whitened", whitened.to(ScalarType.Float32)),
        ]);
        Describe(context, layout, whitening, coordinates.Rows.shape[1], coordinates.MeanNorm, Ledger(context.Folder, layout, whitening, rows.RowCount));
    }

    // The sketches are whitened already. Cosines are read from them when they are asked for, so no products are kept.
    private static void FromSketches(StageContext context, ParameterLayout layout, Whitening whitening, IReadOnlyList<bool> learning, AuditOptions options)
    {
        using var scope = NewDisposeScope();
        using var sketches = RunReader.OpenRows(context.Folder, SketchStage.Whitened);
        var norms = tensor(sketches.ReadValues(SketchStage.WhitenedNorms));
        var squared = norms.square().sum().item<double>();
        using var rows = SketchRows.Of(sketches, learning, options.Center, cancellationToken: context.CancellationToken);
        if (options.Residualise is { Count: > 0 })
        {
            // What confounders take off is a fit to all rows.
            var all = new List<Tensor>();
            rows.Stream(block => all.Add(block.MoveToOuterDisposeScope()), context.CancellationToken);
            Write(context, norms, Residuals(context, cat(all), learning, options), []);
        }
        else
        {
            context.WriteFile(File, path =>
            {
                using var writer = SafetensorsStreamWriter.Create(path, [new("rows", ScalarType.Float32, [sketches.RowCount, sketches.ColumnCount]), new("norms", ScalarType.Float64, norms.shape)]);
                rows.Stream(block => writer.Append("rows", block), context.CancellationToken);
                writer.Append("norms", norms);
                writer.Complete();
            });
        }

        Describe(context, layout, whitening, sketches.ColumnCount, rows.MeanNorm, Ledger(context.Folder, layout, whitening, sketches.RowCount));
        context.Notes["sketch_size"] = sketches.ColumnCount;
        context.Notes["cosine_error"] = context.NotesOf(GradientsStage.Name)["cosine_error"]?.DeepClone();
        context.Notes["sketched_energy_ratio"] = rows.Energy / squared;
    }

    // A sketch is of every coordinate, so it drops the energy of none; its price is the error of each cosine.
    private static IReadOnlyList<LedgerLine> Ledger(RunFolder run, ParameterLayout layout, Whitening whitening, int documents)
    {
        using var eigenvalues = CurvatureFile.ReadEigenvalues(run.Need(RunFiles.Curvature), layout);
        return EnergyLedger.Of(eigenvalues, documents, layout, whitening);
    }

    // What was not there before counts only where it is used: runs of earlier versions stay as they are.
    private static JsonObject OptionsOf(AuditOptions options, CoordinateKind kind)
    {
        var named = new JsonObject { ["coordinates"] = kind.ToString().ToLowerInvariant(), ["damping"] = kind == CoordinateKind.Exact ? options.Damping : null, ["center"] = options.Center };
        if (options.Residualise is { Count: > 0 } names)
        {
            named["residualise"] = new JsonArray([.. names.Order(StringComparer.Ordinal).Select(name => (JsonNode)name)]);
        }

        return named;
    }

    // The rows that the dictionary is learnt from, on the axes of the coordinates: directions go back to the weights as before.
    private static Tensor Residuals(StageContext context, Tensor rows, IReadOnlyList<bool> learning, AuditOptions options)
    {
        if (options.Residualise is not { Count: > 0 } names)
        {
            return rows;
        }

        if (names.FirstOrDefault(name => !DocumentConfounders.Removable.Contains(name, StringComparer.Ordinal)) is { } unknown)
        {
            throw new ArgumentException($"'{unknown}' is none of {string.Join(", ", DocumentConfounders.Removable)}", nameof(options));
        }

        var texts = DocumentsStage.ReadTexts(context.Folder);
        var confounders = DocumentConfounders.Of(texts, DocumentsStage.ReadTokens(context.Folder, texts));
        var (residuals, share) = ConfounderResiduals.TakeOff(rows, [.. confounders.Where(confounder => names.Contains(confounder.Name, StringComparer.Ordinal))], learning);
        context.Notes["residualised"] = new JsonArray([.. names.Order(StringComparer.Ordinal).Select(name => (JsonNode)name)]);
        context.Notes["residualised_energy_share"] = share;
        return residuals;
    }

    private static void Write(StageContext context, Tensor norms, Tensor rows, IReadOnlyList<(string, Tensor)> more) =>
        context.WriteFile(File, path => SafetensorsWriter.Write(path, [("rows", rows), ("norms", norms), .. more]));

    private static void Describe(StageContext context, ParameterLayout layout, Whitening whitening, long dimensions, double meanNorm, IReadOnlyList<LedgerLine> ledger)
    {
        var rawEnergy = ledger.Sum(line => line.RawEnergy);
        context.Notes["whitening"] = whitening.Kind;
        context.Notes["damping"] = whitening.Damping;
        context.Notes["kept_coordinates"] = whitening.KeptCount;
        context.Notes["parameters"] = layout.Size;
        context.Notes["dimensions"] = dimensions;
        context.Notes["mean_norm"] = meanNorm;
        context.Notes["raw_energy"] = rawEnergy;
        context.Notes["kept_energy_share"] = ledger.Sum(line => line.RawKept) / rawEnergy;
        context.Notes["ledger"] = new JsonArray([.. ledger.Select(line => (JsonNode)RunJson.Of(line))]);
    }
}
