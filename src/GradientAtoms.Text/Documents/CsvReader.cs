namespace GradientAtoms.Text.Documents;

/// <summary>
/// Reads comma-separated values (RFC 4180) record by record: quoted fields may hold the delimiter, line breaks, and quotes
/// written twice. Lenient where the standard is silent: a quote within an unquoted field is itself, a lone CR ends a record.
/// </summary>
internal sealed class CsvReader(Stream stream, byte delimiter, int maxBytes)
{
    private const int LongestMark = 3;

    private readonly byte[] buffer = new byte[64 * 1024];
    private readonly ByteList content = new();
    private readonly ByteList raw = new();
    private readonly List<(int End, bool IsQuoted)> fields = [];
    private int start;
    private int end;
    private int lines;
    private bool hasBegun;

    /// <summary>The line where the last record starts, from 1.</summary>
    public int Line { get; private set; }

    /// <summary>Whether the last record has more bytes than allowed; it then has no fields.</summary>
    public bool IsTooLong { get; private set; }

    /// <summary>Whether the file ended within a quoted field.</summary>
    public bool IsOpen { get; private set; }

    /// <summary>How many fields the last record has.</summary>
    public int Count => fields.Count;

    /// <summary>The last record as it stands in the file, with its line end; a file's last one may have none.</summary>
    public ReadOnlySpan<byte> Raw => raw.Span;

    /// <summary>A field's bytes, without quotes.</summary>
    public ReadOnlySpan<byte> Field(int index) => content.Span[(index == 0 ? 0 : fields[index - 1].End)..fields[index].End];

    /// <summary>Whether a field stood in quotes: an empty one that did not is no value at all.</summary>
    public bool IsQuoted(int index) => fields[index].IsQuoted;

    /// <summary>Reads the next record that is no blank line; false at the end.</summary>
    public bool TryRead()
    {
        if (!hasBegun)
        {
            hasBegun = true;
            SkipMark();
        }

        while (ReadRecord())
        {
            if (IsTooLong || fields.Count > 1 || content.Count > 0 || fields[0].IsQuoted)
            {
                return true;
            }
        }

        return false;
    }

    private bool ReadRecord()
    {
        content.Clear();
        raw.Clear();
        fields.Clear();
        (IsTooLong, IsOpen, Line) = (false, false, lines + 1);
        var (isQuoted, isInside, any) = (false, false, false);
        while (Next() is >= 0 and var value)
        {
            any = true;
            if (isInside)
            {
                if (value != '"')
                {
                    lines += value == '\n' ? 1 : 0;
                    Keep((byte)value);
                }
                else if (Peek() == '"')
                {
                    Next();
                    Keep((byte)'"');
                }
                else
                {
                    isInside = false;
                }

                continue;
            }

            if (value == delimiter)
            {
                EndField(ref isQuoted);
            }
            else if (value is '\n' or '\r')
            {
                if (value == '\r' && Peek() == '\n')
                {
                    Next();
                }

                lines++;
                EndField(ref isQuoted);
                return true;
            }
            else if (value == '"' && !isQuoted && content.Count == (fields.Count == 0 ? 0 : fields[^1].End))
            {
                (isQuoted, isInside) = (true, true);
            }
            else
            {
                Keep((byte)value);
            }
        }

        IsOpen = isInside;
        if (any)
        {
            EndField(ref isQuoted);
        }

        return any;
    }

    private void EndField(ref bool isQuoted)
    {
        fields.Add((content.Count, isQuoted));
        isQuoted = false;
        if (IsTooLong)
        {
            fields.Clear();
            fields.Add((0, false));
        }
    }

    private void Keep(byte value)
    {
        if (!IsTooLong)
        {
            content.Add(value);
        }
    }

    private int Next()
    {
        var value = Peek();
        if (value < 0)
        {
            return -1;
        }

        start++;
        if (raw.Count < maxBytes)
        {
            raw.Add((byte)value);
        }
        else if (!IsTooLong)
        {
            // What is too long is dropped while it is read.
            IsTooLong = true;
            content.Clear();
            fields.Clear();
        }

        return value;
    }

    private int Peek()
    {
        if (start == end)
        {
            (start, end) = (0, stream.Read(buffer));
        }

        return start < end ? buffer[start] : -1;
    }

    private void SkipMark()
    {
        end = stream.ReadAtLeast(buffer, LongestMark, throwOnEndOfStream: false);
        start = buffer.AsSpan(0, end).StartsWith("\uFEFF"u8) ? LongestMark : 0;
    }

    /// <summary>Bytes that grow, and are forgotten without being given back.</summary>
    private sealed class ByteList
    {
        private byte[] bytes = new byte[1024];

        public int Count { get; private set; }

        public ReadOnlySpan<byte> Span => bytes.AsSpan(0, Count);

        public void Add(byte value)
        {
            if (Count == bytes.Length)
            {
                Array.Resize(ref bytes, (int)Math.Min(Array.MaxLength, bytes.Length * 2L));
            }

            bytes[Count++] = value;
        }

        public void Clear() => Count = 0;
    }
}
