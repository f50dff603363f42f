using GradientAtoms.Coordinates;
using GradientAtoms.Curvature;
using GradientAtoms.Gradients;
using GradientAtoms.Localisation;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Pipeline;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Formats;

/// <summary>
/// The atoms of a run as directions of the weights (see <see cref="LiftedDirections.Natural"/>), read a map and some of them at a
/// time from <c>lifted.safetensors</c>: a tensor <c>[K, out · in]</c> for each map under its name, and <see cref="Weights"/>.
/// </summary>
public sealed class LiftedFile : IDirectionSource, IDisposable
{
    /// <summary>The tensor <c>[K, N]</c>, float64: each atom as a combination of whitened gradients.</summary>
    public const string Weights = "document_weights";

    // Turned back at a time, so that what is turned is in memory in part only.
    private const long TurnedNumbers = 8L << 20;

    private readonly SafetensorsFile _file;

    private LiftedFile(SafetensorsFile file) => _file = file;

    /// <summary>Whether a run has it: not where its atoms are of sketches, nor where it was made before it was kept.</summary>
    public static bool IsThere(RunFolder run)
    {
        ArgumentNullException.ThrowIfNull(run);
        return run.Manifest.Stage(AtomsStage.Name) is { IsDone: true } stage && stage.Outputs.Any(output => output.Path == RunFiles.Lifted);
    }

    /// <summary>Opens that of a run; null where it has none.</summary>
    /// <exception cref="RunFolderException">GA2607: it is missing.</exception>
    /// <exception cref="CheckpointException">It is damaged.</exception>
    public static LiftedFile? Find(RunFolder run) => IsThere(run) ? new(SafetensorsFile.Open(run.Need(RunFiles.Lifted))) : null;

    /// <inheritdoc/>
    /// <exception cref="CheckpointException">GA2305: the file belongs to another adapter.</exception>
    public Tensor Read(TrackedMap map, IReadOnlyList<int> which)
    {
        using var scope = NewDisposeScope();
        return cat([.. which.Select(atom => _file.ReadRows(map.Name, atom, 1))]).view(which.Count, map.OutputSize, map.InputSize).MoveToOuterDisposeScope();
    }

    /// <summary>One direction, whole.</summary>
    /// <param name="layout">The tracked maps.</param>
    /// <param name="atom">Its row.</param>
    /// <returns><c>[d]</c>, in the layout's order. The caller owns it.</returns>
    public Tensor ReadWhole(ParameterLayout layout, int atom)
    {
        using var scope = NewDisposeScope();
        return cat([.. layout.Maps.Select(map => _file.ReadRows(map.Name, atom, 1).flatten())]).MoveToOuterDisposeScope();
    }

    /// <summary>The atoms as combinations of whitened gradients.</summary>
    /// <returns><c>[K, N]</c>, float64. The caller owns it.</returns>
    public Tensor ReadWeights() => _file.ReadRaw(Weights);

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    /// <summary>Begins a file.</summary>
    /// <param name="path">Where.</param>
    /// <param name="layout">The tracked maps.</param>
    /// <param name="weights">As <see cref="Weights"/>.</param>
    internal static SafetensorsStreamWriter Create(string path, ParameterLayout layout, Tensor weights)
    {
        var count = weights.shape[0];
        var writer = SafetensorsStreamWriter.Create(path, [new(Weights, ScalarType.Float64, weights.shape), .. layout.Maps.Select(map => new SafetensorsDeclaration(map.Name, ScalarType.Float32, [count, map.Size]))]);
        writer.Append(Weights, weights);
        return writer;
    }

    /// <summary>Writes a map.</summary>
    /// <param name="writer">The file.</param>
    /// <param name="map">The map.</param>
    /// <param name="bases">The eigenbases.</param>
    /// <param name="whitening">How the rows are evened out.</param>
    /// <param name="white">The atoms in whitened space, <c>[K, d_m]</c>.</param>
    internal static void Append(SafetensorsStreamWriter writer, TrackedMap map, CurvatureBases bases, Whitening whitening, Tensor white)
    {
        var (count, scale) = (white.shape[0], whitening.Scale.narrow(0, map.Offset, map.Size));
        var chunk = Math.Max(1, TurnedNumbers / map.Size);
        for (var first = 0L; first < count; first += chunk)
        {
            using var scope = NewDisposeScope();
            writer.Append(map.Name, bases.RotateBack(map, white.narrow(0, first, Math.Min(chunk, count - first)) * scale));
        }
    }
}
