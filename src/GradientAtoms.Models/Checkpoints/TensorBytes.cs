using Microsoft.Win32.SafeHandles;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Checkpoints;

/// <summary>Moves bytes between files and tensors without a copy in between.</summary>
internal static class TensorBytes
{
    // A span holds less than 2 GiB, and so does one read of Linux.
    private const long Chunk = 1 << 28;

    /// <summary>Fills a contiguous CPU tensor from a file.</summary>
    public static void Read(SafeFileHandle handle, string path, long offset, Tensor destination)
    {
        if (destination.numel() == 0)
        {
            return;
        }

        using var flat = destination.view(-1);
        var perChunk = Chunk / flat.ElementSize;
        for (var start = 0L; start < flat.numel(); start += perChunk)
        {
            using var part = flat.narrow(0, start, Math.Min(perChunk, flat.numel() - start));
            Fill(handle, path, offset + (start * flat.ElementSize), part.bytes);
        }
    }

    /// <summary>Writes a tensor, row-major.</summary>
    public static void Write(SafeFileHandle handle, long offset, Tensor source)
    {
        if (source.numel() == 0)
        {
            return;
        }

        using var scope = NewDisposeScope();
        var flat = source.detach().cpu().contiguous().view(-1);
        var perChunk = Chunk / flat.ElementSize;
        for (var start = 0L; start < flat.numel(); start += perChunk)
        {
            using var part = flat.narrow(0, start, Math.Min(perChunk, flat.numel() - start));
            RandomAccess.Write(handle, part.bytes, offset + (start * flat.ElementSize));
        }
    }

    /// <summary>Fills a span from a file.</summary>
    public static void Fill(SafeFileHandle handle, string path, long offset, Span<byte> destination)
    {
        while (destination.Length > 0)
        {
            var count = RandomAccess.Read(handle, destination, offset);
            if (count == 0)
            {
                throw new CheckpointException("GA2301", path, $"ends at byte {offset}, and got shorter since it was opened", "Read it again once nothing writes it.");
            }

            destination = destination[count..];
            offset += count;
        }
    }
}
