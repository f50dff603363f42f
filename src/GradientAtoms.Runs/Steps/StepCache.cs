using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Steering;

namespace GradientAtoms.Runs.Steps;

/// <summary>
/// What has been measured along a direction of a run, kept in the run: <c>steps/HASH.json</c>, one file a direction and set of
/// neutral documents. A step that is there is not calibrated again, and the search for another strength starts from what is known.
/// A file that cannot be read or written is as one that is not there.
/// </summary>
internal sealed class StepCache
{
    public const string Folder = "steps";

    // Raised when the same key would be calibrated to another step.
    private const int Method = 1;

    private static readonly JsonSerializerOptions Spelling = new(RunJson.Compact) { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    private readonly string _path;
    private readonly JsonObject _key;
    private readonly Contents _contents;

    private StepCache(string path, JsonObject key, Contents contents) => (_path, _key, _contents) = (path, key, contents);

    /// <summary>Opens it for a direction.</summary>
    /// <param name="session">The run.</param>
    /// <param name="neutral">What the KL is measured on.</param>
    /// <param name="direction">What makes the direction what it is: pole, mode, damping, faults, documents that it is checked on.</param>
    /// <returns>Null where the run says too little of itself to know whether a measurement is still true.</returns>
    public static StepCache? Open(RunSession session, NeutralSet neutral, JsonObject direction)
    {
        if (session.Folder.Manifest.Stage(AtomsStage.Name) is not { IsDone: true } atoms)
        {
            return null;
        }

        direction["atoms"] = FileHash.OfText($"{atoms.InputHash} {atoms.OutputHash}");
        direction["neutral"] = neutral.Hash;
        direction["method"] = Method;
        var path = session.Folder.PathOf($"{Folder}/{FileHash.OfText(RunJson.Canonical(direction))[..16]}.json");
        return new(path, direction, Read(path));
    }

    /// <summary>Measurements along the direction as the algebra gives it, or against it.</summary>
    public IReadOnlyList<KlPoint> Points(bool against) => against ? _contents.Against : _contents.Along;

    public StoredStep? Find(double kl, double targetCap, bool less) => _contents.Steps.LastOrDefault(step => step.Result.Requested == kl && step.TargetCap == targetCap && step.Less == less);

    /// <summary>Adds measurements; they are written with <see cref="Save"/>.</summary>
    public void Learn(bool against, IEnumerable<KlPoint> points)
    {
        var known = against ? _contents.Against : _contents.Along;
        known.AddRange(points.Where(point => known.TrueForAll(old => old.Step != point.Step)));
    }

    public void Save(StoredStep step)
    {
        _contents.Steps.Add(step);
        try
        {
            AtomicFile.WriteText(_path, JsonSerializer.Serialize(_contents with { Key = _key }, Spelling) + "\n");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // A run that may only be read is steered all the same.
        }
    }

    private static Contents Read(string path)
    {
        try
        {
            return File.Exists(path) && JsonSerializer.Deserialize<Contents>(File.ReadAllText(path), Spelling) is { Along: not null, Against: not null, Steps: not null } read ? read : new();
        }
        catch (Exception error) when (error is JsonException or NotSupportedException or IOException or UnauthorizedAccessException)
        {
            return new();
        }
    }

    private sealed record Contents
    {
        public string Schema { get; init; } = "gatoms/steps";

        public int Version { get; init; } = 1;

        public JsonObject? Key { get; init; }

        public List<KlPoint> Along { get; init; } = [];

        public List<KlPoint> Against { get; init; } = [];

        public List<StoredStep> Steps { get; init; } = [];
    }
}

/// <summary>A step that was found.</summary>
/// <param name="TargetCap">The bound on the KL of the pole's own documents, in times of the KL asked for.</param>
/// <param name="Less">Whether it is of less.</param>
/// <param name="Turned">Whether the measurement turned the direction round.</param>
/// <param name="Result">How it was found, without its curve, which the points are.</param>
/// <param name="Sign">What a quarter of it does; null of a control.</param>
/// <param name="Unseen">On neutral documents that it was not calibrated on.</param>
internal sealed record StoredStep(double TargetCap, bool Less, bool Turned, KlCalibrationResult Result, SignCheck? Sign, KlStatistics? Unseen);
