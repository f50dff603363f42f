using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Tests.Runs;

namespace GradientAtoms.Tests.Checkpoints;

/// <summary>
/// K-quants and non-linear four bits against a quantiser of our own, which packs as the published layouts say, bit by bit in the order of
/// ggml's loops. <see cref="LlamaCppTests"/> compares with blocks of ggml itself.
/// </summary>
public sealed class GgufBlocksTests
{
    private static readonly sbyte[] Levels = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

    public static TheoryData<string> Types => ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"];

    [Theory]
    [MemberData(nameof(Types))]
    public void A_quantised_block_comes_back_as_what_the_quantiser_meant_and_near_what_it_was_given(string type)
    {
        var format = GgufFormats.Find(type);
        var random = new Random(7);
        for (var trial = 0; trial < 20; trial++)
        {
            // Sub-blocks of very different sizes, so that a scale in the wrong place shows.
            var given = new float[format.BlockSize];
            for (var i = 0; i < given.Length; i++)
            {
                given[i] = (float)((random.NextDouble() - 0.4) * (1 + (i / 16 * 7 % 16)));
            }

            var (block, meant, step) = Quantise(type, given);
            Assert.Equal(format.BlockBytes, block.Length);
            var decoded = new float[format.BlockSize];
            format.Decode!(block, decoded);
            for (var i = 0; i < given.Length; i++)
            {
                Assert.Equal(meant[i], decoded[i], 1e-6f * Math.Max(1, Math.Abs(meant[i])));
                Assert.True(Math.Abs(decoded[i] - given[i]) <= step[i], $"{type} value {i}: {given[i]} became {decoded[i]}, allowed {step[i]}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void A_tensor_of_several_rows_and_blocks_is_read_block_by_block(string type)
    {
        using var folder = new TemporaryFolder();
        var format = GgufFormats.Find(type);
        var random = new Random(9);
        var (bytes, meant) = (new List<byte>(), new List<float>());
        for (var i = 0; i < 6; i++)
        {
            var (block, values, _) = Quantise(type, [.. Enumerable.Range(0, format.BlockSize).Select(_ => (float)(random.NextDouble() - 0.5))]);
            bytes.AddRange(block);
            meant.AddRange(values);
        }

        new GgufWriter().Tensor("one", [2, 3 * format.BlockSize], TypeNumber(type), [.. bytes]).Write(folder["file.gguf"]);
        using var file = GgufFile.Open(folder["file.gguf"]);
        using var tensor = file.Read("one");
        Assert.Equal([2L, 3 * format.BlockSize], tensor.shape);
        Assert.All(tensor.data<float>().ToArray().Zip(meant), pair => Assert.Equal(pair.Second, pair.First, 1e-6f));
    }

    private static uint TypeNumber(string type) => (uint)Enumerable.Range(0, 40).First(number => GgufFormats.Find((uint)number) == type);

    /// <summary>Quantises: the block's bytes, what they mean, and how far each value may be from what was given.</summary>
    private static (byte[] Block, float[] Meant, float[] Step) Quantise(string type, float[] given) => type switch
    {
        "Q2_K" => WithMinima(given, subBlock: 16, bits: 2, scaleBits: 4, PackQ2K),
        "Q4_K" => WithMinima(given, subBlock: 32, bits: 4, scaleBits: 6, (d, m, scales, minima, quants) => PackQ45K(d, m, scales, minima, quants, isFive: false)),
        "Q5_K" => WithMinima(given, subBlock: 32, bits: 5, scaleBits: 6, (d, m, scales, minima, quants) => PackQ45K(d, m, scales, minima, quants, isFive: true)),
        "Q3_K" => Symmetric(given, subBlock: 16, lowest: -4, highest: 3, largestScale: 31, PackQ3K),
        "Q6_K" => Symmetric(given, subBlock: 16, lowest: -32, highest: 31, largestScale: 127, PackQ6K),
        _ => ByLevel(given, type == "IQ4_NL"),
    };

    // x ≈ d·s·q − m·min, with q in 0 … 2^bits − 1.
    private static (byte[] Block, float[] Meant, float[] Step) WithMinima(float[] given, int subBlock, int bits, int scaleBits, Func<Half, Half, int[], int[], int[], byte[]> pack)
    {
        var (count, top, topScale) = (given.Length / subBlock, (1 << bits) - 1, (1 << scaleBits) - 1);
        var parts = given.Chunk(subBlock).ToArray();
        var lows = parts.Select(part => Math.Max(0, -part.Min())).ToArray();
        var widths = parts.Select((part, s) => (part.Max() + lows[s]) / top).ToArray();
        var (d, m) = ((Half)(widths.Max() / topScale), (Half)(lows.Max() / topScale));
        int[] scales = [.. widths.Select(width => Math.Clamp((int)Math.Ceiling(width / (float)d), 0, topScale))];
        int[] minima = [.. lows.Select(low => Math.Clamp((int)Math.Round(low / (float)m), 0, topScale))];
        int[] quants = [.. given.Select((x, i) => Math.Clamp((int)Math.Round((x + ((float)m * minima[i / subBlock])) / Math.Max(1e-9f, (float)d * scales[i / subBlock])), 0, top))];
        float[] meant = [.. quants.Select((q, i) => ((float)d * scales[i / subBlock] * q) - ((float)m * minima[i / subBlock]))];

        // Half a step of the values, and half a step of the minimum.
        float[] step = [.. given.Select((_, i) => ((float)d * scales[i / subBlock] * 0.51f) + ((float)m * 1.1f) + ((float)d * top))];
        return (pack(d, m, scales, minima, quants), meant, step);
    }

    // x ≈ d·s·q, with q from lowest to highest and a signed s.
    private static (byte[] Block, float[] Meant, float[] Step) Symmetric(float[] given, int subBlock, int lowest, int highest, int largestScale, Func<Half, int[], int[], byte[]> pack)
    {
        var widths = given.Chunk(subBlock).Select(part => part.Max(Math.Abs) / highest).ToArray();
        var d = (Half)(widths.Max() / largestScale);

        // Every third scale negative: the formats have the sign.
        int[] scales = [.. widths.Select((width, s) => Math.Clamp((int)Math.Ceiling(width / (float)d), 1, largestScale) * (s % 3 == 1 ? -1 : 1))];
        int[] quants = [.. given.Select((x, i) => Math.Clamp((int)Math.Round(x / ((float)d * scales[i / subBlock])), lowest, highest))];
        float[] meant = [.. quants.Select((q, i) => (float)d * scales[i / subBlock] * q)];
        float[] step = [.. given.Select((_, i) => ((float)d * Math.Abs(scales[i / subBlock]) * 0.51f) + ((float)d * highest * 0.1f))];
        return (pack(d, scales, quants), meant, step);
    }

    private static (byte[] Block, float[] Meant, float[] Step) ByLevel(float[] given, bool isPlain)
    {
        const int largestScale = 31, widestGap = 24;
        var widths = given.Chunk(32).Select(part => part.Max(Math.Abs) / 113).ToArray();
        var d = (Half)(isPlain ? widths[0] : widths.Max() / largestScale);
        int[] scales = [.. widths.Select((width, s) => isPlain ? 1 : Math.Clamp((int)Math.Ceiling(width / (float)d), 1, largestScale) * (s % 3 == 1 ? -1 : 1))];
        int[] quants = [.. given.Select((x, i) => Enumerable.Range(0, 16).MinBy(q => Math.Abs(((float)d * scales[i / 32] * Levels[q]) - x)))];
        float[] meant = [.. quants.Select((q, i) => (float)d * scales[i / 32] * Levels[q])];
        float[] step = [.. given.Select((_, i) => (float)d * Math.Abs(scales[i / 32]) * widestGap)];
        var block = new List<byte>(BitConverter.GetBytes(d));
        if (!isPlain)
        {
            ushort high = 0;
            var low = new byte[4];
            for (var s = 0; s < 8; s++)
            {
                var stored = scales[s] + 32;
                high |= (ushort)((stored >> 4) << (2 * s));
                low[s / 2] |= (byte)((stored & 15) << (4 * (s % 2)));
            }

            block.AddRange([.. BitConverter.GetBytes(high), .. low]);
        }

        foreach (var part in quants.Chunk(32))
        {
            block.AddRange(Enumerable.Range(0, 16).Select(i => (byte)(part[i] | (part[i + 16] << 4))));
        }

        return ([.. block], meant, step);
    }

    private static byte[] PackQ2K(Half d, Half m, int[] scales, int[] minima, int[] quants)
    {
        var block = new byte[84];
        for (var s = 0; s < 16; s++)
        {
            block[s] = (byte)(scales[s] | (minima[s] << 4));
        }

        Two(block.AsSpan(16, 64), quants);
        BitConverter.GetBytes(d).CopyTo(block, 80);
        BitConverter.GetBytes(m).CopyTo(block, 82);
        return block;
    }

    private static byte[] PackQ3K(Half d, int[] scales, int[] quants)
    {
        var block = new byte[110];
        int[] shifted = [.. quants.Select(q => q + 4)];
        byte bit = 1;
        for (var at = 0; at < 256; at += 32, bit <<= 1)
        {
            for (var i = 0; i < 32; i++)
            {
                block[i] |= shifted[at + i] > 3 ? bit : (byte)0;
            }
        }

        Two(block.AsSpan(32, 64), [.. shifted.Select(q => q & 3)]);
        for (var s = 0; s < 16; s++)
        {
            var stored = scales[s] + 32;
            block[96 + (s % 8)] |= (byte)((stored & 15) << (s < 8 ? 0 : 4));
            block[96 + 8 + (s % 4)] |= (byte)((stored >> 4) << (2 * (s / 4)));
        }

        BitConverter.GetBytes(d).CopyTo(block, 108);
        return block;
    }

    private static byte[] PackQ45K(Half d, Half m, int[] scales, int[] minima, int[] quants, bool isFive)
    {
        var head = new byte[16];
        BitConverter.GetBytes(d).CopyTo(head, 0);
        BitConverter.GetBytes(m).CopyTo(head, 2);
        for (var s = 0; s < 4; s++)
        {
            head[4 + s] = (byte)(scales[s] | ((scales[s + 4] >> 4) << 6));
            head[8 + s] = (byte)(minima[s] | ((minima[s + 4] >> 4) << 6));
            head[12 + s] = (byte)((scales[s + 4] & 15) | ((minima[s + 4] & 15) << 4));
        }

        var (high, low) = (new byte[32], new byte[128]);
        for (var (at, out0, bit) = (0, 0, 0); at < 256; at += 64, out0 += 32, bit += 2)
        {
            for (var i = 0; i < 32; i++)
            {
                var (first, second) = (quants[at + i], quants[at + 32 + i]);
                low[out0 + i] = (byte)((first & 15) | ((second & 15) << 4));
                high[i] |= (byte)(((first >> 4) << bit) | ((second >> 4) << (bit + 1)));
            }
        }

        return isFive ? [.. head, .. high, .. low] : [.. head, .. low];
    }

    private static byte[] PackQ6K(Half d, int[] scales, int[] quants)
    {
        var block = new byte[210];
        int[] shifted = [.. quants.Select(q => q + 32)];
        for (var half = 0; half < 2; half++)
        {
            for (var i = 0; i < 32; i++)
            {
                int Quant(int quarter) => shifted[(128 * half) + (32 * quarter) + i];
                block[(64 * half) + i] = (byte)((Quant(0) & 15) | ((Quant(2) & 15) << 4));
                block[(64 * half) + 32 + i] = (byte)((Quant(1) & 15) | ((Quant(3) & 15) << 4));
                block[128 + (32 * half) + i] = (byte)((Quant(0) >> 4) | ((Quant(1) >> 4) << 2) | ((Quant(2) >> 4) << 4) | ((Quant(3) >> 4) << 6));
            }
        }

        for (var s = 0; s < 16; s++)
        {
            block[192 + s] = (byte)(sbyte)scales[s];
        }

        BitConverter.GetBytes(d).CopyTo(block, 208);
        return block;
    }

    private static void Two(Span<byte> bytes, int[] quants)
    {
        for (var half = 0; half < 2; half++)
        {
            for (var i = 0; i < 32; i++)
            {
                for (var quarter = 0; quarter < 4; quarter++)
                {
                    bytes[(32 * half) + i] |= (byte)(quants[(128 * half) + (32 * quarter) + i] << (2 * quarter));
                }
            }
        }
    }
}
