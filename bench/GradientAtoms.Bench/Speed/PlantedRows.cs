using static TorchSharp.torch;

namespace GradientAtoms.Bench.Speed;

/// <summary>Rows of known atoms.</summary>
internal static class PlantedRows
{
    private const int AtomsOfRow = 3;
    private const double Noise = 0.1;

    /// <summary>Unit rows, each a few of unit atoms with signed weights of .5 to 1.5, and noise of a tenth: the problem of the recorded fixture at any size.</summary>
    public static (Tensor Rows, Tensor Atoms) Draw(int documents, int size, int count, int seed)
    {
        using var scope = NewDisposeScope();
        using var generator = RandomStream.Torch(seed, "bench/dictionary");
        var atoms = nn.functional.normalize(randn([count, size], generator: generator), dim: 1);
        var codes = zeros([documents, count]);
        var which = rand([documents, count], generator: generator).topk(AtomsOfRow, dim: 1).indexes;
        var weights = (rand([documents, AtomsOfRow], generator: generator) + 0.5) * (rand([documents, AtomsOfRow], generator: generator) - 0.5).sign();
        codes.scatter_(1, which, weights);
        var rows = codes.matmul(atoms);
        var noise = nn.functional.normalize(randn([documents, size], generator: generator), dim: 1) * rows.norm(1, keepdim: true) * Noise;
        return (nn.functional.normalize(rows + noise, dim: 1).MoveToOuterDisposeScope(), atoms.MoveToOuterDisposeScope());
    }
}
