using System.Buffers.Binary;

namespace GradientAtoms.Models.Checkpoints;

/// <summary>
/// Decoders of ggml's blocks of 256 values (K-quants) and of its non-linear four bits, plainly written from the published layouts:
/// https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h. A block of 256 has sub-blocks with integer scales (and minima) of
/// their own; d and m are the block's float16 scales of those.
/// </summary>
internal static class GgufBlocks
{
    private const int Size = 256;

    // Sixteen levels, closer together near zero.
    private static ReadOnlySpan<sbyte> Levels => [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

    /// <summary>16 sub-blocks of 16: scales s (low nibble) and minima (high nibble), 64 bytes of two-bit q, d, m: d·s·q − m·min.</summary>
    public static void Q2K(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[84..], values = values[Size..])
        {
            var scales = blocks[..16];
            var quants = blocks.Slice(16, 64);
            var (d, m) = (Half(blocks[80..]), Half(blocks[82..]));
            for (var i = 0; i < Size; i++)
            {
                var scale = scales[i / 16];
                values[i] = (d * (scale & 15) * TwoBits(quants, i)) - (m * (scale >> 4));
            }
        }
    }

    /// <summary>32 bytes of third bits, 64 of two low bits, 16 six-bit scales s, d: d·(s − 32)·(q − 4).</summary>
    public static void Q3K(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[110..], values = values[Size..])
        {
            var high = blocks[..32];
            var quants = blocks.Slice(32, 64);
            var scales = blocks.Slice(96, 12);
            var d = Half(blocks[108..]);
            for (var i = 0; i < Size; i++)
            {
                // The third bit of value i is bit i / 32 of byte i % 32.
                var quant = TwoBits(quants, i) | (((high[i % 32] >> (i / 32)) & 1) << 2);
                var s = i / 16;
                var low = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4;
                var scale = low | (((scales[8 + (s % 4)] >> (2 * (s / 4))) & 3) << 4);
                values[i] = d * (scale - 32) * (quant - 4);
            }
        }
    }

    /// <summary>d, m, 8 six-bit scales s and minima, 128 bytes of nibbles: d·s·q − m·min.</summary>
    public static void Q4K(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[144..], values = values[Size..])
        {
            var (d, m) = (Half(blocks), Half(blocks[2..]));
            var quants = blocks.Slice(16, 128);
            for (var s = 0; s < 8; s++)
            {
                var (scale, minimum) = ScaleAndMinimum(blocks.Slice(4, 12), s);
                for (var i = 0; i < 32; i++)
                {
                    values[(32 * s) + i] = (d * scale * Nibble(quants, s, i)) - (m * minimum);
                }
            }
        }
    }

    /// <summary>As <see cref="Q4K"/> with 32 bytes of fifth bits before the nibbles.</summary>
    public static void Q5K(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[176..], values = values[Size..])
        {
            var (d, m) = (Half(blocks), Half(blocks[2..]));
            var high = blocks.Slice(16, 32);
            var quants = blocks.Slice(48, 128);
            for (var s = 0; s < 8; s++)
            {
                var (scale, minimum) = ScaleAndMinimum(blocks.Slice(4, 12), s);
                for (var i = 0; i < 32; i++)
                {
                    var quant = Nibble(quants, s, i) | (((high[i] >> s) & 1) << 4);
                    values[(32 * s) + i] = (d * scale * quant) - (m * minimum);
                }
            }
        }
    }

    /// <summary>128 bytes of low nibbles, 64 of two high bits, 16 signed scales s, d: d·s·(q − 32).</summary>
    public static void Q6K(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[210..], values = values[Size..])
        {
            var low = blocks[..128];
            var high = blocks.Slice(128, 64);
            var scales = blocks.Slice(192, 16);
            var d = Half(blocks[208..]);
            for (var i = 0; i < Size; i++)
            {
                // In each half of 128 values, 64 bytes have the first 64 values in their low nibbles and the others in their high ones.
                var (half, at) = (i / 128, i % 128);
                var nibble = (low[(64 * half) + (at % 64)] >> (4 * (at / 64))) & 15;
                var quant = nibble | (((high[(32 * half) + (at % 32)] >> (2 * (at / 32))) & 3) << 4);
                values[i] = d * (sbyte)scales[i / 16] * (quant - 32);
            }
        }
    }

    /// <summary>d, 16 bytes of two nibbles (low ones first) that choose a level: d·level. Blocks of 32.</summary>
    public static void Iq4Nl(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[18..], values = values[32..])
        {
            var d = Half(blocks);
            for (var i = 0; i < 32; i++)
            {
                values[i] = d * Levels[(blocks[2 + (i % 16)] >> (4 * (i / 16))) & 15];
            }
        }
    }

    /// <summary>d, 8 six-bit scales s in 6 bytes, 128 bytes of nibbles that choose a level: d·(s − 32)·level.</summary>
    public static void Iq4Xs(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (; values.Length > 0; blocks = blocks[136..], values = values[Size..])
        {
            var (d, high) = (Half(blocks), BinaryPrimitives.ReadUInt16LittleEndian(blocks[2..]));
            for (var s = 0; s < 8; s++)
            {
                var scale = ((blocks[4 + (s / 2)] >> (4 * (s % 2))) & 15) | (((high >> (2 * s)) & 3) << 4);
                for (var i = 0; i < 32; i++)
                {
                    values[(32 * s) + i] = d * (scale - 32) * Levels[(blocks[8 + (16 * s) + (i % 16)] >> (4 * (i / 16))) & 15];
                }
            }
        }
    }

    private static float Half(ReadOnlySpan<byte> bytes) => (float)BinaryPrimitives.ReadHalfLittleEndian(bytes);

    // In each half of 128 values, 32 bytes hold four values each, 32 apart.
    private static int TwoBits(ReadOnlySpan<byte> quants, int i) => (quants[(32 * (i / 128)) + (i % 32)] >> (2 * (i % 128 / 32))) & 3;

    // 32 bytes hold two sub-blocks of 32: the even one in the low nibbles.
    private static int Nibble(ReadOnlySpan<byte> quants, int subBlock, int i) => (quants[(32 * (subBlock / 2)) + i] >> (4 * (subBlock % 2))) & 15;

    // The first four have their six bits in one byte; the others' upper two bits are in the upper bits of those.
    private static (int Scale, int Minimum) ScaleAndMinimum(ReadOnlySpan<byte> packed, int s) => s < 4
        ? (packed[s] & 63, packed[s + 4] & 63)
        : ((packed[s + 4] & 15) | (packed[s - 4] >> 6 << 4), (packed[s + 4] >> 4) | (packed[s] >> 6 << 4));
}
