using Parquet.Meta;

namespace GradientAtoms.Text.Documents;

/// <summary>
/// Looks at the page headers of a column before the library does: it believes the sizes that they state, and a damaged one asks for gigabytes.
/// Headers are structs of Thrift's compact protocol (apache/parquet-format, parquet.thrift).
/// </summary>
internal static class ParquetPages
{
    private const int FirstLook = 1 << 12;
    private const int LargestHeader = 1 << 24;
    private const long LargestPage = 1L << 30;

    // Text packs to a hundredth, a column of one value to far less; a page that unpacks to more than this is damage, or a trap.
    private const long MostUnpacked = 100_000;
    private const long AlwaysUnpacked = 1L << 20;

    /// <summary>Checks the pages of a column.</summary>
    /// <param name="stream">The file; its position is put back.</param>
    /// <param name="column">What the footer says of the column.</param>
    /// <param name="mostValues">A page of more is refused.</param>
    /// <exception cref="InvalidDataException">A header is none, or its sizes cannot be.</exception>
    public static void Check(Stream stream, ColumnMetaData column, long mostValues)
    {
        var place = stream.Position;
        var at = column.DictionaryPageOffset is > 0 and var dictionary ? Math.Min(dictionary, column.DataPageOffset) : column.DataPageOffset;
        for (var values = 0L; values < column.NumValues;)
        {
            var page = Header(stream, at);
            var (packed, unpacked) = (page.Compressed, page.Uncompressed);
            var most = Math.Min(LargestPage, Math.Max(AlwaysUnpacked, packed * MostUnpacked));
            if (packed < 0 || page.End + packed > stream.Length || unpacked < 0 || unpacked > most || (column.TotalUncompressedSize > 0 && unpacked > column.TotalUncompressedSize))
            {
                throw new InvalidDataException($"the page at byte {at} says that it has {packed} bytes and unpacks to {unpacked}");
            }

            if (page.Values < 0 || page.Values > mostValues)
            {
                throw new InvalidDataException($"the page at byte {at} says that it has {page.Values} values");
            }

            values += page.IsData ? page.Values : 0;
            at = page.End + packed;
        }

        stream.Position = place;
    }

    private static Page Header(Stream stream, long at)
    {
        if (at < 4 || at >= stream.Length)
        {
            throw new InvalidDataException($"a page is said to begin at byte {at} of {stream.Length}");
        }

        for (var size = FirstLook; ; size *= 16)
        {
            stream.Position = at;
            var bytes = new byte[Math.Min(size, stream.Length - at)];
            stream.ReadExactly(bytes);
            if (Parse(bytes) is { } page)
            {
                return page with { End = at + page.End };
            }

            if (bytes.Length < size || size > LargestHeader)
            {
                throw new InvalidDataException($"the page at byte {at} has no whole header");
            }
        }
    }

    // Null where the bytes end before the header does.
    private static Page? Parse(ReadOnlySpan<byte> bytes)
    {
        const int uncompressed = 2, compressed = 3, dataPage = 5, dictionaryPage = 7, dataPage2 = 8;
        var reader = new ThriftReader(bytes);
        var page = new Page(0, 0, 0, IsData: false, 0);
        while (reader.NextField() is var (field, type) && type != ThriftReader.Stop)
        {
            switch (field)
            {
                case uncompressed:
                    page = page with { Uncompressed = reader.Whole() };
                    break;
                case compressed:
                    page = page with { Compressed = reader.Whole() };
                    break;
                case dataPage or dictionaryPage or dataPage2 when type == ThriftReader.Struct:
                    // The first field of each of these structs is the number of values.
                    var inner = reader.Begin();
                    if (reader.NextField() is (1, var wholeType) && wholeType is ThriftReader.Int32)
                    {
                        page = page with { Values = reader.Whole(), IsData = field != dictionaryPage };
                    }

                    reader.End(inner);
                    break;
                default:
                    reader.Skip(type);
                    break;
            }
        }

        return reader.IsBeyond ? null : page with { End = reader.Position };
    }

    private readonly record struct Page(long Uncompressed, long Compressed, long Values, bool IsData, long End);
}
