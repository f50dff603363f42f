using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>Rotary positions in Hugging Face's layout: the pair of coordinate i is i + size / 2.</summary>
internal static class RotaryEmbedding
{
    /// <summary>The frequencies θ^(−2i / size), scaled where the configuration says so.</summary>
    /// <returns><c>[size / 2]</c>, float64. The caller owns it.</returns>
    public static Tensor InverseFrequencies(int headSize, double theta, RopeScaling? scaling)
    {
        var frequencies = new double[headSize / 2];
        for (var i = 0; i < frequencies.Length; i++)
        {
            var frequency = 1 / Math.Pow(theta, 2.0 * i / headSize);
            frequencies[i] = scaling switch
            {
                null => frequency,
                { Kind: "linear" } => frequency / scaling.Factor,
                { Kind: "llama3" } => Llama3(frequency, scaling),
                { Kind: "divisors", Divisors: { } divisors } => frequency / divisors[i],
                _ => throw new NotSupportedException($"rope scaling {scaling.Kind}"),
            };
        }

        return tensor(frequencies, dtype: ScalarType.Float64);
    }

    /// <summary>Cosines and sines of the angles of some positions.</summary>
    /// <returns>Each <c>[T, size]</c>, float32.</returns>
    public static (Tensor Cosines, Tensor Sines) Angles(Tensor inverseFrequencies, int start, int count)
    {
        // Hugging Face forms the angles in float32; so do we, to stay within its rounding at long positions.
        var positions = arange(start, start + count, dtype: ScalarType.Float32, device: inverseFrequencies.device);
        var angles = outer(positions, inverseFrequencies.to(ScalarType.Float32)); // [T, size / 2]
        var both = cat([angles, angles], dim: -1); // [T, size]
        return (both.cos(), both.sin());
    }

    /// <summary>Turns queries or keys by their positions.</summary>
    /// <param name="heads"><c>[B, heads, T, size]</c>.</param>
    /// <param name="cosines"><c>[T, size]</c>.</param>
    /// <param name="sines"><c>[T, size]</c>.</param>
    /// <returns><c>[B, heads, T, size]</c>.</returns>
    public static Tensor Rotate(Tensor heads, Tensor cosines, Tensor sines)
    {
        var halves = heads.chunk(2, dim: -1);
        var turned = cat([halves[1].neg(), halves[0]], dim: -1);
        return (heads * cosines) + (turned * sines);
    }

    // Llama 3.1: long wavelengths are stretched by the factor, short ones kept, those between blended.
    private static double Llama3(double frequency, RopeScaling scaling)
    {
        var wavelength = 2 * Math.PI / frequency;
        var turns = scaling.OriginalContextLength / wavelength;
        if (turns < scaling.LowFrequencyFactor)
        {
            return frequency / scaling.Factor;
        }

        if (turns > scaling.HighFrequencyFactor)
        {
            return frequency;
        }

        var smooth = (turns - scaling.LowFrequencyFactor) / (scaling.HighFrequencyFactor - scaling.LowFrequencyFactor);
        return ((1 - smooth) * frequency / scaling.Factor) + (smooth * frequency);
    }
}
