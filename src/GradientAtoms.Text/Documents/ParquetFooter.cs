using System.Buffers.Binary;

namespace GradientAtoms.Text.Documents;

/// <summary>
/// Walks through a Parquet file's footer before the library does: it believes the counts of lists, and a damaged one asks for gigabytes or keeps it busy
/// for hours. Fields and types are those of apache/parquet-format, parquet.thrift; what is not listed is passed over by its own type, by both.
/// </summary>
internal static class ParquetFooter
{
    private const int I32 = ThriftReader.Int32, I64 = ThriftReader.Int64, Text = ThriftReader.Binary, Struct = ThriftReader.Struct, List = ThriftReader.List;
    private const int LargestFooter = 1 << 28;

    // Every kind of struct: the type of each field, and of lists also that of the items; then the kind of the struct that it is or holds.
    private static readonly Dictionary<string, Dictionary<int, (int Type, int Item, string? Kind)>> Kinds = new(StringComparer.Ordinal)
    {
        ["file"] = new() { [1] = (I32, 0, null), [2] = (List, Struct, "schema"), [3] = (I64, 0, null), [4] = (List, Struct, "group"), [5] = (List, Struct, "pair"), [6] = (Text, 0, null), [7] = (List, Struct, null), [8] = (Struct, 0, null), [9] = (Text, 0, null) },
        ["schema"] = new() { [1] = (I32, 0, null), [2] = (I32, 0, null), [3] = (I32, 0, null), [4] = (Text, 0, null), [5] = (I32, 0, null), [6] = (I32, 0, null), [7] = (I32, 0, null), [8] = (I32, 0, null), [9] = (I32, 0, null), [10] = (Struct, 0, null) },
        ["pair"] = new() { [1] = (Text, 0, null), [2] = (Text, 0, null) },
        ["group"] = new() { [1] = (List, Struct, "chunk"), [2] = (I64, 0, null), [3] = (I64, 0, null), [4] = (List, Struct, null), [5] = (I64, 0, null), [6] = (I64, 0, null) },
        ["chunk"] = new() { [1] = (Text, 0, null), [2] = (I64, 0, null), [3] = (Struct, 0, "column"), [4] = (I64, 0, null), [5] = (I32, 0, null), [6] = (I64, 0, null), [7] = (I32, 0, null), [8] = (Struct, 0, null), [9] = (Text, 0, null) },
        ["column"] = new()
        {
            [1] = (I32, 0, null), [2] = (List, I32, null), [3] = (List, Text, null), [4] = (I32, 0, null), [5] = (I64, 0, null), [6] = (I64, 0, null), [7] = (I64, 0, null), [8] = (List, Struct, "pair"),
            [9] = (I64, 0, null), [10] = (I64, 0, null), [11] = (I64, 0, null), [12] = (Struct, 0, "statistics"), [13] = (List, Struct, null), [14] = (I64, 0, null), [15] = (I32, 0, null), [16] = (Struct, 0, "sizes"), [17] = (Struct, 0, null),
        },
        ["statistics"] = new() { [1] = (Text, 0, null), [2] = (Text, 0, null), [3] = (I64, 0, null), [4] = (I64, 0, null), [5] = (Text, 0, null), [6] = (Text, 0, null) },
        ["sizes"] = new() { [1] = (I64, 0, null), [2] = (List, I64, null), [3] = (List, I64, null) },
    };

    /// <summary>Checks the footer.</summary>
    /// <param name="stream">The file; its position is put back.</param>
    /// <exception cref="InvalidDataException">It is none, or contradicts itself.</exception>
    public static void Check(Stream stream)
    {
        const int end = 8; // the footer's length and "PAR1"
        var place = stream.Position;
        if (stream.Length < end + 4)
        {
            throw new InvalidDataException($"a file of {stream.Length} bytes is too short");
        }

        var tail = new byte[end];
        stream.Position = stream.Length - end;
        stream.ReadExactly(tail);
        var length = BinaryPrimitives.ReadInt32LittleEndian(tail);
        if (!tail.AsSpan(4).SequenceEqual("PAR1"u8) || length <= 0 || length > LargestFooter || length > stream.Length - end - 4)
        {
            throw new InvalidDataException(tail.AsSpan(4).SequenceEqual("PAR1"u8) ? $"its footer is said to have {length} bytes, of {stream.Length}" : "it does not end as a Parquet file does");
        }

        var bytes = new byte[length];
        stream.Position = stream.Length - end - length;
        stream.ReadExactly(bytes);
        stream.Position = place;
        var reader = new ThriftReader(bytes);
        Walk(ref reader, "file");
        if (reader.IsBeyond)
        {
            throw new InvalidDataException("its footer ends too early");
        }
    }

    private static void Walk(ref ThriftReader reader, string kind)
    {
        var outside = reader.Begin();
        var fields = Kinds[kind];
        while (reader.NextField() is var (field, type) && type != ThriftReader.Stop)
        {
            if (!fields.TryGetValue(field, out var known))
            {
                reader.Skip(type);
                continue;
            }

            if (type != known.Type)
            {
                throw new InvalidDataException($"field {field} of a {kind} in its footer has the type {type}, not {known.Type}");
            }

            if (type == List)
            {
                var (count, item) = reader.NextList();
                if (count > 0 && item != known.Item)
                {
                    throw new InvalidDataException($"field {field} of a {kind} in its footer is a list of the type {item}, not {known.Item}");
                }

                for (var i = 0; i < count && !reader.IsBeyond; i++)
                {
                    Value(ref reader, item, known.Kind);
                }
            }
            else
            {
                Value(ref reader, type, known.Kind);
            }
        }

        reader.Leave(outside);
    }

    private static void Value(ref ThriftReader reader, int type, string? kind)
    {
        if (kind is null)
        {
            reader.Skip(type);
        }
        else
        {
            Walk(ref reader, kind);
        }
    }
}
