using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>Hands a model its weights as its constructor asks for them, and keeps them all: the constructor is the list of the weights.</summary>
/// <param name="source">Gives a weight by its checkpoint name as a float32 tensor of the stated shape, which the model then owns.</param>
internal sealed class WeightSet(Func<string, long[], Tensor> source)
{
    private readonly List<LinearModule> _linears = [];
    private readonly Dictionary<string, Tensor> _all = new(StringComparer.Ordinal);

    /// <summary>Every linear module, in the order in which they were asked for.</summary>
    public IReadOnlyList<LinearModule> Linears => _linears;

    /// <summary>Every weight, once.</summary>
    public IReadOnlyCollection<Tensor> All => _all.Values;

    /// <summary>A weight by its checkpoint name, as it is stored; or null.</summary>
    public Tensor? Find(string name) => _all.GetValueOrDefault(name);

    /// <summary>A weight.</summary>
    public Tensor Weight(string name, params long[] shape)
    {
        var weight = source(name, shape).DetachFromDisposeScope();
        _all.Add(name, weight);
        return weight;
    }

    /// <summary>A linear module whose weight is stored <c>[out, in]</c>.</summary>
    public LinearModule Linear(
        string name, string inputName, long outputs, long inputs, bool bias, IReadOnlyList<WeightSegment>? segments = null, IReadOnlyList<WeightSegment>? inputSegments = null) =>
        Keep(new(name, Weight($"{name}.weight", outputs, inputs), bias ? Weight($"{name}.bias", outputs) : null)
        {
            InputName = inputName,
            OutputSegments = segments ?? [],
            InputSegments = inputSegments ?? [],
        });

    /// <summary>A linear module with a bias whose weight is stored <c>[in, out]</c>, as GPT-2's Conv1D.</summary>
    public LinearModule Conv1D(string name, string inputName, long outputs, long inputs, IReadOnlyList<WeightSegment>? segments = null, IReadOnlyList<WeightSegment>? inputSegments = null)
    {
        var stored = Weight($"{name}.weight", inputs, outputs);
        return Keep(new(name, stored.t().DetachFromDisposeScope(), Weight($"{name}.bias", outputs))
        {
            InputName = inputName,
            IsStoredTransposed = true,
            OutputSegments = segments ?? [],
            InputSegments = inputSegments ?? [],
        });
    }

    /// <summary>A norm without a bias.</summary>
    public RmsNorm RmsNorm(string name, long size, double epsilon, int offset = 0) => new(Weight($"{name}.weight", size), epsilon, offset);

    /// <summary>A norm with a bias.</summary>
    public LayerNorm LayerNorm(string name, long size, double epsilon) => new(Weight($"{name}.weight", size), Weight($"{name}.bias", size), epsilon);

    /// <summary>Frees all of them.</summary>
    public void Dispose()
    {
        foreach (var linear in _linears.Where(linear => linear.IsStoredTransposed))
        {
            linear.Weight.Dispose();
        }

        foreach (var weight in _all.Values)
        {
            weight.Dispose();
        }
    }

    private LinearModule Keep(LinearModule linear)
    {
        _linears.Add(linear);
        return linear;
    }
}
