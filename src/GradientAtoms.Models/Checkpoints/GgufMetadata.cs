namespace GradientAtoms.Models.Checkpoints;

/// <summary>A GGUF file's metadata of its architecture, with typed, checked look-ups: <c>block_count</c> is <c>llama.block_count</c>.</summary>
/// <param name="File">The file.</param>
/// <param name="Architecture">Its architecture.</param>
internal sealed record GgufMetadata(GgufFile File, string Architecture)
{
    /// <summary>Whether the first block's queries have a bias.</summary>
    public bool HasAttentionBias => File.Contains("blk.0.attn_q.bias");

    /// <summary>A positive size, or null.</summary>
    /// <exception cref="CheckpointException">GA2311, GA2321: it is none.</exception>
    public int? Size(string key) => File.Integer($"{Architecture}.{key}") switch
    {
        null => null,
        > 0 and <= int.MaxValue and var size => (int)size,
        var other => throw new CheckpointException("GA2321", File.Path, $"metadata {Architecture}.{key} is {other}", "The file is damaged: fetch it again."),
    };

    /// <summary>A positive size.</summary>
    public int Required(string key) => Size(key) ?? throw Missing(key);

    /// <summary>A number, or null.</summary>
    public double? Number(string key) => File.Number($"{Architecture}.{key}") switch
    {
        null => null,
        { } value when double.IsFinite(value) => value,
        var other => throw new CheckpointException("GA2321", File.Path, $"metadata {Architecture}.{key} is {other}", "The file is damaged: fetch it again."),
    };

    /// <summary>A string, or null.</summary>
    public string? String(string key) => File.String($"{Architecture}.{key}");

    /// <summary>A boolean, or null.</summary>
    public bool? Boolean(string key) => File.Boolean($"{Architecture}.{key}");

    public CheckpointException Missing(string key) => new("GA2321", File.Path, $"lacks metadata {Architecture}.{key}", "The file is incomplete: convert the model again.");

    public CheckpointException Unsupported(string problem) => new("GA2323", File.Path, problem, "This model cannot be audited yet.");
}
