using System.Globalization;

namespace GradientAtoms.Runs.Reports;

/// <summary>A module's place in the network, read off its name: <c>model.layers.3.self_attn.q_proj</c> is layer 3, <c>q_proj</c>.</summary>
/// <param name="Layer">From 0; null outside of the layers.</param>
/// <param name="Kind">The last part of the name that is no factor's.</param>
internal sealed record ModuleName(int? Layer, string Kind)
{
    public static ModuleName Parse(string name)
    {
        var parts = name.Split('.').Where(part => part is not ("lora_A" or "lora_B" or "weight" or "default")).ToArray();
        int? layer = null;
        foreach (var part in parts)
        {
            if (int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out var number))
            {
                layer = number;
                break;
            }
        }

        return new(layer, parts.Length == 0 ? name : parts[^1]);
    }
}
