using static TorchSharp.torch;

namespace GradientAtoms.Models.Checkpoints;

/// <summary>
/// A GGUF file under Hugging Face's names. llama.cpp's conversion changes some weights; reading undoes it:
/// llama's rows of q and k are put back from pairs side by side (2i, 2i + 1) to pairs (i, i + size / 2); gemma's norms lose the 1
/// that was added; gpt2's matrices are transposed; gpt-neox' queries, keys and values are interleaved by head again.
/// </summary>
internal sealed class GgufCheckpoint : Checkpoint
{
    private readonly Dictionary<string, string> _ggufNames;
    private readonly string _architecture;

    public GgufCheckpoint(GgufFile file)
    {
        File = file;
        _architecture = file.String("general.architecture") ?? "";
        _ggufNames = file.Tensors.Where(tensor => tensor.Name != GgufNames.RopeFactors)
            .ToDictionary(tensor => GgufNames.HuggingFaceName(_architecture, tensor.Name), tensor => tensor.Name, StringComparer.Ordinal);
        Names = [.. _ggufNames.Keys];
        Files = [Path.GetFullPath(file.Path)];
        Fingerprint = Hash([$"{file.Length} {file.HeaderSha256()}"]);
    }

    /// <summary>The file, for its metadata.</summary>
    public GgufFile File { get; }

    public override string Format => "GGUF";

    public override IReadOnlyList<string> Files { get; }

    public override IReadOnlyList<string> Names { get; }

    public override string Fingerprint { get; }

    public override bool Contains(string name) => _ggufNames.ContainsKey(name);

    public override IReadOnlyList<long> Shape(string name)
    {
        var shape = File.Tensor(GgufName(name)).Shape;
        return IsTransposed(name, shape.Count) ? [shape[1], shape[0]] : shape;
    }

    public override string StoredType(string name) => File.Tensor(GgufName(name)).Type;

    public override Tensor Read(string name)
    {
        using var scope = NewDisposeScope();
        var tensor = File.Read(GgufName(name));
        tensor = _architecture switch
        {
            "llama" when name.Contains(".q_proj.", StringComparison.Ordinal) => InHalves(name, tensor, Heads("head_count")),
            "llama" when name.Contains(".k_proj.", StringComparison.Ordinal) => InHalves(name, tensor, Heads("head_count_kv")),
            "gemma2" or "gemma3" when name.EndsWith("norm.weight", StringComparison.Ordinal) => tensor - 1,
            "gptneox" when name.Contains(".query_key_value.", StringComparison.Ordinal) => InterleavedByHead(name, tensor, Heads("head_count")),
            _ when IsTransposed(name, (int)tensor.Dimensions) => tensor.t().contiguous(),
            _ => tensor,
        };
        return tensor.DetachFromDisposeScope();
    }

    protected override void Dispose(bool disposing) => File.Dispose();

    private bool IsTransposed(string name, int dimensions) => _architecture == "gpt2" && dimensions == 2 && name.Contains(".h.", StringComparison.Ordinal);

    private long Heads(string key) => File.Integer($"{_architecture}.attention.{key}") ?? File.Integer($"{_architecture}.attention.head_count") ?? 0;

    private Tensor InHalves(string name, Tensor tensor, long heads)
    {
        var rows = tensor.shape[0];
        return heads >= 1 && rows % (2 * heads) == 0
            ? tensor.view(heads, rows / heads / 2, 2, -1).transpose(1, 2).reshape(tensor.shape)
            : throw NotDivided(name, rows, heads);
    }

    private Tensor InterleavedByHead(string name, Tensor tensor, long heads)
    {
        var rows = tensor.shape[0];
        return heads >= 1 && rows % (3 * heads) == 0
            ? tensor.view(3, heads, rows / heads / 3, -1).transpose(0, 1).reshape(tensor.shape)
            : throw NotDivided(name, rows, heads);
    }

    private CheckpointException NotDivided(string name, long rows, long heads) =>
        new("GA2331", File.Path, $"{name} has {rows} rows, which {heads} heads do not divide", "The file is damaged or of another architecture: convert it again.");

    private string GgufName(string name) => _ggufNames.TryGetValue(name, out var ggufName)
        ? ggufName
        : throw new CheckpointException("GA2305", File.Path, $"has no tensor {name}", "The file is of another architecture, or incomplete: fetch it again.");
}
