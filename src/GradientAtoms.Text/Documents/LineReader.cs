namespace GradientAtoms.Text.Documents;

/// <summary>Reads the lines of a stream as bytes, one at a time; only the longest allowed line is ever held.</summary>
internal sealed class LineReader(Stream stream, int maxBytes)
{
    private byte[] buffer = new byte[64 * 1024];
    private int start;
    private int end;

    /// <summary>From 1; 0 before the first line.</summary>
    public int Line { get; private set; }

    /// <summary>The last line as it stands in the file, with a CR but without the LF; empty where it is too long.</summary>
    public ReadOnlyMemory<byte> Raw { get; private set; }

    /// <summary>The next line without its end, until the next call; false at the end of the stream.</summary>
    /// <param name="line">Empty where the line is too long.</param>
    /// <param name="isTooLong">True where it has more bytes than allowed.</param>
    public bool TryRead(out ReadOnlyMemory<byte> line, out bool isTooLong)
    {
        line = default;
        isTooLong = false;
        var searched = start;
        while (true)
        {
            var at = buffer.AsSpan(searched, end - searched).IndexOf((byte)'\n');
            if (at >= 0)
            {
                return Give(searched + at, 1, ref line, ref isTooLong);
            }

            searched = end;
            if (end - start > maxBytes)
            {
                isTooLong = true;
                start = end; // what is too long is dropped while it is read
            }

            if (end == buffer.Length)
            {
                MakeRoom();
                searched = end;
            }

            var read = stream.Read(buffer, end, buffer.Length - end);
            if (read == 0)
            {
                return (end > start || isTooLong) && Give(end, 0, ref line, ref isTooLong);
            }

            end += read;
        }
    }

    private bool Give(int stop, int lineEnd, ref ReadOnlyMemory<byte> line, ref bool isTooLong)
    {
        Line++;
        isTooLong |= stop - start > maxBytes;
        line = isTooLong ? default : buffer.AsMemory(start, stop - start);
        Raw = line;
        if (line.Length > 0 && line.Span[^1] == '\r')
        {
            line = line[..^1];
        }

        start = stop + lineEnd;
        return true;
    }

    private void MakeRoom()
    {
        var length = end - start;
        if (start == 0)
        {
            Array.Resize(ref buffer, (int)Math.Min(Array.MaxLength, Math.Max(buffer.Length, Math.Min(buffer.Length * 2L, maxBytes + 2L))));
        }
        else
        {
            Buffer.BlockCopy(buffer, start, buffer, 0, length);
        }

        (start, end) = (0, length);
    }
}
