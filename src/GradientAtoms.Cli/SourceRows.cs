using System.Text.Json;

namespace GradientAtoms.Cli;

/// <summary>Copies rows of a data file byte for byte.</summary>
internal static class SourceRows
{
    /// <summary>Copies the lines of a JSON Lines file, or the elements of a JSON array, whose line is wanted.</summary>
    /// <param name="source">The data file's bytes.</param>
    /// <param name="output">Where to.</param>
    /// <param name="isWanted">Given a row's line, from 1.</param>
    /// <returns>Rows copied and rows left out; blank lines are neither and are not copied.</returns>
    public static (int Copied, int Dropped) Copy(ReadOnlySpan<byte> source, Stream output, Func<int, bool> isWanted)
    {
        var body = source.StartsWith("\uFEFF"u8) ? source[3..] : source;
        return body.TrimStart(" \t\r\n"u8) is [(byte)'[', ..] ? CopyArray(body, output, isWanted) : CopyLines(body, output, isWanted);
    }

    private static (int Copied, int Dropped) CopyLines(ReadOnlySpan<byte> source, Stream output, Func<int, bool> isWanted)
    {
        var (copied, dropped, line) = (0, 0, 0);
        while (source.Length > 0)
        {
            line++;
            var end = source.IndexOf((byte)'\n');
            var row = end < 0 ? source : source[..(end + 1)];
            source = source[row.Length..];
            if (row.Trim(" \t\r\n"u8).IsEmpty)
            {
                continue;
            }

            if (!isWanted(line))
            {
                dropped++;
                continue;
            }

            output.Write(row);
            if (end < 0)
            {
                output.WriteByte((byte)'\n'); // The last line may lack its end, and need not stay the last.
            }

            copied++;
        }

        return (copied, dropped);
    }

    private static (int Copied, int Dropped) CopyArray(ReadOnlySpan<byte> source, Stream output, Func<int, bool> isWanted)
    {
        var (copied, dropped, line, counted) = (0, 0, 1, 0);
        var reader = new Utf8JsonReader(source, new() { MaxDepth = 256, AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip });
        output.WriteByte((byte)'[');
        reader.Read();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            var start = (int)reader.TokenStartIndex;
            reader.Skip();
            line += source[counted..start].Count((byte)'\n');
            counted = start;
            if (!isWanted(line))
            {
                dropped++;
                continue;
            }

            output.Write(copied == 0 ? "\n"u8 : ",\n"u8);
            output.Write(source[start..(int)reader.BytesConsumed]);
            copied++;
        }

        output.Write("\n]\n"u8);
        return (copied, dropped);
    }
}
