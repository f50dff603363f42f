using System.Text;

namespace GradientAtoms.Models.Checkpoints;

/// <summary>Writes small GGUF files: version 3, little-endian, aligned to 32 bytes. An int among the metadata is written as uint32, as converters do; in a list it is an int32.</summary>
internal sealed class GgufWriter
{
    private readonly List<(string Key, object Value)> _metadata = [];
    private readonly List<(string Name, long[] Shape, uint Type, byte[] Bytes)> _tensors = [];

    /// <summary>Adds metadata: a number, a truth value, a string, or an array of them.</summary>
    public GgufWriter With(string key, object value)
    {
        _metadata.Add((key, value));
        return this;
    }

    /// <summary>Adds a tensor.</summary>
    /// <param name="name">llama.cpp's name.</param>
    /// <param name="shape">Row-major.</param>
    /// <param name="type">ggml's number.</param>
    /// <param name="bytes">Its blocks.</param>
    public GgufWriter Tensor(string name, long[] shape, uint type, byte[] bytes)
    {
        _tensors.Add((name, shape, type, bytes));
        return this;
    }

    /// <summary>Writes the file beside its place and renames it.</summary>
    public void Write(string path)
    {
        var beside = $"{path}.{Environment.ProcessId}.{Guid.NewGuid():N}.tmp";
        try
        {
            File.WriteAllBytes(beside, ToArray());
            File.Move(beside, path, overwrite: true);
        }
        finally
        {
            File.Delete(beside);
        }
    }

    /// <summary>The file's bytes.</summary>
    public byte[] ToArray()
    {
        using var buffer = new MemoryStream();
        using var writer = new BinaryWriter(buffer);
        void Text(string text)
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            writer.Write((ulong)bytes.Length);
            writer.Write(bytes);
        }

        writer.Write("GGUF"u8);
        writer.Write(3);
        writer.Write((ulong)_tensors.Count);
        writer.Write((ulong)_metadata.Count);
        foreach (var (key, value) in _metadata)
        {
            Text(key);
            Typed(value is int size ? (uint)size : value);
        }

        void Typed(object value)
        {
            writer.Write(TypeOf(value));
            Value(value);
        }

        void Value(object value)
        {
            switch (value)
            {
                case byte number: writer.Write(number); break;
                case short number: writer.Write(number); break;
                case uint number: writer.Write(number); break;
                case int number: writer.Write(number); break;
                case ulong number: writer.Write(number); break;
                case float number: writer.Write(number); break;
                case bool boolean: writer.Write(boolean); break;
                case string text: Text(text); break;
                case Array items:
                    writer.Write(TypeOf(items.GetValue(0)!));
                    writer.Write((ulong)items.Length);
                    foreach (var item in items)
                    {
                        Value(item);
                    }

                    break;
                default: throw new ArgumentException($"{value.GetType()} has no GGUF type here");
            }
        }

        static int TypeOf(object value) => value switch
        {
            byte => 0, short => 3, uint => 4, int => 5, float => 6, bool => 7, string => 8, Array => 9, ulong => 10,
            _ => throw new ArgumentException($"{value.GetType()} has no GGUF type here"),
        };

        var offset = 0UL;
        foreach (var (name, shape, type, bytes) in _tensors)
        {
            Text(name);
            writer.Write(shape.Length);
            foreach (var size in shape.Reverse())
            {
                writer.Write((ulong)size);
            }

            writer.Write(type);
            writer.Write(offset);
            offset += ((ulong)bytes.Length + 31) / 32 * 32;
        }

        void Pad()
        {
            while (buffer.Position % 32 != 0)
            {
                writer.Write((byte)0);
            }
        }

        Pad();
        foreach (var (_, _, _, bytes) in _tensors)
        {
            writer.Write(bytes);
            Pad();
        }

        writer.Flush();
        return buffer.ToArray();
    }
}
