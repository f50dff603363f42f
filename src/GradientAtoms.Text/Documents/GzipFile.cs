using System.Buffers.Binary;
using System.IO.Compression;

namespace GradientAtoms.Text.Documents;

/// <summary>
/// Unpacks a gzip file. .NET's own stream takes a file that is cut off for one that ends there; this one compares, at the end,
/// the length that the file names with what came out. Owns the stream.
/// </summary>
/// <param name="packed">The file, seekable, at its start.</param>
internal sealed class GzipFile(Stream packed) : Stream
{
    private const int TrailerLength = 8;

    private readonly GZipStream unpacking = new(packed, CompressionMode.Decompress, leaveOpen: true);
    private uint total;
    private bool isChecked;

    /// <inheritdoc/>
    public override bool CanRead => true;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override bool CanWrite => false;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override int Read(Span<byte> buffer)
    {
        var read = unpacking.Read(buffer);
        total = unchecked(total + (uint)read);
        if (read == 0 && buffer.Length > 0 && !isChecked)
        {
            isChecked = true;
            CheckEnd();
        }

        return read;
    }

    /// <inheritdoc/>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            unpacking.Dispose();
            packed.Dispose();
        }

        base.Dispose(disposing);
    }

    private void CheckEnd()
    {
        if (packed.Length < TrailerLength)
        {
            throw new InvalidDataException("it is too short");
        }

        Span<byte> length = stackalloc byte[4];
        packed.Position = packed.Length - length.Length;
        packed.ReadExactly(length);

        // A file of several members names the length of its last one only.
        if (BinaryPrimitives.ReadUInt32LittleEndian(length) != total && !HasMembers())
        {
            throw new InvalidDataException("it ends before its end");
        }
    }

    private bool HasMembers()
    {
        packed.Position = 1;
        var buffer = new byte[64 * 1024];
        var kept = 0;
        for (int read; (read = packed.Read(buffer, kept, buffer.Length - kept)) > 0;)
        {
            var text = buffer.AsSpan(0, kept + read);
            if (text.IndexOf((ReadOnlySpan<byte>)[0x1F, 0x8B, 0x08]) >= 0)
            {
                return true;
            }

            kept = Math.Min(2, text.Length);
            text[^kept..].CopyTo(buffer);
        }

        return false;
    }
}
