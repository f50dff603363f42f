using GradientAtoms.Gradients;
using GradientAtoms.Models.Architectures;

namespace GradientAtoms.Localisation;

/// <summary>Which side of a module's low-rank change a segment is of.</summary>
public enum PlaceSide
{
    /// <summary>Outputs: rows of lora_B.</summary>
    Writes,

    /// <summary>Inputs: columns of lora_A.</summary>
    Reads,
}

/// <summary>A head, or a part of a fused projection, of one module.</summary>
/// <param name="Module">As the checkpoint spells it.</param>
/// <param name="Side">Of which factor.</param>
/// <param name="Segment">Which rows or columns.</param>
public sealed record PlaceSegment(string Module, PlaceSide Side, WeightSegment Segment);

/// <summary>
/// What the rows and columns of an adapter's factors are in the network: q, k and v write to heads (rows of lora_B), an attention's
/// output reads from them (columns of lora_A), and every row of lora_B is a neuron that its module writes to.
/// </summary>
/// <remarks>
/// lora_A of q, k and v and lora_B of the output serve all heads alike: what lies there belongs to no head. It is the rest, and is
/// told as such.
/// </remarks>
public sealed class NetworkPlaces
{
    private readonly Dictionary<string, (LinearModule Module, PlaceSide Side)> _byMap;

    /// <summary>Looks at the factors of an adapter.</summary>
    /// <param name="layout">The adapter's maps, lora_A before lora_B in each module.</param>
    /// <param name="modules">The model's (<see cref="CausalLanguageModel.LinearModules"/>).</param>
    /// <exception cref="ArgumentException">The layout is no adapter's of these modules.</exception>
    public NetworkPlaces(ParameterLayout layout, IReadOnlyList<LinearModule> modules)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var byName = modules.ToDictionary(module => module.Name, StringComparer.Ordinal);
        _byMap = layout.Maps.Select((map, index) => (map, index)).ToDictionary(
            pair => pair.map.Name,
            pair => (byName.GetValueOrDefault(pair.map.ModuleName) ?? throw new ArgumentException($"{pair.map.ModuleName} is no module of the model", nameof(layout)), pair.index % 2 == 0 ? PlaceSide.Reads : PlaceSide.Writes),
            StringComparer.Ordinal);
        foreach (var map in layout.Maps)
        {
            var (module, side) = _byMap[map.Name];
            if ((side == PlaceSide.Writes ? map.OutputSize != module.OutputSize : map.InputSize != module.InputSize) || SegmentsOf(map).Any(segment => segment.First + segment.Count > (side == PlaceSide.Writes ? map.OutputSize : map.InputSize)))
            {
                throw new ArgumentException($"{map.Name} is no factor of {module.Name}", nameof(layout));
            }
        }

        Layout = layout;
        Segments = [.. layout.Maps.SelectMany(map => SegmentsOf(map).Select(segment => new PlaceSegment(map.ModuleName, SideOf(map), segment)))];
    }

    /// <summary>The maps.</summary>
    public ParameterLayout Layout { get; }

    /// <summary>Every head and part of every module, map by map.</summary>
    public IReadOnlyList<PlaceSegment> Segments { get; }

    /// <summary>Which side of its module a map is.</summary>
    public PlaceSide SideOf(TrackedMap map) => _byMap[map.Name].Side;

    /// <summary>The heads or parts among a map's rows (where it writes) or columns (where it reads); may be empty.</summary>
    public IReadOnlyList<WeightSegment> SegmentsOf(TrackedMap map)
    {
        var (module, side) = _byMap[map.Name];
        return side == PlaceSide.Writes ? module.OutputSegments : module.InputSegments;
    }
}
