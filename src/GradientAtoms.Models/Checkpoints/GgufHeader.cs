using System.Buffers.Binary;
using System.Text;

namespace GradientAtoms.Models.Checkpoints;

/// <summary>Everything in a GGUF file before the tensors' bytes. No count or length is believed before it fits the file.</summary>
internal sealed record GgufHeader(int Version, long Alignment, long DataOffset, IReadOnlyDictionary<string, object> Metadata, IReadOnlyList<GgufTensor> Tensors)
{
    private const int DeepestArray = 4;

    public static GgufHeader Read(string path, Stream stream) => new Reader(path, stream).Header();

    private sealed class Reader(string path, Stream stream)
    {
        private readonly long _length = stream.Length;
        private readonly byte[] _scratch = new byte[8];
        private long _position;

        public GgufHeader Header()
        {
            if (_length < 24 || !Bytes(4).SequenceEqual("GGUF"u8))
            {
                throw CheckpointException.Gguf(path, "does not begin as a GGUF file does");
            }

            var version = UInt32();
            if (version is not (2 or 3))
            {
                throw CheckpointException.Gguf(path, $"is GGUF version {version}; versions 2 and 3, little-endian, are supported");
            }

            var tensorCount = Count(UInt64(), smallest: 24, "tensors");
            var valueCount = Count(UInt64(), smallest: 13, "metadata values");
            var metadata = new Dictionary<string, object>(StringComparer.Ordinal);
            for (var i = 0L; i < valueCount; i++)
            {
                var key = String("a metadata key");
                if (!metadata.TryAdd(key, Value(UInt32(), key, depth: 0)))
                {
                    throw Wrong($"has metadata {key} twice");
                }
            }

            var alignment = metadata.GetValueOrDefault("general.alignment") is uint stated ? stated : 32L;
            if (alignment is < 1 or > (1 << 20))
            {
                throw Wrong($"says that tensors are aligned to {alignment} bytes");
            }

            var tensors = new List<GgufTensor>();
            for (var i = 0L; i < tensorCount; i++)
            {
                tensors.Add(Tensor());
            }

            var dataOffset = (_position + alignment - 1) / alignment * alignment;
            return new(
                (int)version, alignment, dataOffset, metadata,
                Place(tensors, alignment, dataOffset));
        }

        private GgufTensor Tensor()
        {
            var name = String("a tensor's name");
            var dimensions = UInt32();
            if (dimensions > 4)
            {
                throw Wrong($"{name} has {dimensions} dimensions");
            }

            var shape = new long[dimensions];
            for (var i = shape.Length - 1; i >= 0; i--)
            {
                var size = UInt64();
                shape[i] = size <= int.MaxValue ? (long)size : throw Wrong($"{name} has a dimension of {size}");
            }

            var type = UInt32();
            var format = GgufFormats.Find(type)
                ?? throw new CheckpointException("GA2313", path, $"{name} is stored as type {type}, which is not known", $"Use a file with {GgufFormats.Supported}.");
            var offset = UInt64();
            return offset <= (ulong)_length ? new(name, format, shape, (long)offset) : throw Wrong($"{name} begins at byte {offset} of the data, the file has {_length}");
        }

        private List<GgufTensor> Place(List<GgufTensor> tensors, long alignment, long dataOffset)
        {
            var placed = new List<GgufTensor>(tensors.Count);
            var names = new HashSet<string>(StringComparer.Ordinal);
            foreach (var tensor in tensors)
            {
                var format = GgufFormats.Find(tensor.Type);
                var elements = tensor.Shape.Aggregate((Int128)1, (product, size) => product > long.MaxValue ? product : product * size);
                if (!names.Add(tensor.Name))
                {
                    throw Wrong($"has tensor {tensor.Name} twice");
                }

                if (tensor.Offset % alignment != 0 || tensor.Shape.Count == 0 || tensor.Shape[^1] % format.BlockSize != 0
                    || dataOffset + tensor.Offset + (elements / format.BlockSize * format.BlockBytes) > _length)
                {
                    throw Wrong($"{tensor.Name}, {tensor.Type} {SafetensorsHeader.Spell(tensor.Shape)} at byte {tensor.Offset} of the data, does not fit the file of {_length} bytes");
                }

                placed.Add(tensor with { Offset = dataOffset + tensor.Offset });
            }

            var end = 0L;
            GgufTensor? before = null;
            foreach (var tensor in placed.OrderBy(tensor => tensor.Offset))
            {
                if (tensor.Offset < end)
                {
                    throw Wrong($"{tensor.Name} lies over {before!.Name}");
                }

                var format = GgufFormats.Find(tensor.Type);
                end = tensor.Offset + (tensor.Shape.Aggregate(1L, (product, size) => product * size) / format.BlockSize * format.BlockBytes);
                before = tensor;
            }

            return placed;
        }

