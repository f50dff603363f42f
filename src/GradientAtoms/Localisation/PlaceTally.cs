using GradientAtoms.Curvature;
using GradientAtoms.Gradients;
using static TorchSharp.torch;

namespace GradientAtoms.Localisation;

/// <summary>A row of lora_B: one output of a module, a neuron that is written to.</summary>
/// <param name="Module">As the checkpoint spells it.</param>
/// <param name="Part">Of a fused projection or an attention: <c>q</c>, <c>up</c>; null where the module is one thing.</param>
/// <param name="Row">Counted from the part's (or head's) own first row where there is one, else from the module's.</param>
/// <param name="Value">Of what is split: an energy or a product.</param>
public sealed record NeuronValue(string Module, string? Part, int Row, double Value)
{
    /// <summary>The head that it belongs to, or null.</summary>
    public int? Head { get; init; }
}

/// <summary>How a number splits over the network.</summary>
/// <param name="Maps"><c>[maps]</c>, in the layout's order; they add up to the whole.</param>
/// <param name="Segments"><c>[segments]</c>, as <see cref="NetworkPlaces.Segments"/>.</param>
/// <param name="Neurons">Those of the largest size, the largest first.</param>
public sealed record PlaceSplit(IReadOnlyList<double> Maps, IReadOnlyList<double> Segments, IReadOnlyList<NeuronValue> Neurons)
{
    /// <summary>The whole.</summary>
    public double Total => Maps.Sum();

    /// <summary>The same as shares of the whole; all zero where it is zero.</summary>
    public PlaceSplit Shares()
    {
        var total = Total;
        double Share(double value) => total == 0 ? 0 : value / total;
        return new([.. Maps.Select(Share)], [.. Segments.Select(Share)], [.. Neurons.Select(neuron => neuron with { Value = Share(neuron.Value) })]);
    }
}

/// <summary>
/// Splits K numbers over the network as the maps come by: the energy of lifted directions, or the products of gradients with one.
/// Both are sums over the entries of each map, so they split exactly over its rows or columns.
/// </summary>
/// <param name="places">The network.</param>
/// <param name="count">Numbers to split, K.</param>
/// <param name="neurons">Rows that are kept of each, those of the largest size.</param>
public sealed class PlaceTally(NetworkPlaces places, int count, int neurons = 20)
{
    private readonly List<double[]> _maps = [];
    private readonly List<double[]> _segments = [];
    private readonly List<(TrackedMap Map, int Row, double Value)>[] _neurons = [.. Enumerable.Range(0, count).Select(_ => new List<(TrackedMap, int, double)>())];

    /// <summary>
    /// Takes the energy of whitened directions in the eigenbases, one map: Q_S R Q_Aᵀ has the row norms of Q_S R and the column norms
    /// of R Q_Aᵀ, so only the side that is split is turned back, and the map's energy stays what it is in whitened space.
    /// </summary>
    /// <param name="map">The next of the layout.</param>
    /// <param name="bases">The eigenbases.</param>
    /// <param name="rotated"><c>[K, d_m]</c>, whitened.</param>
    public void AddEnergy(TrackedMap map, CurvatureBases bases, Tensor rotated)
    {
        using var scope = NewDisposeScope();
        var total = rotated.square().sum(1, type: ScalarType.Float64); // [K]
        var entries = rotated.view(count, map.OutputSize, map.InputSize);
        if (places.SideOf(map) == PlaceSide.Writes)
        {
            var turned = bases.Output(map).Vectors.matmul(entries.permute(1, 0, 2).reshape(map.OutputSize, -1)); // [out, K · in]
            Add(map, total, turned.square().view(map.OutputSize, count, map.InputSize).sum(2, type: ScalarType.Float64).t());
        }
        else if (places.SegmentsOf(map).Count > 0)
        {
            var turned = entries.reshape(-1, map.InputSize).matmul(bases.Input(map).Vectors.t()); // [K · out, in]
            Add(map, total, turned.square().view(count, map.OutputSize, map.InputSize).sum(1, type: ScalarType.Float64));
        }
        else
        {
            Add(map, total, null);
        }
    }

    /// <summary>Takes products of gradients with directions entry by entry, one map, not rotated.</summary>
    /// <param name="map">The next of the layout.</param>
    /// <param name="products"><c>[K, out, in]</c>: G ∘ V.</param>
    public void AddProducts(TrackedMap map, Tensor products)
    {
        using var scope = NewDisposeScope();
        var lines = products.sum(places.SideOf(map) == PlaceSide.Writes ? 2 : 1, type: ScalarType.Float64); // [K, out] or [K, in]
        Add(map, lines.sum(1), lines);
    }

    /// <summary>The splits, when every map has come by.</summary>
    /// <returns><c>[K]</c>.</returns>
    public IReadOnlyList<PlaceSplit> Splits() =>
        [.. Enumerable.Range(0, count).Select(row => new PlaceSplit(
            [.. _maps.Select(map => map[row])],
            [.. _segments.Select(segment => segment[row])],
            [.. Best(_neurons[row]).Select(neuron => NeuronOf(neuron.Map, neuron.Row, neuron.Value))]))];

    // What each row or column has of the map, where it is split: [K, lines].
    private void Add(TrackedMap map, Tensor total, Tensor? lines)
    {
        if (_maps.Count >= places.Layout.Maps.Count || places.Layout.Maps[_maps.Count] != map)
        {
            throw new ArgumentException($"{map.Name} is not the next map", nameof(map));
        }

        _maps.Add(total.data<double>().ToArray());
        if (lines is null)
        {
            return;
        }

        foreach (var segment in places.SegmentsOf(map))
        {
            _segments.Add(lines.narrow(1, segment.First, segment.Count).sum(1).data<double>().ToArray());
        }

        if (places.SideOf(map) != PlaceSide.Writes)
        {
            return;
        }

        var kept = Math.Min(neurons, map.OutputSize);
        var (_, indices) = lines.abs().topk(kept, dim: 1);
        var (found, values) = (indices.data<long>().ToArray(), lines.gather(1, indices).data<double>().ToArray());
        for (var row = 0; row < count; row++)
        {
            _neurons[row].AddRange(Enumerable.Range(row * kept, kept).Select(place => (map, (int)found[place], values[place])));
            _neurons[row] = Best(_neurons[row]);
        }
    }

    private List<(TrackedMap Map, int Row, double Value)> Best(List<(TrackedMap Map, int Row, double Value)> all) =>
        [.. all.OrderByDescending(neuron => Math.Abs(neuron.Value)).ThenBy(neuron => neuron.Map.Offset).ThenBy(neuron => neuron.Row).Take(neurons)];

    private NeuronValue NeuronOf(TrackedMap map, int row, double value) =>
        places.SegmentsOf(map).FirstOrDefault(segment => row >= segment.First && row < segment.First + segment.Count) is { } own
            ? new(map.ModuleName, own.Part, row - own.First, value) { Head = own.Head }
            : new(map.ModuleName, null, row, value);
}
