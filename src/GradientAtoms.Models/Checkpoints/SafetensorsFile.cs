using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Checkpoints;

/// <summary>One tensor of a safetensors file.</summary>
/// <param name="Name">Its name.</param>
/// <param name="StoredType">As the file spells it: <c>F32</c>, <c>BF16</c>.</param>
/// <param name="Shape">Row-major.</param>
/// <param name="Offset">First byte, from the start of the file.</param>
/// <param name="ByteCount">Bytes.</param>
public sealed record SafetensorsEntry(string Name, string StoredType, IReadOnlyList<long> Shape, long Offset, long ByteCount);

/// <summary>
/// A safetensors file, open for reading. The header is checked against the file's length when it is opened; tensors are read
/// when asked for, straight into their memory, and nothing stays mapped. Any number of threads may read at once.
/// </summary>
/// <remarks>The format: https://huggingface.co/docs/safetensors. Eight bytes of header length, a JSON header, then the tensors without gaps.</remarks>
public sealed class SafetensorsFile : IDisposable
{
    // The format's own limit: what says more is no safetensors file.
    private const long LargestHeader = 100_000_000;

    private readonly SafeFileHandle _handle;
    private readonly Dictionary<string, SafetensorsEntry> _entries;

    private SafetensorsFile(string path, SafeFileHandle handle, byte[] header)
    {
        Path = path;
        _handle = handle;
        Length = RandomAccess.GetLength(handle);
        HeaderSha256 = Convert.ToHexStringLower(SHA256.HashData(header));
        (_entries, Metadata) = SafetensorsHeader.Parse(path, header, dataOffset: 8 + header.Length, Length);
        Names = [.. _entries.Values.OrderBy(entry => entry.Offset).Select(entry => entry.Name)];
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Bytes of the file.</summary>
    public long Length { get; }

    /// <summary>SHA-256 of the header's bytes, in hexadecimal digits.</summary>
    public string HeaderSha256 { get; }

    /// <summary>The tensors' names, in the order in which they lie in the file.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>The strings of <c>__metadata__</c>.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="CheckpointException">GA2301 to GA2304: no such file, no valid header, tensors that do not fit the file.</exception>
    public static SafetensorsFile Open(string path)
    {
        SafeFileHandle handle;
        try
        {
            handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, FileOptions.RandomAccess);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw CheckpointException.Missing(path, exception);
        }

        try
        {
            return new SafetensorsFile(path, handle, ReadHeader(path, handle));
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Whether the file has a tensor of this name.</summary>
    public bool Contains(string name) => _entries.ContainsKey(name);

    /// <summary>What the header says of a tensor.</summary>
    /// <exception cref="CheckpointException">GA2305: there is no such tensor.</exception>
    public SafetensorsEntry Entry(string name) => _entries.TryGetValue(name, out var entry)
        ? entry
        : throw new CheckpointException("GA2305", Path, $"has no tensor {name}", "The file belongs to something else, or was written by another version: write it again.");

    /// <summary>Reads a tensor; floating types are converted to float32, integers and booleans stay as they are.</summary>
    /// <returns>On the CPU, of the entry's shape. The caller owns it.</returns>
    public Tensor Read(string name)
    {
        if (EightBitFloats.TableOf(Entry(name).StoredType) is { } table)
        {
            return ReadEightBits(Entry(name), table);
        }

        var raw = ReadRaw(name);
        if (raw.dtype == ScalarType.Float32 || !raw.is_floating_point())
        {
            return raw;
        }

        using (raw)
        {
            return raw.to(ScalarType.Float32);
        }
    }

    /// <summary>Reads a tensor in the type in which it is stored.</summary>
    /// <returns>On the CPU, of the entry's shape. The caller owns it.</returns>
    public Tensor ReadRaw(string name)
    {
        var entry = Entry(name);
        var result = empty([.. entry.Shape], dtype: TorchType(entry));
        TensorBytes.Read(_handle, Path, entry.Offset, result);
        return result;
    }

    /// <summary>Reads a block of a float32 matrix and no more of the file than that.</summary>
    /// <param name="name">A float32 tensor <c>[N, d]</c>.</param>
    /// <param name="firstRow">From 0.</param>
    /// <param name="rowCount">Rows to read.</param>
    /// <param name="firstColumn">From 0.</param>
    /// <param name="columnCount">Columns to read; all that follow the first where null.</param>
    /// <returns><c>[rowCount, columnCount]</c>, float32, on the CPU. The caller owns it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The block lies outside of the matrix.</exception>
    public Tensor ReadRows(string name, long firstRow, long rowCount, long firstColumn = 0, long? columnCount = null)
    {
        var entry = RowsEntry(name);
        var (rows, width) = (entry.Shape[0], entry.Shape[1]);
        var columns = columnCount ?? width - firstColumn;
        ArgumentOutOfRangeException.ThrowIfNegative(firstRow);
        ArgumentOutOfRangeException.ThrowIfNegative(rowCount);
        ArgumentOutOfRangeException.ThrowIfNegative(firstColumn);
        ArgumentOutOfRangeException.ThrowIfNegative(columns, nameof(columnCount));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstRow, rows - rowCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstColumn, width - columns);
        var result = empty([rowCount, columns], dtype: ScalarType.Float32);
        if (columns == width)
        {
            TensorBytes.Read(_handle, Path, entry.Offset + (firstRow * width * sizeof(float)), result);
            return result;
        }

        using var scope = NewDisposeScope();
        for (var row = 0L; row < rowCount; row++)
        {
            using var line = result[row];
            TensorBytes.Read(_handle, Path, entry.Offset + ((((firstRow + row) * width) + firstColumn) * sizeof(float)), line);
        }

        return result;
    }

    /// <summary>Reads a range of columns of a float32 matrix, each row straight to its place.</summary>
    /// <param name="name">A float32 tensor <c>[n, d]</c>.</param>
    /// <param name="firstColumn">From 0.</param>
    /// <param name="destination"><c>[N, columns]</c>, float32, contiguous, on the CPU, of less than 2 GiB.</param>
    /// <param name="places"><c>[n]</c>: the row of the destination that each row goes to.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range lies outside of the matrix, or a place outside of the destination.</exception>
    public void ReadColumns(string name, long firstColumn, Tensor destination, ReadOnlySpan<long> places)
    {
        var entry = RowsEntry(name);
        var (width, columns) = (entry.Shape[1], destination.shape[1]);
        ArgumentOutOfRangeException.ThrowIfNegative(firstColumn);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstColumn, width - columns);
        ArgumentOutOfRangeException.ThrowIfNotEqual(places.Length, entry.Shape[0], nameof(places));
        var bytes = destination.bytes;
        var length = (int)columns * sizeof(float);
        for (var row = 0; row < places.Length; row++)
        {
            TensorBytes.Fill(_handle, Path, entry.Offset + (((row * width) + firstColumn) * sizeof(float)), bytes.Slice((int)(places[row] * length), length));
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    private SafetensorsEntry RowsEntry(string name)
    {
        var entry = Entry(name);
        return entry.Shape.Count == 2 && entry.StoredType == "F32"
            ? entry
            : throw new CheckpointException("GA2304", Path, $"{name} is {entry.StoredType} {SafetensorsHeader.Spell(entry.Shape)}, rows are read from float32 matrices", "Read it as a whole.");
    }

    private static byte[] ReadHeader(string path, SafeFileHandle handle)
    {
        var fileLength = RandomAccess.GetLength(handle);
        Span<byte> prefix = stackalloc byte[8];
        if (fileLength < 8 || RandomAccess.Read(handle, prefix, 0) < 8)
        {
            throw CheckpointException.Header(path, $"has {fileLength} bytes, too few for a header");
        }

        var headerLength = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (headerLength < 2 || headerLength > (ulong)Math.Min(LargestHeader, fileLength - 8))
        {
            throw CheckpointException.Header(path, $"says that its header has {headerLength} bytes, in a file of {fileLength}");
        }

        var header = new byte[headerLength];
        TensorBytes.Fill(handle, path, 8, header);
        return header;
    }

    private Tensor ReadEightBits(SafetensorsEntry entry, float[] table)
    {
        const int most = 1 << 24;
        var result = empty([.. entry.Shape], dtype: ScalarType.Float32);
        if (result.numel() == 0)
        {
            return result;
        }

        using var flat = result.view(-1);
        var bytes = new byte[Math.Min(most, entry.ByteCount)];
        for (var start = 0L; start < entry.ByteCount; start += most)
        {
            var part = bytes.AsSpan(0, (int)Math.Min(most, entry.ByteCount - start));
            TensorBytes.Fill(_handle, Path, entry.Offset + start, part);
            using var values = flat.narrow(0, start, part.Length);
            var floats = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(values.bytes);
            for (var i = 0; i < part.Length; i++)
            {
                floats[i] = table[part[i]];
            }
        }

        return result;
    }

    private ScalarType TorchType(SafetensorsEntry entry) => SafetensorsHeader.TorchType(entry.StoredType)
        ?? throw new CheckpointException("GA2304", Path, $"{entry.Name} is stored as {entry.StoredType}, which is not supported", "Convert it to F32, F16 or BF16.");
}

/// <summary>The JSON header of a safetensors file.</summary>
internal static class SafetensorsHeader
{
    private static readonly (string Name, ScalarType? Type, int Bits)[] Types =
    [
        ("F64", ScalarType.Float64, 64), ("F32", ScalarType.Float32, 32), ("F16", ScalarType.Float16, 16), ("BF16", ScalarType.BFloat16, 16),
        ("I64", ScalarType.Int64, 64), ("I32", ScalarType.Int32, 32), ("I16", ScalarType.Int16, 16), ("I8", ScalarType.Int8, 8), ("U8", ScalarType.Byte, 8), ("BOOL", ScalarType.Bool, 8),
        ("U64", null, 64), ("U32", null, 32), ("U16", null, 16), ("C64", null, 64), ("F8_E4M3", null, 8), ("F8_E5M2", null, 8), ("F8_E8M0", null, 8), ("F4", null, 4),
    ];

    public static ScalarType? TorchType(string storedType) => Array.Find(Types, type => type.Name == storedType).Type;

    public static string? StoredType(ScalarType type) => Array.Find(Types, known => known.Type == type).Name;

    public static int BitsOf(string storedType) => Array.Find(Types, type => type.Name == storedType).Bits;

    public static string Spell(IEnumerable<long> shape) => $"[{string.Join(", ", shape)}]";

    public static (Dictionary<string, SafetensorsEntry> Entries, Dictionary<string, string> Metadata) Parse(string path, byte[] header, long dataOffset, long fileLength)
    {
        var entries = new Dictionary<string, SafetensorsEntry>(StringComparer.Ordinal);
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        try
        {
            // Two tensors of one name would let readers disagree on which one counts.
            using var document = JsonDocument.Parse(header, new JsonDocumentOptions { AllowDuplicateProperties = false });
            foreach (var property in document.RootElement.EnumerateObject())
            {
                if (property.Name == "__metadata__")
                {
                    foreach (var item in property.Value.EnumerateObject())
                    {
                        metadata.Add(item.Name, item.Value.GetString() ?? "");
                    }
                }
                else
                {
                    entries.Add(property.Name, ParseEntry(path, property, dataOffset));
                }
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or FormatException or KeyNotFoundException)
        {
            throw CheckpointException.Header(path, $"has no valid header ({exception.Message})", exception);
        }

        var end = dataOffset;
        foreach (var entry in entries.Values.OrderBy(entry => entry.Offset).ThenBy(entry => entry.ByteCount))
        {
            if (entry.Offset != end)
            {
                throw new CheckpointException("GA2303", path, $"{entry.Name} begins at byte {entry.Offset} of the file, the tensor before it ends at {end}", "The header is damaged: fetch or write the file again.");
            }

            end += entry.ByteCount;
        }

        if (end != fileLength)
        {
            throw new CheckpointException("GA2303", path, $"its tensors end at byte {end}, the file has {fileLength}", "The file is truncated or has something appended: fetch or write it again.");
        }

        return (entries, metadata);
    }

    private static SafetensorsEntry ParseEntry(string path, JsonProperty property, long dataOffset)
    {
        var (name, value) = (property.Name, property.Value);
        var storedType = value.GetProperty("dtype").GetString() ?? "";
        var bits = BitsOf(storedType);
        if (bits == 0)
        {
            throw new CheckpointException("GA2304", path, $"{name} is stored as '{storedType}', which is not known", "Convert it to F32, F16 or BF16.");
        }

        var shape = value.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64()).ToArray();
        var offsets = value.GetProperty("data_offsets").EnumerateArray().Select(offset => offset.GetInt64()).ToArray();
        Int128 elements = 1;
        foreach (var size in shape)
        {
            elements = size < 0 || elements > long.MaxValue ? -1 : elements * size;
            if (elements < 0)
            {
                break;
            }
        }

        if (offsets.Length != 2 || offsets[0] < 0 || offsets[1] < offsets[0] || offsets[1] > long.MaxValue - dataOffset || elements < 0
            || ((elements * bits) + 7) / 8 != offsets[1] - offsets[0])
        {
            throw new CheckpointException(
                "GA2303", path, $"{name} is {storedType} {Spell(shape)} in bytes {Spell(offsets)}, which do not fit together", "The header is damaged: fetch or write the file again.");
        }

        return new(name, storedType, shape, dataOffset + offsets[0], offsets[1] - offsets[0]);
    }
}
