namespace GradientAtoms.Models.Checkpoints;

/// <summary>The values of eight-bit floating types, by their bits: https://arxiv.org/abs/2209.05433.</summary>
internal static class EightBitFloats
{
    // Four bits of exponent (bias 7), no infinity: all ones is NaN.
    private static readonly float[] E4M3 = [.. Enumerable.Range(0, 256).Select(bits =>
    {
        var (sign, exponent, mantissa) = (bits < 128 ? 1f : -1f, (bits >> 3) & 15, bits & 7);
        return exponent == 15 && mantissa == 7 ? float.NaN
            : exponent == 0 ? sign * mantissa * MathF.Pow(2, -9)
            : sign * (1 + (mantissa / 8f)) * MathF.Pow(2, exponent - 7);
    })];

    // The upper half of a float16.
    private static readonly float[] E5M2 = [.. Enumerable.Range(0, 256).Select(bits => (float)BitConverter.UInt16BitsToHalf((ushort)(bits << 8)))];

    /// <summary>The 256 values of a type of safetensors, or null where it is another kind.</summary>
    public static float[]? TableOf(string storedType) => storedType switch
    {
        "F8_E4M3" => E4M3,
        "F8_E5M2" => E5M2,
        _ => null,
    };
}
