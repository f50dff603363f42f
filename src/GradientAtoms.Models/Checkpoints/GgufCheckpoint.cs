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
        _ggufNames = file.Tensors.Where(tensor => !GgufNames.IsFactors(tensor.Name))
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
            "llama" when name.Contains(".q_proj.", StringComparison.Ordinal) => GgufRows.InHalves(tensor, Dividing(name, tensor, "head_count", parts: 2)),
            "llama" when name.Contains(".k_proj.", StringComparison.Ordinal) => GgufRows.InHalves(tensor, Dividing(name, tensor, "head_count_kv", parts: 2)),
            "gemma2" or "gemma3" when name.EndsWith("norm.weight", StringComparison.Ordinal) => tensor - 1,
            "gptneox" when name.Contains(".query_key_value.", StringComparison.Ordinal) => GgufRows.InterleavedByHead(tensor, Dividing(name, tensor, "head_count", parts: 3)),
            _ when IsTransposed(name, (int)tensor.Dimensions) => tensor.t().contiguous(),
            _ => tensor,
        };
        return tensor.DetachFromDisposeScope();
    }

    protected override void Dispose(bool disposing) => File.Dispose();

    private bool IsTransposed(string name, int dimensions) => _architecture == "gpt2" && dimensions == 2 && name.Contains(".h.", StringComparison.Ordinal);

    private long Heads(string key) => File.Integer($"{_architecture}.attention.{key}") ?? File.Integer($"{_architecture}.attention.head_count") ?? 0;

    private long Dividing(string name, Tensor tensor, string key, int parts)
    {
        var (rows, heads) = (tensor.shape[0], Heads(key));
        return heads >= 1 && rows % (parts * heads) == 0
            ? heads
            : throw new CheckpointException(
                "GA2331", File.Path, $"{name} has {rows} rows, which {heads} heads do not divide", "The file is damaged or of another architecture: convert it again.");
    }

    private string GgufName(string name) => _ggufNames.TryGetValue(name, out var ggufName)
        ? ggufName
        : throw new CheckpointException("GA2305", File.Path, $"has no tensor {name}", "The file is of another architecture, or incomplete: fetch it again.");
}
