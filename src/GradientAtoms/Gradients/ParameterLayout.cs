using System.Security.Cryptography;
using System.Text;
using GradientAtoms.Models.Adapters;

namespace GradientAtoms.Gradients;

/// <summary>A linear map whose weight is looked at: a name, a shape, and where its gradient lies in a flat one.</summary>
/// <param name="Name">Unique: <c>model.layers.0.self_attn.q_proj.lora_A</c>.</param>
/// <param name="ModuleName">The module of the network that it belongs to: <c>model.layers.0.self_attn.q_proj</c>.</param>
/// <param name="OutputSize">Rows of its weight.</param>
/// <param name="InputSize">Columns of its weight.</param>
/// <param name="Offset">Of its first entry in a flat gradient; row-major, so entry (o, i) lies at <c>Offset + o·InputSize + i</c>.</param>
/// <param name="InputName">Maps of the same input name read the same inputs, so that their covariance is formed once.</param>
public sealed record TrackedMap(string Name, string ModuleName, int OutputSize, int InputSize, long Offset, string InputName)
{
    /// <summary>Entries of its weight, d_m.</summary>
    public long Size => (long)OutputSize * InputSize;
}

/// <summary>
/// Where each parameter lies in a flat gradient. The order is the adapter's, lora_A before lora_B in each module, as PEFT has it.
/// </summary>
public sealed class ParameterLayout
{
    private readonly Dictionary<string, TrackedMap> _byName;

    /// <summary>Makes a layout.</summary>
    /// <param name="maps">In order; offsets must follow one another.</param>
    public ParameterLayout(IReadOnlyList<TrackedMap> maps)
    {
        var offset = 0L;
        foreach (var map in maps)
        {
            if (map.Offset != offset)
            {
                throw new ArgumentException($"{map.Name} starts at {map.Offset}, expected {offset}", nameof(maps));
            }

            offset += map.Size;
        }

        Maps = maps;
        Size = offset;
        _byName = maps.ToDictionary(map => map.Name, StringComparer.Ordinal);
    }

    /// <summary>The maps, in order.</summary>
    public IReadOnlyList<TrackedMap> Maps { get; }

    /// <summary>Parameters in all, d.</summary>
    public long Size { get; }

    /// <summary>The map of a name.</summary>
    public TrackedMap this[string name] => _byName[name];

    /// <summary>Hash of names, shapes and order: two gradients are of the same parameters exactly where this is equal.</summary>
    public string Hash => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(
        string.Join('\n', Maps.Select(map => $"{map.Name} {map.OutputSize}x{map.InputSize}")))));

    /// <summary>The layout of an adapter's gradients.</summary>
    /// <param name="adapter">The adapter.</param>
    /// <param name="inputName">The name of a module's input (see <see cref="Models.Architectures.LinearModule.InputName"/>).</param>
    public static ParameterLayout Of(LoraAdapter adapter, Func<string, string> inputName)
    {
        var maps = new List<TrackedMap>();
        var offset = 0L;
        foreach (var lora in adapter.Modules)
        {
            var (rank, inputs, outputs) = (lora.Rank, (int)lora.A.shape[1], (int)lora.B.shape[0]);
            maps.Add(new($"{lora.ModuleName}.lora_A", lora.ModuleName, rank, inputs, offset, inputName(lora.ModuleName)));
            offset += (long)rank * inputs;
            maps.Add(new($"{lora.ModuleName}.lora_B", lora.ModuleName, outputs, rank, offset, $"{lora.ModuleName}.lora_B"));
            offset += (long)outputs * rank;
        }

        return new(maps);
    }
}