        private object Value(uint type, string key, int depth) => type switch
        {
            0 => Bytes(1)[0],
            1 => (sbyte)Bytes(1)[0],
            2 => BinaryPrimitives.ReadUInt16LittleEndian(Bytes(2)),
            3 => BinaryPrimitives.ReadInt16LittleEndian(Bytes(2)),
            4 => UInt32(),
            5 => BinaryPrimitives.ReadInt32LittleEndian(Bytes(4)),
            6 => BinaryPrimitives.ReadSingleLittleEndian(Bytes(4)),
            7 => Bytes(1)[0] != 0,
            8 => String(key),
            9 => ArrayOf(UInt32(), key, depth + 1),
            10 => UInt64(),
            11 => BinaryPrimitives.ReadInt64LittleEndian(Bytes(8)),
            12 => BinaryPrimitives.ReadDoubleLittleEndian(Bytes(8)),
            _ => throw Wrong($"metadata {key} has type {type}, which is not known"),
        };

        private object ArrayOf(uint type, string key, int depth)
        {
            if (depth > DeepestArray)
            {
                throw Wrong($"metadata {key} has arrays in arrays in arrays");
            }

            var smallest = type switch { 0 or 1 or 7 => 1, 2 or 3 => 2, 4 or 5 or 6 => 4, 8 or 10 or 11 or 12 => 8, 9 => 12, _ => throw Wrong($"metadata {key} is an array of type {type}, which is not known") };
            var count = (int)Count(UInt64(), smallest, $"values of {key}", int.MaxValue);
            return type switch
            {
                0 => Fill<byte>(),
                1 => Fill<sbyte>(),
                2 => Fill<ushort>(),
                3 => Fill<short>(),
                4 => Fill<uint>(),
                5 => Fill<int>(),
                6 => Fill<float>(),
                7 => Fill<bool>(),
                8 => Fill<string>(),
                10 => Fill<ulong>(),
                11 => Fill<long>(),
                12 => Fill<double>(),
                _ => Fill<object>(),
            };

            T[] Fill<T>()
            {
                var values = new T[count];
                for (var i = 0; i < count; i++)
                {
                    values[i] = (T)Value(type, key, depth);
                }

                return values;
            }
        }

        private string String(string what)
        {
            var length = Count(UInt64(), smallest: 1, $"bytes of {what}", 1 << 28);
            var bytes = new byte[length];
            ReadExactly(bytes);
            return Encoding.UTF8.GetString(bytes);
        }

        private long Count(ulong count, int smallest, string what, long largest = long.MaxValue) =>
            count <= (ulong)Math.Min(largest, (_length - _position) / smallest)
                ? (long)count
                : throw Wrong($"says that it has {count} {what}, with {_length - _position} bytes left");

        private uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4));

        private ulong UInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Bytes(8));

        private ReadOnlySpan<byte> Bytes(int count)
        {
            var bytes = _scratch.AsSpan(0, count);
            ReadExactly(bytes);
            return bytes;
        }

        private void ReadExactly(Span<byte> bytes)
        {
            if (stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false) < bytes.Length)
            {
                throw CheckpointException.Gguf(path, $"ends at byte {_length}, in its header");
            }

            _position += bytes.Length;
        }

        private CheckpointException Wrong(string problem) => new("GA2311", path, problem, "The file is truncated or damaged: fetch it again.");
    }
}
