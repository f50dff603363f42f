using System.Text.Json;

namespace GradientAtoms.Text.Tokenization;

/// <summary>Reads a tokenizer's JSON files, with every way that they can be rubbish turned to a coded error.</summary>
internal static class TokenizerFile
{
    // The largest real files have some 35 MB.
    private const long MostBytes = 1L << 30;

    private const string Remedy = "Take the file from the model's origin again.";

    /// <summary>Reads a file.</summary>
    public static T Read<T>(string path, Func<JsonDocument, string, T> read)
    {
        byte[] bytes;
        try
        {
            var length = new FileInfo(path).Length;
            if (length > MostBytes)
            {
                throw new TokenizerException("GA2102", path, $"expected JSON of at most {MostBytes} bytes, found {length} bytes", Remedy);
            }

            bytes = File.ReadAllBytes(path);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new TokenizerException("GA2101", path, $"cannot be read: {error.Message}", "Check the path and the rights.", error);
        }

        var content = bytes.AsMemory();
        if (content.Span.StartsWith("\uFEFF"u8))
        {
            content = content[3..];
        }

        return Parse(() => JsonDocument.Parse(content), path, read);
    }

    /// <summary>Reads a content.</summary>
    public static T Parse<T>(string json, string location, Func<JsonDocument, string, T> read) =>
        Parse(() => JsonDocument.Parse(json), location, read);

    private static T Parse<T>(Func<JsonDocument> parse, string location, Func<JsonDocument, string, T> read)
    {
        try
        {
            using var document = parse();
            return read(document, location);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or ArgumentException)
        {
            // InvalidOperationException: a text with half a surrogate pair; ArgumentException: the same in content given as a string.
            throw new TokenizerException("GA2102", location, $"is not valid JSON: {error.Message}", Remedy, error);
        }
    }
}
