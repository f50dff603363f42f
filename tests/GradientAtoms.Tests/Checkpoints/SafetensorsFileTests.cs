using System.Buffers.Binary;
using System.Text;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Checkpoints;

public sealed class SafetensorsFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("safetensors").FullName;

    [Fact]
    public void Every_stored_type_comes_back_as_it_was_written()
    {
        using var scope = NewDisposeScope();
        var tensors = new List<(string Name, Tensor Tensor)>();
        foreach (var type in (ScalarType[])[ScalarType.Float64, ScalarType.Float32, ScalarType.Float16, ScalarType.BFloat16, ScalarType.Int64, ScalarType.Int32, ScalarType.Int16, ScalarType.Int8, ScalarType.Byte, ScalarType.Bool])
        {
            tensors.Add(($"of.{type}", (randn([3, 5]) * 10).abs().to(type)));
        }

        tensors.Add(("scalar", tensor(1.5f)));
        tensors.Add(("empty", zeros([0, 4])));
        SafetensorsWriter.Write(PathOf("all"), tensors, new Dictionary<string, string>(StringComparer.Ordinal) { ["format"] = "pt", ["ünï"] = "\"" });
        using var file = SafetensorsFile.Open(PathOf("all"));

        Assert.Equal(tensors.Count, file.Names.Count);
        Assert.Equal("\"", file.Metadata["ünï"]);
        foreach (var (name, written) in tensors)
        {
            var read = file.ReadRaw(name);
            Assert.Equal(written.dtype, read.dtype);
            Assert.Equal(written.shape, read.shape);
            Assert.True(written.equal(read).all().item<bool>(), name);
            var widened = file.Read(name);
            Assert.Equal(written.is_floating_point() ? ScalarType.Float32 : written.dtype, widened.dtype);
            Assert.True(written.to(widened.dtype).equal(widened).all().item<bool>(), name);
        }
    }

    [Fact]
    public void The_same_tensors_in_any_order_give_the_same_bytes()
    {
        using var first = randn([2, 3]);
        using var second = arange(7);
        SafetensorsWriter.Write(PathOf("a"), [("x", first), ("b", second)]);
        SafetensorsWriter.Write(PathOf("b"), [("b", second), ("x", first)]);
        Assert.Equal(File.ReadAllBytes(PathOf("a")), File.ReadAllBytes(PathOf("b")));
        Assert.Equal(0, (8 + BinaryPrimitives.ReadInt64LittleEndian(File.ReadAllBytes(PathOf("a")))) % 8);
    }

    [Fact]
    public void A_transposed_tensor_is_written_row_major()
    {
        using var matrix = arange(6, dtype: ScalarType.Float32).view(2, 3);
        using var transposed = matrix.t();
        SafetensorsWriter.Write(PathOf("t"), [("t", transposed)]);
        using var file = SafetensorsFile.Open(PathOf("t"));
        using var read = file.Read("t");
        Assert.Equal([0f, 3, 1, 4, 2, 5], read.data<float>().ToArray());
    }

    [Fact]
    public void Eight_bit_floats_are_read_as_their_formula_says()
    {
        using var scope = NewDisposeScope();
        foreach (var (type, exponentBits, bias) in ((string, int, int)[])[("F8_E4M3", 4, 7), ("F8_E5M2", 5, 15)])
        {
            var json = $$$"""{"x":{"dtype":"{{{type}}}","shape":[2,128],"data_offsets":[0,256]}}""";
            File.WriteAllBytes(PathOf("eight"), [.. BitConverter.GetBytes((long)json.Length), .. Encoding.UTF8.GetBytes(json), .. Enumerable.Range(0, 256).Select(bits => (byte)bits)]);
            using var file = SafetensorsFile.Open(PathOf("eight"));
            var read = file.Read("x");
            Assert.Equal([2L, 128], read.shape);
            var values = read.data<float>().ToArray();
            for (var bits = 0; bits < 256; bits++)
            {
                var mantissaBits = 7 - exponentBits;
                var (exponent, mantissa) = ((bits >> mantissaBits) & ((1 << exponentBits) - 1), bits & ((1 << mantissaBits) - 1));
                var isTop = exponent == (1 << exponentBits) - 1;
                var size = exponent == 0
                    ? mantissa * Math.Pow(2, 1 - bias - mantissaBits)
                    : (1 + (mantissa * Math.Pow(2, -mantissaBits))) * Math.Pow(2, exponent - bias);
                var expected = exponentBits == 5 && isTop ? (mantissa == 0 ? double.PositiveInfinity : double.NaN) : exponentBits == 4 && isTop && mantissa == 7 ? double.NaN : size;
                Assert.Equal(bits < 128 ? expected : -expected, values[bits]);
            }
        }
    }

    [Fact]
    public void Rows_appended_one_after_another_make_the_whole_matrix()
    {
        using var scope = NewDisposeScope();
        var matrix = randn([7, 4]);
        var ids = arange(7);
        using (var writer = SafetensorsStreamWriter.Create(PathOf("rows"), [new("rows", ScalarType.Float32, [7, 4]), new("ids", ScalarType.Int64, [7])]))
        {
            for (var row = 0; row < 7; row += 2)
            {
                var count = Math.Min(2, 7 - row);
                writer.Append("rows", matrix.narrow(0, row, count));
                writer.Append("ids", ids.narrow(0, row, count));
            }

            Assert.False(File.Exists(PathOf("rows")));
            writer.Complete();
        }

        using var file = SafetensorsFile.Open(PathOf("rows"));
        Assert.True(matrix.equal(file.Read("rows")).all().item<bool>());
        Assert.True(ids.equal(file.Read("ids")).all().item<bool>());
    }

    [Theory]
    [InlineData(0, 7, 0, 4)]
    [InlineData(2, 3, 0, 4)]
    [InlineData(1, 4, 1, 2)]
    [InlineData(6, 1, 3, 1)]
    [InlineData(3, 0, 0, 4)]
    public void A_block_of_rows_and_columns_is_what_the_whole_matrix_has_there(int firstRow, int rows, int firstColumn, int columns)
    {
        using var scope = NewDisposeScope();
        var matrix = randn([7, 4]);
        SafetensorsWriter.Write(PathOf("m"), [("m", matrix)]);
        using var file = SafetensorsFile.Open(PathOf("m"));
        var block = file.ReadRows("m", firstRow, rows, firstColumn, columns);
        Assert.Equal([rows, columns], block.shape);
        Assert.True(matrix.narrow(0, firstRow, rows).narrow(1, firstColumn, columns).equal(block).all().item<bool>());
        Assert.Throws<ArgumentOutOfRangeException>(() => file.ReadRows("m", firstRow, 8 - firstRow));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.ReadRows("m", 0, 1, firstColumn, 5 - firstColumn));
    }

    [Fact]
    public void A_file_that_was_not_completed_leaves_nothing_and_keeps_the_old_one()
    {
        using var one = ones(2);
        SafetensorsWriter.Write(PathOf("old"), [("x", one)]);
        var before = File.ReadAllBytes(PathOf("old"));
        using (var writer = SafetensorsStreamWriter.Create(PathOf("old"), [new("x", ScalarType.Float32, [4])]))
        {
            writer.Append("x", one);
            Assert.Throws<InvalidOperationException>(writer.Complete);
        }

        Assert.Equal(before, File.ReadAllBytes(PathOf("old")));
        Assert.Single(Directory.GetFiles(_folder));
    }

    [Fact]
    public void Too_many_rows_unknown_names_and_other_types_are_the_callers_mistakes()
    {
        using var three = ones(3);
        using var writer = SafetensorsStreamWriter.Create(PathOf("x"), [new("x", ScalarType.Float32, [2])]);
        Assert.Throws<ArgumentException>(() => writer.Append("x", three));
        Assert.Throws<ArgumentException>(() => writer.Append("y", three));
        Assert.Throws<ArgumentException>(() => writer.Append("x", three.narrow(0, 0, 1).to(ScalarType.Float16)));
        Assert.Throws<ArgumentException>(() => SafetensorsStreamWriter.Create(PathOf("y"), [new("x", ScalarType.Float32, [2]), new("x", ScalarType.Float32, [2])]));
    }

    [Fact]
    public void A_file_cut_anywhere_is_refused_by_code()
    {
        using var one = randn([3, 3]);
        using var two = arange(4);
        SafetensorsWriter.Write(PathOf("whole"), [("one", one), ("two", two)]);
        var whole = File.ReadAllBytes(PathOf("whole"));
        for (var length = 0; length < whole.Length; length++)
        {
            var error = Refused(whole[..length]);
            Assert.StartsWith("GA230", error.Code, StringComparison.Ordinal);
        }

        Assert.Equal("GA2303", Refused([.. whole, 0]).Code);
    }

    [Fact]
    public void Headers_that_lie_are_refused_by_code()
    {
        var cases = new (string Json, string Code)[]
        {
            ("[]", "GA2302"),
            ("{", "GA2302"),
            ("{\"x\":1}", "GA2302"),
            ("{\"x\":{}}", "GA2302"),
            ("""{"x":{"dtype":"F32","shape":[2]}}""", "GA2302"),
            ("""{"x":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}}""", "GA2302"),
            ("""{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", "GA2302"),
            ("""{"__metadata__":{"a":1},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", "GA2302"),
            ("""{"x":{"dtype":"Q9","shape":[2],"data_offsets":[0,8]}}""", "GA2304"),
            ("""{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", "GA2303"),
            ("""{"x":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", "GA2303"),
            ("""{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}""", "GA2303"),
            ("""{"x":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", "GA2303"),
            ("""{"x":{"dtype":"F32","shape":[-2,-1],"data_offsets":[0,8]}}""", "GA2303"),
            ("""{"x":{"dtype":"F32","shape":[4611686018427387904,4611686018427387904,4],"data_offsets":[0,8]}}""", "GA2303"),
            ("""{"x":{"dtype":"F32","shape":[2],"data_offsets":[9223372036854775799,9223372036854775807]}}""", "GA2303"),
            ("""{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", "GA2303"),
            ("""{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"y":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", "GA2303"),
        };
        foreach (var (json, code) in cases)
        {
            var error = Refused([.. BitConverter.GetBytes((long)Encoding.UTF8.GetByteCount(json)), .. Encoding.UTF8.GetBytes(json), .. new byte[8]]);
            Assert.True(code == error.Code, $"{json}: {error.Code} {error.Message}");
        }

        Assert.Equal("GA2302", Refused([.. BitConverter.GetBytes(long.MaxValue), .. new byte[100]]).Code);
        Assert.Equal("GA2302", Refused([.. BitConverter.GetBytes(-1L), .. new byte[100]]).Code);
        Assert.Equal("GA2302", Refused([.. BitConverter.GetBytes(93L), .. new byte[92]]).Code);
    }

    [Fact]
    public void Missing_files_and_tensors_are_named()
    {
        Assert.Equal("GA2301", Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(PathOf("nowhere"))).Code);
        Assert.Equal("GA2301", Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(_folder)).Code);
        using var one = ones(1);
        SafetensorsWriter.Write(PathOf("one"), [("x", one)]);
        using var file = SafetensorsFile.Open(PathOf("one"));
        Assert.Contains("no tensor y", Assert.Throws<CheckpointException>(() => file.Read("y")).Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_of_the_python_library_is_read()
    {
        using var file = SafetensorsFile.Open(Fixtures.Need("models/llama/model.safetensors"));
        Assert.Equal("pt", file.Metadata["format"]);
        Assert.Equal([240L, 48], file.Entry("model.embed_tokens.weight").Shape);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string PathOf(string name) => Path.Combine(_folder, $"{name}.safetensors");

    private CheckpointException Refused(byte[] bytes)
    {
        File.WriteAllBytes(PathOf("rubbish"), bytes);
        return Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(PathOf("rubbish")).Dispose());
    }
}
