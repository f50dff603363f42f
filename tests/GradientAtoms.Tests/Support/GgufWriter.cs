using System.Text;

namespace GradientAtoms.Tests.Support;

/// <summary>Writes GGUF files for tests: version 3, little-endian, aligned to 32 bytes.</summary>
internal sealed class GgufWriter
{
    private readonly List<(string Key, object Value)> _metadata = [];
    private readonly List<(string Name, long[] Shape, uint Type, byte[] Bytes)> _tensors = [];

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

    public void Write(string path)
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
            switch (value)
            {
                case string text:
                    writer.Write(8);
                    Text(text);
                    break;
                case bool boolean:
                    writer.Write(7);
                    writer.Write(boolean);
                    break;
                case float number:
                    writer.Write(6);
                    writer.Write(number);
                    break;
                default:
                    writer.Write(4);
                    writer.Write(Convert.ToUInt32(value, System.Globalization.CultureInfo.InvariantCulture));
                    break;
            }
        }

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
        File.WriteAllBytes(path, buffer.ToArray());
    }
}
