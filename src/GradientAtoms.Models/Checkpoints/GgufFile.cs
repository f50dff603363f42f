using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Checkpoints;

/// <summary>One tensor of a GGUF file.</summary>
/// <param name="Name">As the file spells it: <c>blk.0.attn_q.weight</c>.</param>
/// <param name="Type">How it is stored: <c>Q4_1</c>.</param>
/// <param name="Shape">Row-major, <c>[out, in]</c>: the file's sizes reversed.</param>
/// <param name="Offset">First byte, from the start of the file.</param>
public sealed record GgufTensor(string Name, string Type, IReadOnlyList<long> Shape, long Offset);

/// <summary>A GGUF file (versions 2 and 3, little-endian), open for reading: metadata, and tensors as float32.</summary>
/// <remarks>The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.</remarks>
public sealed class GgufFile : IDisposable
{
    private readonly SafeFileHandle _handle;
    private readonly Dictionary<string, GgufTensor> _byName;

    private GgufFile(string path, SafeFileHandle handle, GgufHeader header)
    {
        (Path, _handle) = (path, handle);
        Length = RandomAccess.GetLength(handle);
        Version = header.Version;
        Alignment = header.Alignment;
        DataOffset = header.DataOffset;
        Metadata = header.Metadata;
        Tensors = header.Tensors;
        _byName = Tensors.ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Bytes of the file.</summary>
    public long Length { get; }

    /// <summary>2 or 3.</summary>
    public int Version { get; }

    /// <summary>Tensors begin at multiples of this many bytes.</summary>
    public long Alignment { get; }

    /// <summary>Where the tensors begin.</summary>
    public long DataOffset { get; }

    /// <summary>
    /// The metadata. Numbers and booleans have their own types (<c>uint</c>, <c>float</c>, …), strings are <c>string</c>, arrays are arrays of those
    /// (<c>string[]</c>, <c>int[]</c>), arrays of arrays are <c>object[]</c>.
    /// </summary>
    public IReadOnlyDictionary<string, object> Metadata { get; }

    /// <summary>The tensors, in the file's order.</summary>
    public IReadOnlyList<GgufTensor> Tensors { get; }

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="CheckpointException">GA2301, GA2310, GA2311, GA2313: no such file, no GGUF, counts or lengths beyond the file, an unknown type.</exception>
    public static GgufFile Open(string path)
    {
        try
        {
            GgufHeader header;
            using (var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 1 << 16))
            {
                header = GgufHeader.Read(path, stream);
            }

            return new GgufFile(path, File.OpenHandle(path), header);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw CheckpointException.Missing(path, exception);
        }
    }

    /// <summary>Whether a file begins as a GGUF file does.</summary>
    public static bool IsGguf(string path)
    {
        try
        {
            using var stream = File.OpenRead(path);
            Span<byte> magic = stackalloc byte[4];
            return stream.ReadAtLeast(magic, 4, throwOnEndOfStream: false) == 4 && magic.SequenceEqual("GGUF"u8);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>Whether the file has a tensor of this name.</summary>
    public bool Contains(string name) => _byName.ContainsKey(name);

    /// <summary>What the header says of a tensor.</summary>
    public GgufTensor Tensor(string name) => _byName.TryGetValue(name, out var tensor)
        ? tensor
        : throw new CheckpointException("GA2305", Path, $"has no tensor {name}", "The file is of another architecture, or incomplete: fetch it again.");

    /// <summary>A metadata value as a string, or null where it is absent.</summary>
    public string? String(string key) => Value<string>(key);

    /// <summary>A metadata value as an integer, or null where it is absent.</summary>
    /// <exception cref="CheckpointException">GA2311: it is no integer.</exception>
    public long? Integer(string key) => Metadata.GetValueOrDefault(key) switch
    {
        null => null,
        byte or sbyte or ushort or short or uint or int or long => Convert.ToInt64(Metadata[key], System.Globalization.CultureInfo.InvariantCulture),
        ulong value when value <= long.MaxValue => (long)value,
        var other => throw WrongType(key, "an integer", other),
    };

    /// <summary>A metadata value as a number, or null where it is absent.</summary>
    /// <exception cref="CheckpointException">GA2311: it is no number.</exception>
    public double? Number(string key) => Metadata.GetValueOrDefault(key) switch
    {
        null => null,
        // The shortest decimal of a float32 is what was meant: 1e-5, not 9.999999747378752e-06.
        float value => double.Parse(value.ToString("R", System.Globalization.CultureInfo.InvariantCulture), System.Globalization.CultureInfo.InvariantCulture),
        double value => value,
        _ => Integer(key),
    };

    /// <summary>A metadata value as a boolean, or null where it is absent.</summary>
    public bool? Boolean(string key) => Metadata.GetValueOrDefault(key) is { } value ? value as bool? ?? throw WrongType(key, "a boolean", value) : null;

    /// <summary>A metadata value as an array of strings, or null where it is absent.</summary>
    public IReadOnlyList<string>? Strings(string key) => Value<string[]>(key);

    /// <summary>A metadata value as an array of 32-bit integers, or null where it is absent.</summary>
    public IReadOnlyList<int>? Integers(string key) => Metadata.GetValueOrDefault(key) is uint[] unsigned
        ? [.. unsigned.Select(value => unchecked((int)value))]
        : Value<int[]>(key);

    /// <summary>Reads a tensor as float32: dequantised, otherwise as it lies in the file.</summary>
    /// <returns>On the CPU, of the tensor's row-major shape. The caller owns it.</returns>
    /// <exception cref="CheckpointException">GA2313: this quantisation is not supported.</exception>
    public Tensor Read(string name)
    {
        var entry = Tensor(name);
        var format = GgufFormats.Find(entry.Type);
        if (format.Decode is not { } decode)
        {
            throw new CheckpointException("GA2313", Path, $"{name} is stored as {entry.Type}, which is not supported", $"Use a file with {GgufFormats.Supported}.");
        }

        var result = empty([.. entry.Shape], dtype: ScalarType.Float32);
        using var flat = result.view(-1);
        const int blocksAtOnce = 1 << 15;
        var bytes = new byte[blocksAtOnce * format.BlockBytes];
        var blocks = flat.numel() / format.BlockSize;
        for (var block = 0L; block < blocks; block += blocksAtOnce)
        {
            var count = (int)Math.Min(blocksAtOnce, blocks - block);
            var part = bytes.AsSpan(0, count * format.BlockBytes);
            TensorBytes.Fill(_handle, Path, entry.Offset + (block * format.BlockBytes), part);
            using var values = flat.narrow(0, block * format.BlockSize, (long)count * format.BlockSize);
            decode(part, System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(values.bytes));
        }

        return result;
    }

    /// <summary>SHA-256 of everything before the tensors, in hexadecimal digits.</summary>
    public string HeaderSha256()
    {
        var header = new byte[DataOffset];
        TensorBytes.Fill(_handle, Path, 0, header.AsSpan(0, (int)Math.Min(DataOffset, Length)));
        return Convert.ToHexStringLower(SHA256.HashData(header));
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    private T? Value<T>(string key)
        where T : class => Metadata.GetValueOrDefault(key) is { } value ? value as T ?? throw WrongType(key, typeof(T).Name, value) : null;

    private CheckpointException WrongType(string key, string expected, object found) =>
        new("GA2311", Path, $"metadata {key} should be {expected} and is {found.GetType().Name}", "The file was written by something else: convert it again.");
}
