using GradientAtoms.Gradients;
using static TorchSharp.torch;

namespace GradientAtoms.Curvature;

/// <summary>
/// Sums of x xᵀ over tokens, for the inputs and for the output gradients of every tracked map, added up in float64. Every token
/// that is no padding counts, prompt tokens too. Maps that read the same input share one sum. A sink of the gradient pass.
/// </summary>
public sealed class CovarianceSums : IGradientSink, IDisposable
{
    private readonly SortedDictionary<string, Tensor> _sums = new(StringComparer.Ordinal);

    /// <summary>Starts from nothing.</summary>
    public CovarianceSums(ParameterLayout layout)
        : this(layout, new Dictionary<string, Tensor>(StringComparer.Ordinal), tokenCount: 0)
    {
    }

    /// <summary>Goes on from sums that were kept. Takes over the tensors.</summary>
    /// <param name="layout">The tracked maps.</param>
    /// <param name="sums">As <see cref="Sums"/> gave them; empty to start.</param>
    /// <param name="tokenCount">Tokens in the sums.</param>
    public CovarianceSums(ParameterLayout layout, IReadOnlyDictionary<string, Tensor> sums, long tokenCount)
    {
        TokenCount = tokenCount;
        foreach (var (name, size) in Sizes(layout))
        {
            var sum = sums.GetValueOrDefault(name) ?? zeros([size, size], dtype: ScalarType.Float64);
            if (sum.shape[0] != size || sum.shape[1] != size)
            {
                throw new ArgumentException($"{name} is {string.Join('x', sum.shape)}, expected {size}x{size}", nameof(sums));
            }

            _sums[name] = sum.DetachFromDisposeScope();
        }
    }

    /// <summary>Tokens that the sums are over.</summary>
    public long TokenCount { get; private set; }

    /// <summary>The sums by name, <c>[n, n]</c>, float64; they stay this object's.</summary>
    public IReadOnlyDictionary<string, Tensor> Sums => _sums;

    /// <summary>The name of a map's input sum.</summary>
    public static string InputSum(TrackedMap map) => $"input/{map.InputName}";

    /// <summary>The name of a map's output-gradient sum.</summary>
    public static string OutputSum(TrackedMap map) => $"output/{map.Name}";

    /// <inheritdoc/>
    public void Accept(GradientBatch batch)
    {
        using var scope = NewDisposeScope();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var map in batch.Maps)
        {
            if (seen.Add(InputSum(map.Map)))
            {
                Add(InputSum(map.Map), map.AttendedInputs());
            }

            Add(OutputSum(map.Map), map.AttendedOutputGradients());
        }

        TokenCount += batch.Maps[0].Attended.numel();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var sum in _sums.Values)
        {
            sum.Dispose();
        }
    }

    private static Dictionary<string, long> Sizes(ParameterLayout layout)
    {
        var sizes = new Dictionary<string, long>(StringComparer.Ordinal);
        foreach (var map in layout.Maps)
        {
            sizes[InputSum(map)] = map.InputSize;
            sizes[OutputSum(map)] = map.OutputSize;
        }

        return sizes;
    }

    private void Add(string name, Tensor tokens)
    {
        using var scope = NewDisposeScope();
        _sums[name].add_(tokens.t().matmul(tokens).cpu().to(ScalarType.Float64)); // [n, n]
    }
}
