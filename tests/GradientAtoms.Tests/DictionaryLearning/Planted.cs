using System.Text.Json;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.DictionaryLearning;

/// <summary>Sparse problems with known answers: one of our own making, and that of the fixtures.</summary>
internal static class Planted
{
    /// <summary>Unit rows, each a few of the planted unit atoms with signed weights and noise.</summary>
    public static (Tensor Rows, Tensor Atoms) Problem(int documents = 300, int size = 40, int atoms = 20, int active = 2, double noise = 0.05, long seed = 1)
    {
        using var scope = NewDisposeScope();
        var generator = new Generator((ulong)seed);
        var dictionary = nn.functional.normalize(randn([atoms, size], generator: generator), dim: 1);
        var mask = zeros([documents, atoms]);
        var order = rand([documents, atoms], generator: generator).argsort(1).narrow(1, 0, active);
        mask.scatter_(1, order, ones([documents, active]));
        var weights = (rand([documents, atoms], generator: generator) + 0.5) * rand([documents, atoms], generator: generator).sub(0.5).sign();
        var rows = (mask * weights).matmul(dictionary);
        rows += noise * rows.norm(1, keepdim: true) / Math.Sqrt(size) * randn(rows.shape, generator: generator);
        return (nn.functional.normalize(rows, dim: 1).MoveToOuterDisposeScope(), dictionary.MoveToOuterDisposeScope());
    }

    /// <summary>Share of planted atoms with |cos| of .9 or more to a learnt one.</summary>
    public static double Recovery(Tensor planted, Tensor learnt)
    {
        using var scope = NewDisposeScope();
        var cosines = nn.functional.normalize(planted.to(ScalarType.Float32), dim: 1).matmul(nn.functional.normalize(learnt, dim: 1).t()).abs();
        return cosines.amax(1).ge(0.9).to(ScalarType.Float64).mean().item<double>();
    }

    /// <summary>A tensor of a safetensors file.</summary>
    public static Tensor Read(string path, string name)
    {
        var bytes = File.ReadAllBytes(path);
        var headerSize = (int)BitConverter.ToUInt64(bytes);
        using var header = JsonDocument.Parse(bytes.AsMemory(8, headerSize));
        var entry = header.RootElement.GetProperty(name);
        var shape = entry.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64()).ToArray();
        var offsets = entry.GetProperty("data_offsets").EnumerateArray().Select(offset => offset.GetInt32()).ToArray();
        var result = zeros(shape, entry.GetProperty("dtype").GetString() == "F64" ? ScalarType.Float64 : ScalarType.Float32);
        bytes.AsSpan(8 + headerSize + offsets[0], offsets[1] - offsets[0]).CopyTo(result.bytes);
        return result;
    }
}
