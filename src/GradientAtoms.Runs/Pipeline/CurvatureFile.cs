using GradientAtoms.Curvature;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>
/// <c>curvature.safetensors</c>: for every covariance <c>NAME/vectors</c> [n, n] (columns) and <c>NAME/values</c> [n], the
/// measured eigenvalues of each map, <c>MAP/ekfac</c> [out, in] float64, and the number of tokens. Where the rows were whitened
/// with a sample's eigenvalues, <c>MAP/ekfac_sample</c> are those.
/// </summary>
internal static class CurvatureFile
{
    public static void Write(string path, CurvatureBases bases, Tensor eigenvalues, long tokens, Tensor? sampleEigenvalues = null)
    {
        using var scope = NewDisposeScope();
        var tensors = new List<(string, Tensor)>();
        foreach (var (name, basis) in bases.Bases)
        {
            tensors.Add(($"{name}/vectors", basis.Vectors));
            tensors.Add(($"{name}/values", basis.Values));
        }

        void Add(string name, Tensor values) => tensors.AddRange(bases.Layout.Maps.Select(map => ($"{map.Name}/{name}", values.narrow(0, map.Offset, map.Size).view(map.OutputSize, map.InputSize).contiguous())));
        Add("ekfac", eigenvalues);
        if (sampleEigenvalues is not null)
        {
            Add("ekfac_sample", sampleEigenvalues);
        }

        tensors.Add(("tokens", tensor(new[] { tokens }, dtype: ScalarType.Int64)));
        SafetensorsWriter.Write(path, tensors, new Dictionary<string, string>(StringComparer.Ordinal) { ["layout"] = bases.Layout.Hash });
    }

    /// <summary>Reads everything. The caller owns it.</summary>
    public static MeasuredCurvature Read(string path, ParameterLayout layout)
    {
        using var file = Open(path, layout);
        using var tokens = file.ReadRaw("tokens");
        return new(ReadBases(path, layout), ReadEigenvalues(path, layout), tokens[0].item<long>());
    }

    /// <summary>Reads the measured eigenvalues.</summary>
    /// <param name="path">The file.</param>
    /// <param name="layout">The tracked maps.</param>
    /// <param name="ofSample">Those of the sample instead of those of all documents.</param>
    /// <returns><c>[d]</c>, float64. The caller owns it.</returns>
    public static Tensor ReadEigenvalues(string path, ParameterLayout layout, bool ofSample = false)
    {
        using var scope = NewDisposeScope();
        using var file = Open(path, layout);
        return cat([.. layout.Maps.Select(map => file.ReadRaw($"{map.Name}/{(ofSample ? "ekfac_sample" : "ekfac")}").flatten())]).MoveToOuterDisposeScope();
    }

    /// <summary>Reads the eigenbases. The caller owns them.</summary>
    public static CurvatureBases ReadBases(string path, ParameterLayout layout)
    {
        using var scope = NewDisposeScope();
        using var file = Open(path, layout);
        var bases = new SortedDictionary<string, EigenBasis>(StringComparer.Ordinal);
        foreach (var name in layout.Maps.SelectMany(map => (string[])[CovarianceSums.InputSum(map), CovarianceSums.OutputSum(map)]).Distinct(StringComparer.Ordinal))
        {
            bases[name] = new(file.ReadRaw($"{name}/vectors").DetachFromDisposeScope(), file.ReadRaw($"{name}/values").DetachFromDisposeScope());
        }

        return new(layout, bases);
    }

    private static SafetensorsFile Open(string path, ParameterLayout layout)
    {
        var file = SafetensorsFile.Open(path);
        if (file.Metadata.GetValueOrDefault("layout") == layout.Hash)
        {
            return file;
        }

        file.Dispose();
        throw new RunFolderException("GA2611", path, "is of other parameters than the run's adapter", "Run the same `gatoms audit` again, or restore the adapter folder.");
    }
}
