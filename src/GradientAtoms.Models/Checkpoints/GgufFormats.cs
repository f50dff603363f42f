using System.Buffers.Binary;
using System.Runtime.Intrinsics;

namespace GradientAtoms.Models.Checkpoints;

/// <summary>Turns blocks of a quantised tensor into float32.</summary>
internal delegate void BlockDecoder(ReadOnlySpan<byte> blocks, Span<float> values);

/// <summary>How a GGUF tensor type lies in the file.</summary>
/// <param name="Name">As ggml spells it.</param>
/// <param name="BlockSize">Values in a block.</param>
/// <param name="BlockBytes">Bytes of a block.</param>
/// <param name="Decode">Null where the type is known and not supported.</param>
internal sealed record GgufFormat(string Name, int BlockSize, int BlockBytes, BlockDecoder? Decode);

/// <summary>
/// The tensor types of ggml and how the simple ones are decoded; <see cref="GgufBlocks"/> has the others. In the formulas d and m are the block's float16 scale and minimum;
/// products and sums are rounded one by one in float32, as ggml's reference does.
/// </summary>
internal static class GgufFormats
{
    public const string Supported = "F32, F16, BF16, Q8_0, Q6_K, Q5_K, Q5_1, Q5_0, Q4_K, Q4_1, Q4_0, Q3_K, Q2_K, IQ4_NL or IQ4_XS tensors";

    private static readonly Dictionary<uint, GgufFormat> Known = new()
    {
        [0] = new("F32", 1, 4, F32), [1] = new("F16", 1, 2, F16), [2] = new("Q4_0", 32, 18, Q40), [3] = new("Q4_1", 32, 20, Q41),
        [6] = new("Q5_0", 32, 22, Q50), [7] = new("Q5_1", 32, 24, Q51), [8] = new("Q8_0", 32, 34, Q80), [9] = new("Q8_1", 32, 36, null),
        [10] = new("Q2_K", 256, 84, GgufBlocks.Q2K), [11] = new("Q3_K", 256, 110, GgufBlocks.Q3K), [12] = new("Q4_K", 256, 144, GgufBlocks.Q4K), [13] = new("Q5_K", 256, 176, GgufBlocks.Q5K),
        [14] = new("Q6_K", 256, 210, GgufBlocks.Q6K), [15] = new("Q8_K", 256, 292, null), [16] = new("IQ2_XXS", 256, 66, null), [17] = new("IQ2_XS", 256, 74, null),
        [18] = new("IQ3_XXS", 256, 98, null), [19] = new("IQ1_S", 256, 50, null), [20] = new("IQ4_NL", 32, 18, GgufBlocks.Iq4Nl), [21] = new("IQ3_S", 256, 110, null),
        [22] = new("IQ2_S", 256, 82, null), [23] = new("IQ4_XS", 256, 136, GgufBlocks.Iq4Xs), [24] = new("I8", 1, 1, null), [25] = new("I16", 1, 2, null),
        [26] = new("I32", 1, 4, null), [27] = new("I64", 1, 8, null), [28] = new("F64", 1, 8, null), [29] = new("IQ1_M", 256, 56, null),
        [30] = new("BF16", 1, 2, BF16), [34] = new("TQ1_0", 256, 54, null), [35] = new("TQ2_0", 256, 66, null), [39] = new("MXFP4", 32, 17, null),
    };

    private static readonly Dictionary<string, GgufFormat> ByName = Known.Values.ToDictionary(format => format.Name, StringComparer.Ordinal);

    /// <summary>The name of a type's number, or null.</summary>
    public static string? Find(uint type) => Known.GetValueOrDefault(type)?.Name;

    public static GgufFormat Find(string name) => ByName[name];

