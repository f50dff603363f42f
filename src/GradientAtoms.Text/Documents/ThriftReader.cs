namespace GradientAtoms.Text.Documents;

/// <summary>
/// Reads what is needed of Thrift's compact protocol, in which Parquet's headers and footers are written. Beyond the end of the bytes everything is a
/// stop, and nothing that is read asks for memory.
/// </summary>
internal ref struct ThriftReader(ReadOnlySpan<byte> bytes)
{
    public const int Stop = 0;
    public const int Int32 = 5;
    public const int Int64 = 6;
    public const int Binary = 8;
    public const int List = 9;
    public const int Struct = 12;
    private const int DeepestNesting = 16;
    private readonly ReadOnlySpan<byte> _bytes = bytes;
    private int _field;
    private int _depth;

    /// <summary>How many bytes were read.</summary>
    public int Position { get; private set; }

    /// <summary>Whether more was read than there is.</summary>
    public bool IsBeyond { get; private set; }

    /// <summary>The next field's number and type.</summary>
    public (int Field, int Type) NextField()
    {
        var head = Byte();
        if (head == Stop || IsBeyond)
        {
            return (0, Stop);
        }

        _field = head >> 4 == 0 ? (int)Whole() : _field + (head >> 4);
        return (_field, head & 15);
    }

    /// <summary>Goes into a struct.</summary>
    public int Begin()
    {
        var outside = _field;
        _field = 0;
        return ++_depth <= DeepestNesting ? outside : throw new InvalidDataException("a header is nested too deep");
    }

    /// <summary>Passes over the rest of a struct, and goes out of it.</summary>
    public void End(int outside)
    {
        while (NextField() is var (_, type) && type != Stop)
        {
            Skip(type);
        }

        Leave(outside);
    }

    /// <summary>Goes out of a struct whose stop was read.</summary>
    public void Leave(int outside)
    {
        _field = outside;
        _depth--;
    }

    /// <summary>A whole number.</summary>
    public long Whole()
    {
        var value = Varint();
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    /// <summary>The head of a list: how many items of which type.</summary>
    /// <exception cref="InvalidDataException">More than there are bytes left: every item takes at least one.</exception>
    public (int Count, int Type) NextList()
    {
        var head = Byte();
        var count = head >> 4;
        if (count == 15)
        {
            count = Count();
        }

        return count <= _bytes.Length - Position || IsBeyond ? (count, head & 15) : throw new InvalidDataException($"a list of {count} items is said to be in {_bytes.Length - Position} bytes");
    }

    /// <summary>Passes over a value.</summary>
    public void Skip(int type)
    {
        switch (type)
        {
            case 1 or 2: // a truth value is in its type
                break;
            case 3:
                Byte();
                break;
            case 4 or Int32 or Int64:
                Varint();
                break;
            case 7:
                Jump(8);
                break;
            case Binary:
                Jump(Varint());
                break;
            case List or 10:
                var (count, item) = NextList();
                for (var i = 0; i < count && !IsBeyond; i++)
                {
                    SkipItem(item);
                }

                break;
            case 11:
                var pairs = Count();
                var kinds = pairs == 0 ? 0 : Byte();
                for (var i = 0; i < pairs && !IsBeyond; i++)
                {
                    SkipItem(kinds >> 4);
                    SkipItem(kinds & 15);
                }

                break;
            case Struct:
                End(Begin());
                break;
            default:
                throw new InvalidDataException($"a header has a field of the unknown type {type}");
        }
    }

    // In a list a truth value takes a byte.
    private void SkipItem(int type)
    {
        if (type is 1 or 2)
        {
            Byte();
        }
        else
        {
            Skip(type);
        }
    }

    private int Count() => Varint() is var count && count <= (ulong)_bytes.Length ? (int)count : throw new InvalidDataException($"a list of {count} items is said to be in {_bytes.Length} bytes");

    private int Byte()
    {
        if (Position < _bytes.Length)
        {
            return _bytes[Position++];
        }

        IsBeyond = true;
        return 0;
    }

    private ulong Varint()
    {
        var value = 0UL;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var part = Byte();
            value |= (ulong)(part & 127) << shift;
            if (part < 128)
            {
                return value;
            }
        }

        throw new InvalidDataException("a number in a header is too long");
    }

    private void Jump(ulong count)
    {
        if (count > (ulong)(_bytes.Length - Position))
        {
            (IsBeyond, Position) = (true, _bytes.Length);
        }
        else
        {
            Position += (int)count;
        }
    }
}
