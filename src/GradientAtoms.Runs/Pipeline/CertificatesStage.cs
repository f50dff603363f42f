using System.Text.Json;
using GradientAtoms.Certificates;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Stages;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>Coordinates and dictionary in; what speaks for and against each pole out, from dictionaries of nulls, other seeds and parts of the documents.</summary>
internal static class CertificatesStage
{
    public const string Name = "certificates";
    public const string File = "certificates.json";

    public static Stage Create(AuditOptions options) => new()
    {
        Name = Name,
        Options = RunJson.Of(options, "nulls", "seed"),
        DependsOn = [DocumentsStage.Name, CoordinatesStage.Name, DictionaryStage.Name],
        Run = context => Run(context, options),
    };

    /// <summary>The certificates of a run; null where the run was asked for none.</summary>
    public static IReadOnlyList<PoleCertificate>? Read(RunFolder run) => CertificatesFile.Read(run.Need(File));

    private static void Run(StageContext context, AuditOptions options)
    {
        if (options.Nulls == 0)
        {
            context.Write(File, stream => CertificatesFile.Write(stream, null));
            return;
        }

        using var scope = NewDisposeScope();
        var learning = DocumentsStage.ReadTexts(context.Folder).Select(text => !text.HeldOut).ToArray();
        using var coordinates = SafetensorsFile.Open(context.Folder.Need(CoordinatesStage.File));
        using var dictionary = SafetensorsFile.Open(context.Folder.Need(RunFiles.Dictionary));
        var rows = coordinates.ReadRaw("rows")[tensor(learning)]; // [documents learnt from, k]
        var atoms = dictionary.ReadRaw("atoms"); // [K, k]
        var rules = new DictionaryOptions
        {
            AtomCount = (int)atoms.shape[0],
            Sparsity = (double)context.NotesOf(DictionaryStage.Name)["sparsity"]!,
            Codes = options.Codes,
            Seed = options.Seed,
        };
        var limits = new CertificateOptions { Nulls = options.Nulls, Seed = options.Seed };
        using var certifier = new Certifier(rows, atoms, rules, limits);
        var units = Units(context, certifier);
        var poles = certifier.Judge(units);
        context.Write(File, stream => CertificatesFile.Write(stream, poles));
        context.Notes["dictionaries"] = units.Count;
        context.Notes["null_poles"] = units.Sum(unit => unit.Poles?.Count ?? 0);
        context.Notes["poles"] = poles.Count;
        context.Notes["certified_poles"] = poles.Count(pole => pole.Certified);
        context.Notes["best_family_wise"] = poles.Count > 0 ? poles.Min(pole => pole.FamilyWise) : null;
        context.Notes["can_certify"] = 1.0 / (1 + options.Nulls) <= limits.MaximumRate;
    }

    // A dictionary at a time: what an earlier sitting has done is kept.
    private static List<CertificateUnit> Units(StageContext context, Certifier certifier)
    {
        var units = context.State.Load() is { } saved ? JsonSerializer.Deserialize<List<CertificateUnit>>(System.IO.File.ReadAllText(saved.Path), RunJson.Compact)! : [];
        while (units.Count < certifier.UnitCount)
        {
            context.Progress?.Report(new(Name, units.Count, certifier.UnitCount, "dictionaries"));
            units.Add(certifier.Run(units.Count, context.CancellationToken));
            context.State.Save(units.Count, stream => JsonSerializer.Serialize(stream, units, RunJson.Compact));
        }

        context.Progress?.Report(new(Name, units.Count, certifier.UnitCount, "dictionaries"));
        return units;
    }
}