    private static void F32(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = BinaryPrimitives.ReadSingleLittleEndian(blocks[(4 * i)..]);
        }
    }

    private static void F16(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = (float)BinaryPrimitives.ReadHalfLittleEndian(blocks[(2 * i)..]);
        }
    }

    private static void BF16(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(blocks[(2 * i)..]) << 16);
        }
    }

    // d, 32 signed bytes q: d·q.
    private static void Q80(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[34..], values = values[32..])
        {
            var scale = Vector256.Create(Half(blocks));
            for (var i = 0; i < 32; i += 16)
            {
                var (a, b) = Vector128.Widen(Vector128.Create(blocks.Slice(2 + i, 16)).AsSByte());
                var (low, high) = Vector256.Widen(Vector256.Create(a, b));
                (Vector256.ConvertToSingle(low) * scale).CopyTo(values[i..]);
                (Vector256.ConvertToSingle(high) * scale).CopyTo(values[(i + 8)..]);
            }
        }
    }

    // d, 16 bytes of two nibbles q (low ones first): d·(q − 8).
    private static void Q40(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[18..], values = values[32..])
        {
            var nibbles = Vector128.Create(blocks.Slice(2, 16));
            Scale(nibbles & Vector128.Create((byte)15), 8, Half(blocks), values);
            Scale(nibbles >>> 4, 8, Half(blocks), values[16..]);
        }
    }

    // d, m, 16 bytes of two nibbles q: d·q + m.
    private static void Q41(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[20..], values = values[32..])
        {
            var (scale, minimum) = (Half(blocks), Half(blocks[2..]));
            var nibbles = Vector128.Create(blocks.Slice(4, 16));
            ScaleAndAdd(nibbles & Vector128.Create((byte)15), scale, minimum, values);
            ScaleAndAdd(nibbles >>> 4, scale, minimum, values[16..]);
        }
    }

    // d, 32 fifth bits, 16 bytes of two nibbles: d·(q − 16).
    private static void Q50(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[22..], values = values[32..])
        {
            var (low, high) = FiveBits(blocks[2..]);
            Scale(low, 16, Half(blocks), values);
            Scale(high, 16, Half(blocks), values[16..]);
        }
    }

    // d, m, 32 fifth bits, 16 bytes of two nibbles: d·q + m.
    private static void Q51(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[24..], values = values[32..])
        {
            var (scale, minimum) = (Half(blocks), Half(blocks[2..]));
            var (low, high) = FiveBits(blocks[4..]);
            ScaleAndAdd(low, scale, minimum, values);
            ScaleAndAdd(high, scale, minimum, values[16..]);
        }
    }

    private static float Half(ReadOnlySpan<byte> bytes) => (float)BinaryPrimitives.ReadHalfLittleEndian(bytes);

    private static (Vector128<byte> Low, Vector128<byte> High) FiveBits(ReadOnlySpan<byte> bytes)
    {
        var fifth = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        Span<byte> extra = stackalloc byte[32];
        for (var i = 0; i < 32; i++)
        {
            extra[i] = (byte)(((fifth >> i) & 1) << 4);
        }

        var nibbles = Vector128.Create(bytes.Slice(4, 16));
        return ((nibbles & Vector128.Create((byte)15)) | Vector128.Create((ReadOnlySpan<byte>)extra[..16]), (nibbles >>> 4) | Vector128.Create((ReadOnlySpan<byte>)extra[16..]));
    }

    private static void Scale(Vector128<byte> quants, int zero, float scale, Span<float> values)
    {
        var (low, high) = ToInt32(quants);
        var (offset, factor) = (Vector256.Create(zero), Vector256.Create(scale));
        (Vector256.ConvertToSingle(low - offset) * factor).CopyTo(values);
        (Vector256.ConvertToSingle(high - offset) * factor).CopyTo(values[8..]);
    }

    private static void ScaleAndAdd(Vector128<byte> quants, float scale, float minimum, Span<float> values)
    {
        var (low, high) = ToInt32(quants);
        var (offset, factor) = (Vector256.Create(minimum), Vector256.Create(scale));
        ((Vector256.ConvertToSingle(low) * factor) + offset).CopyTo(values);
        ((Vector256.ConvertToSingle(high) * factor) + offset).CopyTo(values[8..]);
    }

    private static (Vector256<int> Low, Vector256<int> High) ToInt32(Vector128<byte> quants)
    {
        var (a, b) = Vector128.Widen(quants);
        var (low, high) = Vector256.Widen(Vector256.Create(a, b));
        return (low.AsInt32(), high.AsInt32());
    }
}
