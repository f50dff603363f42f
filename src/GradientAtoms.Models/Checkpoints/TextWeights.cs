using System.Text.RegularExpressions;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Checkpoints;

/// <summary>
/// The weights of the text model in a checkpoint, under the names that transformers' text model has: without the prefix of a
/// multimodal checkpoint, with the prefix that old files leave out, and without buffers that are no weights. Owns the checkpoint.
/// </summary>
internal sealed partial class TextWeights : Checkpoint
{
    private readonly Checkpoint _whole;
    private readonly Dictionary<string, string> _storedNames = new(StringComparer.Ordinal);

    /// <summary>Renames.</summary>
    /// <param name="whole">The checkpoint.</param>
    /// <param name="blueprint">The model.</param>
    /// <exception cref="CheckpointException">GA2330: no weight of a multimodal checkpoint is the text model's.</exception>
    public TextWeights(Checkpoint whole, ModelBlueprint blueprint)
    {
        _whole = whole;
        var others = new SortedSet<string>(StringComparer.Ordinal);
        var isWithoutPrefix = blueprint.Architecture == "gpt2" && !whole.Names.Any(name => name.StartsWith("transformer.", StringComparison.Ordinal));
        foreach (var stored in whole.Names.Where(name => !Buffer().IsMatch(name)))
        {
            var name = blueprint.IsPart ? OfPart(stored) : isWithoutPrefix && stored != blueprint.Head ? $"transformer.{stored}" : stored;
            if (name is null)
            {
                others.Add(stored.StartsWith("model.", StringComparison.Ordinal) ? string.Join('.', stored.Split('.').Take(2)) : stored.Split('.')[0]);
            }
            else if (!_storedNames.TryAdd(name, stored))
            {
                throw new CheckpointException("GA2330", whole.Files[0], $"holds {name} twice, also as {stored}", "The model is damaged: fetch it again.");
            }
        }

        if (blueprint.IsPart && _storedNames.Count == 0)
        {
            throw new CheckpointException(
                "GA2330", whole.Files[0], $"holds no text model under language_model. or model.language_model., only {string.Join(", ", others)}", "This model cannot be audited yet.");
        }

        OtherParts = [.. others];
        Names = [.. _storedNames.Keys];
    }

    /// <summary>What else a multimodal checkpoint holds: <c>vision_tower</c>.</summary>
    public IReadOnlyList<string> OtherParts { get; }

    public override string Format => _whole.Format;

    public override IReadOnlyList<string> Files => _whole.Files;

    public override IReadOnlyList<string> Names { get; }

    public override string Fingerprint => _whole.Fingerprint;

    public override bool Contains(string name) => _storedNames.ContainsKey(name);

    public override IReadOnlyList<long> Shape(string name) => _whole.Shape(StoredName(name));

    public override string StoredType(string name) => _whole.StoredType(StoredName(name));

    public override Tensor Read(string name) => _whole.Read(StoredName(name));

    /// <summary>What the checkpoint calls a weight.</summary>
    public string StoredName(string name) => _storedNames.GetValueOrDefault(name, name);

    protected override void Dispose(bool disposing) => _whole.Dispose();

    private static string? OfPart(string stored)
    {
        const string outside = "language_model.", inside = "model.language_model.";
        return stored.StartsWith(inside, StringComparison.Ordinal) ? $"model.{stored[inside.Length..]}"
            : stored.StartsWith(outside, StringComparison.Ordinal) ? stored[outside.Length..]
            : stored == "lm_head.weight" ? stored
            : null;
    }

    // Rotary frequencies and causal masks that older versions of transformers saved with the weights.
    [GeneratedRegex(@"(rotary_emb\.inv_freq|\.attn\.(masked_)?bias|\.attention\.(masked_)?bias)$", RegexOptions.ExplicitCapture | RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Buffer();
}
