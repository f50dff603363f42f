using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Tests.Support;

namespace GradientAtoms.Tests.Checkpoints;

public sealed class GgufFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("gguf").FullName;

    private string Rubbish => Path.Combine(_folder, "rubbish.gguf");

    [Fact]
    public void The_real_file_holds_what_the_reference_reader_found()
    {
        var expected = JsonDocument.Parse(File.ReadAllBytes(Fixtures.Need("gguf/expected.json"))).RootElement;
        using var file = GgufFile.Open(Fixtures.NeedShared("models/SmolLM2-135M-Instruct.Q4_1.gguf"));
        Assert.Equal(expected.GetProperty("file").GetProperty("data_offset").GetInt64(), file.DataOffset);
        var tensors = expected.GetProperty("tensors").EnumerateArray().ToList();
        Assert.Equal(tensors.Count, file.Tensors.Count);
        foreach (var (want, got) in tensors.Zip(file.Tensors))
        {
            Assert.Equal(want.GetProperty("name").GetString(), got.Name);
            Assert.Equal(want.GetProperty("type").GetString(), got.Type);
            Assert.Equal(want.GetProperty("hf_shape").EnumerateArray().Select(size => size.GetInt64()), got.Shape);
            Assert.Equal(want.GetProperty("offset_in_data").GetInt64() + file.DataOffset, got.Offset);
        }

        var metadata = expected.GetProperty("metadata").EnumerateObject().Where(item => !item.Name.StartsWith("GGUF.", StringComparison.Ordinal)).ToList();
        Assert.Equal(metadata.Count, file.Metadata.Count);
        foreach (var item in metadata)
        {
            var (value, found) = (item.Value.GetProperty("value"), file.Metadata[item.Name]);
            if (found is Array array)
            {
                Assert.Equal(value.GetProperty("length").GetInt32(), array.Length);
                Assert.Equal(value.GetProperty("first5").EnumerateArray().Select(one => one.ToString()), array.Cast<object>().Take(5).Select(one => one.ToString()!), StringComparer.Ordinal);
            }
            else if (found is float number)
            {
                Assert.Equal(value.GetDouble(), (double)number);
            }
            else
            {
                Assert.Equal(value.ToString(), found.ToString());
            }
        }

        foreach (var item in expected.GetProperty("dequantised").EnumerateObject())
        {
            using var tensor = file.Read(item.Name);
            Assert.Equal(item.Value.GetProperty("sha256_f32le").GetString(), Convert.ToHexStringLower(SHA256.HashData(tensor.bytes)));
        }
    }

    [Theory]
    [InlineData("Q4_0")]
    [InlineData("Q4_1")]
    [InlineData("Q5_0")]
    [InlineData("Q5_1")]
    [InlineData("Q8_0")]
    [InlineData("F16")]
    [InlineData("BF16")]
    [InlineData("F32")]
    public void Blocks_decode_as_their_formula_says(string type)
    {
        var format = GgufFormats.Find(type);
        var blocks = new byte[7 * 32 / format.BlockSize * format.BlockBytes];
        new Random(3).NextBytes(blocks);
        if (format.BlockSize == 32)
        {
            for (var block = 0; block < 7; block++)
            {
                BitConverter.GetBytes((Half)(0.125f + block)).CopyTo(blocks, block * format.BlockBytes);
                if (type.EndsWith("_1", StringComparison.Ordinal))
                {
                    BitConverter.GetBytes((Half)(-0.3f * block)).CopyTo(blocks, (block * format.BlockBytes) + 2);
                }
            }
        }

        var values = new float[7 * 32];
        format.Decode!(blocks, values);
        for (var i = 0; i < values.Length; i++)
        {
            Assert.Equal(Plain(type, blocks.AsSpan(i / format.BlockSize * format.BlockBytes), i % format.BlockSize), values[i]);
        }
    }

    [Fact]
    public void A_file_of_our_own_is_read_with_all_kinds_of_metadata()
    {
        File.WriteAllBytes(Rubbish, SmallFile());
        using var file = GgufFile.Open(Rubbish);
        Assert.Equal("llama", file.String("general.architecture"));
        Assert.Equal(7, file.Integer("a.u8"));
        Assert.Equal(-7, file.Integer("a.i16"));
        Assert.Equal(1e-5, file.Number("a.f32"));
        Assert.True(file.Boolean("a.bool"));
        Assert.Equal(["x", "ÿ"], file.Strings("a.strings"));
        Assert.Equal([1, 2, 3], file.Integers("a.ints"));
        Assert.IsType<object[]>(file.Metadata["a.nested"]);
        Assert.Null(file.String("none"));
        Assert.Equal("GA2311", Assert.Throws<CheckpointException>(() => file.String("a.u8")).Code);
        using var tensor = file.Read("one");
        Assert.Equal([1f, 2, 3, 4, 5, 6], tensor.data<float>().ToArray());
        Assert.Equal([2L, 3], tensor.shape);
    }

    [Fact]
    public void A_file_cut_anywhere_is_refused_by_code()
    {
        var whole = SmallFile();
        for (var length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(Rubbish, whole[..length]);
            var error = Assert.Throws<CheckpointException>(() => GgufFile.Open(Rubbish).Dispose());
            Assert.StartsWith("GA231", error.Code, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Any_changed_byte_of_a_header_is_read_or_refused_by_code()
    {
        var whole = SmallFile();
        var headerLength = whole.Length - 24;
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < headerLength; i++)
        {
            foreach (var change in (byte[])[0xFF, 0x80, 0x01])
            {
                var changed = (byte[])whole.Clone();
                changed[i] ^= change;
                File.WriteAllBytes(Rubbish, changed);
                try
                {
                    using var file = GgufFile.Open(Rubbish);
                    foreach (var tensor in file.Tensors)
                    {
                        file.Read(tensor.Name).Dispose();
                    }
                }
                catch (CheckpointException error)
                {
                    Assert.StartsWith("GA231", error.Code, StringComparison.Ordinal);
                }
            }
        }

        // Every file costs its read buffer and its decode buffer; what a lying count would cost is gigabytes.
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 3L * headerLength * 1_500_000);
    }

    [Fact]
    public void Counts_types_and_names_that_lie_are_refused_by_code()
    {
        byte[] Start(ulong tensors, ulong values) => [.. "GGUF"u8, .. BitConverter.GetBytes(3), .. BitConverter.GetBytes(tensors), .. BitConverter.GetBytes(values)];
        byte[] Text(string text) => [.. BitConverter.GetBytes((long)text.Length), .. Encoding.UTF8.GetBytes(text)];
        byte[] One(string name, int dimensions, long size, uint type, long offset) =>
            [.. Text(name), .. BitConverter.GetBytes(dimensions), .. BitConverter.GetBytes(size), .. BitConverter.GetBytes(type), .. BitConverter.GetBytes(offset)];
        var room = new byte[256];
        var cases = new (byte[] Bytes, string Code, string What)[]
        {
            ([.. "GGUX"u8, .. room], "GA2310", "magic"),
            ([.. "GGUF"u8, .. BitConverter.GetBytes(1), .. room], "GA2310", "version 1"),
            ([.. "GGUF"u8, 0, 0, 0, 3, .. room], "GA2310", "big-endian"),
            ([.. Start(ulong.MaxValue, 0), .. room], "GA2311", "tensor count"),
            ([.. Start(0, ulong.MaxValue / 2), .. room], "GA2311", "value count"),
            ([.. Start(0, 1), .. BitConverter.GetBytes(long.MaxValue), .. room], "GA2311", "string length"),
            ([.. Start(0, 1), .. Text("k"), .. BitConverter.GetBytes(13), .. room], "GA2311", "value type"),
            ([.. Start(0, 1), .. Text("k"), .. BitConverter.GetBytes(9), .. BitConverter.GetBytes(4), .. BitConverter.GetBytes(1L << 40), .. room], "GA2311", "array length"),
            ([.. Start(0, 1), .. Text("k"), .. BitConverter.GetBytes(9), .. BitConverter.GetBytes(77), .. BitConverter.GetBytes(1L), .. room], "GA2311", "array type"),
            ([.. Start(0, 2), .. Text("k"), 0, 0, 0, 0, 1, .. Text("k"), 0, 0, 0, 0, 1, .. room], "GA2311", "key twice"),
            ([.. Start(1, 0), .. One("x", 1, 4, 99, 0), .. room], "GA2313", "tensor type"),
            ([.. Start(1, 0), .. One("x", 1, 4, 0, 1 << 20), .. room], "GA2311", "tensor offset"),
            ([.. Start(1, 0), .. One("x", 1, 4, 0, 4), .. room], "GA2311", "tensor alignment"),
            ([.. Start(1, 0), .. One("x", 1, long.MaxValue, 0, 0), .. room], "GA2311", "tensor size"),
            ([.. Start(1, 0), .. One("x", 1, 33, 2, 0), .. room], "GA2311", "not whole blocks"),
            ([.. Start(1, 0), .. One("x", 9, 4, 0, 0), .. room], "GA2311", "dimensions"),
            ([.. Start(2, 0), .. One("x", 1, 4, 0, 0), .. One("x", 1, 4, 0, 32), .. room], "GA2311", "tensor twice"),
            ([.. Start(2, 0), .. One("x", 1, 16, 0, 0), .. One("y", 1, 4, 0, 32), .. room], "GA2311", "overlap"),
        };
        foreach (var (bytes, code, what) in cases)
        {
            File.WriteAllBytes(Rubbish, bytes);
            var error = Assert.Throws<CheckpointException>(() => GgufFile.Open(Rubbish).Dispose());
            Assert.True(code == error.Code, $"{what}: {error.Code} {error.Message}");
        }
    }

    [Fact]
    public void A_quantisation_that_we_do_not_have_is_refused_by_its_name()
    {
        File.WriteAllBytes(Rubbish, [.. "GGUF"u8, .. BitConverter.GetBytes(3), .. BitConverter.GetBytes(1L), .. BitConverter.GetBytes(0L),
            .. BitConverter.GetBytes(1L), (byte)'x', .. BitConverter.GetBytes(1), .. BitConverter.GetBytes(256L), .. BitConverter.GetBytes(16), .. BitConverter.GetBytes(0L), .. new byte[512]]);
        using var file = GgufFile.Open(Rubbish);
        var error = Assert.Throws<CheckpointException>(() => file.Read("x"));
        Assert.Equal("GA2313", error.Code);
        Assert.Contains("IQ2_XXS", error.Message, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    // Without the padding behind the tensor, so that every byte counts.
    private static byte[] SmallFile() => new GgufWriter()
        .With("general.architecture", "llama")
        .With("a.u8", (byte)7)
        .With("a.i16", (short)-7)
        .With("a.f32", 1e-5f)
        .With("a.bool", true)
        .With("a.u64", 9UL)
        .With("a.strings", new[] { "x", "ÿ" })
        .With("a.ints", new[] { 1, 2, 3 })
        .With("a.nested", new[] { new byte[] { 1, 2 } })
        .Tensor("one", [2, 3], 0, [.. Enumerable.Range(1, 6).SelectMany(value => BitConverter.GetBytes((float)value))])
        .ToArray()[..^8];

    private static float Plain(string type, ReadOnlySpan<byte> block, int i)
    {
        float Half(ReadOnlySpan<byte> bytes) => (float)BitConverter.ToHalf(bytes);
        int Nibble(ReadOnlySpan<byte> bytes) => i < 16 ? bytes[i] & 15 : bytes[i - 16] >> 4;
        int Fifth(ReadOnlySpan<byte> bytes) => (bytes[i / 8] >> (i % 8)) & 1;
        return type switch
        {
            "F32" => BitConverter.ToSingle(block),
            "F16" => Half(block),
            "BF16" => BitConverter.ToSingle([0, 0, block[0], block[1]]),
            "Q8_0" => Half(block) * (sbyte)block[2 + i],
            "Q4_0" => Half(block) * (Nibble(block[2..]) - 8),
            "Q4_1" => (Half(block) * Nibble(block[4..])) + Half(block[2..]),
            "Q5_0" => Half(block) * ((Nibble(block[6..]) | (Fifth(block[2..]) << 4)) - 16),
            "Q5_1" => (Half(block) * (Nibble(block[8..]) | (Fifth(block[4..]) << 4))) + Half(block[2..]),
            _ => throw new UnreachableException(),
        };
    }
}
