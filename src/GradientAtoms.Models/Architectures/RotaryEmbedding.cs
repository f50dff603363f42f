using static TorchSharp.torch;

namespace GradientAtoms.Models.Architectures;

/// <summary>Rotary positions in Hugging Face's layout: of the turned coordinates, i is paired with i + size / 2; coordinates after them stay.</summary>
/// <param name="size">How many coordinates of a head are turned: the first ones.</param>
/// <param name="theta">The base: frequency i is θ^(−2i / size).</param>
/// <param name="scaling">How frequencies are scaled, or null.</param>
internal sealed class RotaryEmbedding(int size, double theta, RopeScaling? scaling)
{
    private readonly double[] _frequencies = InverseFrequencies(size, theta, scaling);

    /// <summary>Documents longer than this have frequencies of their own (dynamic scaling, longrope); <see cref="int.MaxValue"/> where none do.</summary>
    public int LongestCommon => scaling is { DependsOnLength: true } ? scaling.OriginalContextLength : int.MaxValue;

    /// <summary>The frequencies, scaled, of a document that is no longer than the original context.</summary>
    /// <returns><c>[size / 2]</c>.</returns>
    public static double[] InverseFrequencies(int size, double theta, RopeScaling? scaling)
    {
        var frequencies = new double[size / 2];
        for (var i = 0; i < frequencies.Length; i++)
        {
            var frequency = 1 / Math.Pow(theta, 2.0 * i / size);
            frequencies[i] = scaling?.Kind switch
            {
                null or RopeScalingKind.Dynamic => frequency,
                RopeScalingKind.Linear => frequency / scaling.Factor,
                RopeScalingKind.Llama3 => Llama3(frequency, scaling),
                RopeScalingKind.Yarn => Yarn(i, frequency, size, theta, scaling),
                _ => frequency / scaling.Divisors[i],
            };
        }

        return frequencies;
    }

    /// <summary>The frequencies of a document: those of its whole length, as a fresh model computes them in one pass.</summary>
    /// <param name="length">Tokens.</param>
    /// <returns><c>[size / 2]</c>.</returns>
    public double[] FrequenciesAt(int length)
    {
        if (length <= LongestCommon || scaling is null)
        {
            return _frequencies;
        }

        if (scaling.Kind == RopeScalingKind.LongRope)
        {
            return InverseFrequencies(size, theta, scaling with { Divisors = scaling.LongDivisors });
        }

        // Dynamic: by a larger base.
        var stretched = (scaling.Factor * length / scaling.OriginalContextLength) - (scaling.Factor - 1);
        return InverseFrequencies(size, theta * Math.Pow(stretched, size / (size - 2.0)), scaling);
    }

    /// <summary>Cosines and sines of the angles of some positions; sines of the first half negative, as turning needs them.</summary>
    /// <param name="positions"><c>[..., T]</c>.</param>
    /// <param name="length">Tokens of the document, which frequencies may depend on.</param>
    /// <returns>Each <c>[..., T, size]</c>, float32. The caller owns them.</returns>
    public (Tensor Cosines, Tensor Sines) Angles(Tensor positions, int length)
    {
        using var scope = NewDisposeScope();

        // Hugging Face forms the angles in float32; so do we, to stay within its rounding at long positions.
        var frequencies = tensor([.. FrequenciesAt(length).Select(frequency => (float)frequency)], device: positions.device);
        var angles = positions.to_type(ScalarType.Float32).unsqueeze(-1) * frequencies; // [..., T, size / 2]
        var (cosine, sine) = (angles.cos(), angles.sin());
        var (cosines, sines) = (cat([cosine, cosine], dim: -1), cat([sine.neg(), sine], dim: -1)); // [..., T, size]
        var factor = scaling?.AttentionFactor ?? 1;
        return factor == 1
            ? (cosines.MoveToOuterDisposeScope(), sines.MoveToOuterDisposeScope())
            : ((cosines * factor).MoveToOuterDisposeScope(), (sines * factor).MoveToOuterDisposeScope());
    }

    /// <summary>Turns queries or keys by their positions.</summary>
    /// <param name="heads"><c>[B, heads, T, head size]</c>.</param>
    /// <param name="cosines"><c>[T, size]</c> or <c>[B, 1, T, size]</c>.</param>
    /// <param name="sines">The same.</param>
    /// <returns><c>[B, heads, T, head size]</c>.</returns>
    public Tensor Rotate(Tensor heads, Tensor cosines, Tensor sines)
    {
        using var scope = NewDisposeScope();
        var rest = heads.shape[3] - size;
        var turning = rest == 0 ? heads : heads.narrow(3, 0, size);
        var halves = turning.chunk(2, dim: -1);
        var turned = (turning * cosines).addcmul_(cat([halves[1], halves[0]], dim: -1), sines, 1);
        return (rest == 0 ? turned : cat([turned, heads.narrow(3, size, rest)], dim: -1)).MoveToOuterDisposeScope();
    }

    // Long wavelengths are stretched by the factor, short ones kept, those between blended.
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

    // A ramp over the coordinates, between the one that turns β_fast times in the original context and the one that turns β_slow times.
    private static double Yarn(int i, double frequency, int size, double theta, RopeScaling scaling)
    {
        double CoordinateOf(double turns) => size * Math.Log(scaling.OriginalContextLength / (turns * 2 * Math.PI)) / (2 * Math.Log(theta));
        var (low, high) = (CoordinateOf(scaling.BetaFast), CoordinateOf(scaling.BetaSlow));
        if (scaling.Truncate)
        {
            (low, high) = (Math.Floor(low), Math.Ceiling(high));
        }

        (low, high) = (Math.Max(low, 0), Math.Min(high, size - 1));
        if (low == high)
        {
            high += 0.001;
        }

        var stretched = Math.Clamp((i - low) / (high - low), 0, 1);
        return (frequency / scaling.Factor * stretched) + (frequency * (1 - stretched));
    }
}
