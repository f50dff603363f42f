using System.Buffers.Binary;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Checkpoints;

/// <summary>A tensor that is going to be written.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">float64, float32, float16, bfloat16, int64, int32, int16, int8, uint8 or bool.</param>
/// <param name="Shape">Row-major.</param>
public sealed record SafetensorsDeclaration(string Name, ScalarType Type, IReadOnlyList<long> Shape);

/// <summary>Writes safetensors files: the same tensors give the same bytes, whatever order they come in.</summary>
public static class SafetensorsWriter
{
    /// <summary>Writes a file beside its place and renames it.</summary>
    /// <param name="path">The file; replaced where it exists.</param>
    /// <param name="tensors">On any device; left to the caller.</param>
    /// <param name="metadata">Strings for <c>__metadata__</c>.</param>
    /// <exception cref="ArgumentException">Two tensors of one name, or a type that the format does not have.</exception>
    public static void Write(string path, IEnumerable<(string Name, Tensor Tensor)> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var all = tensors.ToList();
        using var writer = SafetensorsStreamWriter.Create(path, all.Select(item => new SafetensorsDeclaration(item.Name, item.Tensor.dtype, item.Tensor.shape)), metadata);
        foreach (var (name, tensor) in all)
        {
            writer.Append(name, tensor);
        }

        writer.Complete();
    }
}

/// <summary>
/// Writes a safetensors file piece by piece: names and shapes first, then each tensor's rows in their order, tensors in any order.
/// The file has its name only after <see cref="Complete"/>; what is disposed before is deleted.
/// </summary>
public sealed class SafetensorsStreamWriter : IDisposable
{
    private readonly string _path;
    private readonly string _beside;
    private readonly SafeFileHandle _handle;
    private readonly Dictionary<string, Region> _regions;
    private bool _complete;

    private sealed class Region(SafetensorsDeclaration declaration, long start, long end)
    {
        public SafetensorsDeclaration Declaration { get; } = declaration;

        public long Position { get; set; } = start;

        public long End { get; } = end;
    }

    private SafetensorsStreamWriter(string path, string beside, SafeFileHandle handle, Dictionary<string, Region> regions)
    {
        _path = path;
        _beside = beside;
        _handle = handle;
        _regions = regions;
    }

    /// <summary>Writes the header.</summary>
    /// <param name="path">The file; replaced by <see cref="Complete"/> where it exists.</param>
    /// <param name="declarations">Every tensor of the file.</param>
    /// <param name="metadata">Strings for <c>__metadata__</c>.</param>
    public static SafetensorsStreamWriter Create(string path, IEnumerable<SafetensorsDeclaration> declarations, IReadOnlyDictionary<string, string>? metadata = null)
    {
        // Wide types first, so that every tensor is aligned to its element; then by name.
        var ordered = declarations.OrderByDescending(item => Bytes(item.Type)).ThenBy(item => item.Name, StringComparer.Ordinal).ToList();
        var header = Header(ordered, metadata);
        var regions = new Dictionary<string, Region>(StringComparer.Ordinal);
        var start = (long)header.Length;
        foreach (var declaration in ordered)
        {
            var end = start + ByteCount(declaration);
            if (declaration.Name == "__metadata__" || !regions.TryAdd(declaration.Name, new Region(declaration, start, end)))
            {
                throw new ArgumentException($"two tensors, or a tensor and the metadata, are named {declaration.Name}", nameof(declarations));
            }

            start = end;
        }

        var beside = $"{path}.{Environment.ProcessId}.{Guid.NewGuid():N}.tmp";
        var handle = File.OpenHandle(beside, FileMode.CreateNew, FileAccess.Write, FileShare.Read, FileOptions.None);
        try
        {
            RandomAccess.Write(handle, header, 0);
        }
        catch
        {
            handle.Dispose();
            File.Delete(beside);
            throw;
        }

        return new(path, beside, handle, regions);
    }

    /// <summary>Appends rows (or all) of a tensor.</summary>
    /// <param name="name">A declared name.</param>
    /// <param name="rows">Of the declared type; a whole number of the declared tensor's rows, or any run of its elements.</param>
    public void Append(string name, Tensor rows)
    {
        var region = RegionOf(name, rows.numel() * rows.ElementSize);
        if (rows.dtype != region.Declaration.Type)
        {
            throw new ArgumentException($"{name} was declared as {region.Declaration.Type}, the rows are {rows.dtype}", nameof(rows));
        }

        TensorBytes.Write(_handle, region.Position, rows);
        region.Position += rows.numel() * rows.ElementSize;
    }

    /// <summary>Appends bytes of a tensor, little-endian, row-major.</summary>
    public void Append(string name, ReadOnlySpan<byte> bytes)
    {
        var region = RegionOf(name, bytes.Length);
        RandomAccess.Write(_handle, bytes, region.Position);
        region.Position += bytes.Length;
    }

    /// <summary>Checks that every tensor is whole, puts the file on the disk and gives it its name.</summary>
    /// <exception cref="InvalidOperationException">A tensor lacks rows.</exception>
    public void Complete()
    {
        foreach (var region in _regions.Values.Where(region => region.Position != region.End))
        {
            throw new InvalidOperationException($"{_path}: {region.End - region.Position} bytes of {region.Declaration.Name} are missing");
        }

        RandomAccess.FlushToDisk(_handle);
        _handle.Dispose();
        File.Move(_beside, _path, overwrite: true);
        _complete = true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _handle.Dispose();
        if (!_complete)
        {
            File.Delete(_beside);
        }
    }

    private Region RegionOf(string name, long bytes)
    {
        if (!_regions.TryGetValue(name, out var region))
        {
            throw new ArgumentException($"{name} was not declared", nameof(name));
        }

        return region.Position + bytes <= region.End
            ? region
            : throw new ArgumentException($"{name} gets {region.Position + bytes - region.End} bytes more than its declared shape holds", nameof(bytes));
    }

    private static byte[] Header(List<SafetensorsDeclaration> ordered, IReadOnlyDictionary<string, string>? metadata)
    {
        using var buffer = new MemoryStream();
        buffer.Write(new byte[8]);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject("__metadata__");
                foreach (var (key, value) in metadata.OrderBy(item => item.Key, StringComparer.Ordinal))
                {
                    json.WriteString(key, value);
                }

                json.WriteEndObject();
            }

            var offset = 0L;
            foreach (var item in ordered)
            {
                json.WriteStartObject(item.Name);
                json.WriteString("dtype", SafetensorsHeader.StoredType(item.Type)
                    ?? throw new ArgumentException($"{item.Name} is {item.Type}, which safetensors does not have", nameof(ordered)));
                json.WriteStartArray("shape");
                foreach (var size in item.Shape)
                {
                    json.WriteNumberValue(size);
                }

                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(offset += ByteCount(item));
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        while (buffer.Length % 8 != 0)
        {
            buffer.WriteByte((byte)' ');
        }

        var header = buffer.ToArray();
        BinaryPrimitives.WriteInt64LittleEndian(header, header.Length - 8);
        return header;
    }

    private static long Bytes(ScalarType type) => SafetensorsHeader.StoredType(type) is { } stored ? SafetensorsHeader.BitsOf(stored) / 8 : 0;

    private static long ByteCount(SafetensorsDeclaration item) => item.Shape.Aggregate(Bytes(item.Type), (product, size) => checked(product * size));
}
