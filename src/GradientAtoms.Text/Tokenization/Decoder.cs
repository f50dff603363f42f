using System.Globalization;
using System.Text;

namespace GradientAtoms.Text.Tokenization;

/// <summary>Turns tokens back to text.</summary>
internal abstract class Decoder
{
    /// <summary>Changes the list of tokens; the text is what is left, joined.</summary>
    public abstract List<string> Apply(List<string> tokens);

    /// <summary>Makes the decoder that a node describes; an error for a type that is not known.</summary>
    public static Decoder From(TokenizerNode node)
    {
        switch (node.Need("type").Text())
        {
            case "Sequence":
                return new DecoderSequence([.. node.Need("decoders").Items().Select(From)]);
            case "ByteLevel":
                return new ByteLevelDecoder();
            case "ByteFallback":
                return new ByteFallbackDecoder();
            case "Fuse":
                return new FuseDecoder();
            case "Metaspace":
                return new MetaspaceDecoder(Metaspace.From(node));
            case "Replace":
                return new ReplaceDecoder(TextPattern.From(node.Need("pattern")), node.Need("content").Text());
            case "Strip":
                var content = node.Need("content").Text();
                return content.Length == 1
                    ? new StripDecoder(content[0], node.Need("start").Number(), node.Need("stop").Number())
                    : throw node.Unknown("a content that is not one character");
            case "WordPiece":
                return new WordPieceDecoder(node.Text("prefix") ?? "##", node.Flag("cleanup", true));
            case "BPEDecoder":
                return new SuffixDecoder(node.Text("suffix") ?? "</w>");
            case "CTC":
                return new AlignmentDecoder(node.Text("pad_token") ?? "<pad>", node.Text("word_delimiter_token") ?? "|", node.Flag("cleanup", true));
            case var other:
                throw node.Unknown($"the decoder \"{other}\"");
        }
    }
}

/// <summary>One decoder after the other.</summary>
internal sealed class DecoderSequence(IReadOnlyList<Decoder> steps) : Decoder
{
    /// <inheritdoc/>
    public override List<string> Apply(List<string> tokens)
    {
        foreach (var step in steps)
        {
            tokens = step.Apply(tokens);
        }

        return tokens;
    }
}

/// <summary>Characters of <see cref="ByteAlphabet"/> back to bytes, and all bytes as one UTF-8 text.</summary>
internal sealed class ByteLevelDecoder : Decoder
{
    /// <inheritdoc/>
    public override List<string> Apply(List<string> tokens)
    {
        var bytes = new List<byte>(tokens.Count * 4);
        foreach (var token in tokens)
        {
            var before = bytes.Count;
            foreach (var character in token)
            {
                var value = ByteAlphabet.ByteOf(character);
                if (value < 0)
                {
                    // Not in the alphabet, so an added token: its text is meant as it stands.
                    bytes.RemoveRange(before, bytes.Count - before);
                    bytes.AddRange(Encoding.UTF8.GetBytes(token));
                    break;
                }

                bytes.Add((byte)value);
            }
        }

        return [Encoding.UTF8.GetString(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(bytes))];
    }
}

/// <summary>Runs of <c>&lt;0xNN&gt;</c> to text; each byte of a run that is no UTF-8 to U+FFFD.</summary>
internal sealed class ByteFallbackDecoder : Decoder
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <inheritdoc/>
    public override List<string> Apply(List<string> tokens)
    {
        var result = new List<string>(tokens.Count);
        var run = new List<byte>();
        foreach (var token in tokens)
        {
            if (token.Length == 6
                && token.StartsWith("<0x", StringComparison.Ordinal)
                && token[5] == '>'
                && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value))
            {
                run.Add(value);
                continue;
            }

            Flush(run, result);
            result.Add(token);
        }

        Flush(run, result);
        return result;
    }

    private static void Flush(List<byte> run, List<string> result)
    {
        if (run.Count == 0)
        {
            return;
        }

        try
        {
            result.Add(Strict.GetString([.. run]));
        }
        catch (DecoderFallbackException)
        {
            result.Add(new string('\uFFFD', run.Count));
        }

        run.Clear();
    }
}

/// <summary>All tokens to one.</summary>
internal sealed class FuseDecoder : Decoder
{
    /// <inheritdoc/>
    public override List<string> Apply(List<string> tokens) => [string.Concat(tokens)];
}

/// <summary>Marks to blanks; those of the first token are dropped where encoding put one there.</summary>
internal sealed class MetaspaceDecoder(Metaspace settings) : Decoder
{
    private readonly string _mark = AlignedText.ToText([settings.Mark]);

    /// <inheritdoc/>
    public override List<string> Apply(List<string> tokens)
    {
        var result = new List<string>(tokens.Count);
        foreach (var token in tokens)
        {
            var blank = result.Count == 0 && settings.Scheme != PrependScheme.Never ? "" : " ";
            result.Add(token.Replace(_mark, blank, StringComparison.Ordinal));
        }

        return result;
    }
}

/// <summary>Replaces within each token.</summary>
internal sealed class ReplaceDecoder(TextPattern pattern, string content) : Decoder
{
    /// <inheritdoc/>
    public override List<string> Apply(List<string> tokens)
    {
        var result = new List<string>(tokens.Count);
        var parts = new List<PatternPart>();
        foreach (var token in tokens)
        {
            var codes = AlignedText.ToCodePoints(token);
            parts.Clear();
            pattern.Partition(codes, parts);
            var text = new StringBuilder(token.Length);
            foreach (var part in parts)
            {
                text.Append(part.IsMatch ? content : AlignedText.ToText(codes.AsSpan(part.From, part.To - part.From)));
            }

            result.Add(text.ToString());
        }

        return result;
    }
}

/// <summary>Takes up to so many of a character off the ends of each token.</summary>
internal sealed class StripDecoder(char character, int start, int stop) : Decoder
{
    /// <inheritdoc/>
    public override List<string> Apply(List<string> tokens) => tokens.ConvertAll(token =>
    {
        var from = 0;
        while (from < token.Length && from < start && token[from] == character)
        {
            from++;
        }

        var to = token.Length;
        while (to > from && token.Length - to < stop && token[to - 1] == character)
        {
            to--;
        }

        return token[from..to];
    });
}

/// <summary>A blank before every token but the first and those that continue a word.</summary>
internal sealed class WordPieceDecoder(string prefix, bool cleanUp) : Decoder
{
    // In this order; the rule about "do not" is the library's own.
    private static readonly (string From, string To)[] Rules =
    [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"),
        (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ];

    /// <inheritdoc/>
    public override List<string> Apply(List<string> tokens)
    {
        var result = new List<string>(tokens.Count);
        foreach (var token in tokens)
        {
            var text = result.Count == 0 ? token
                : token.StartsWith(prefix, StringComparison.Ordinal) ? token[prefix.Length..]
                : $" {token}";
            result.Add(cleanUp ? CleanUp(text) : text);
        }

        return result;
    }

    /// <summary>Takes out the blanks that stand before English punctuation and contractions.</summary>
    public static string CleanUp(string text)
    {
        foreach (var (from, to) in Rules)
        {
            text = text.Replace(from, to, StringComparison.Ordinal);
        }

        return text;
    }
}

/// <summary>The mark of a word's end to a blank; at the end of the text to nothing.</summary>
internal sealed class SuffixDecoder(string suffix) : Decoder
{
    /// <inheritdoc/>
    public override List<string> Apply(List<string> tokens)
    {
        var result = new List<string>(tokens.Count);
        for (var i = 0; i < tokens.Count; i++)
        {
            result.Add(suffix.Length == 0 ? tokens[i] : tokens[i].Replace(suffix, i == tokens.Count - 1 ? "" : " ", StringComparison.Ordinal));
        }

        return result;
    }
}

/// <summary>The output of connectionist temporal classification: repeated tokens count once, pads not at all.</summary>
internal sealed class AlignmentDecoder(string pad, string delimiter, bool cleanUp) : Decoder
{
    /// <inheritdoc/>
    public override List<string> Apply(List<string> tokens)
    {
        var result = new List<string>(tokens.Count);
        for (var i = 0; i < tokens.Count; i++)
        {
            if (i > 0 && tokens[i] == tokens[i - 1])
            {
                continue;
            }

            var text = pad.Length == 0 ? tokens[i] : tokens[i].Replace(pad, "", StringComparison.Ordinal);
            if (cleanUp)
            {
                text = WordPieceDecoder.CleanUp(text);
                text = delimiter.Length == 0 ? text : text.Replace(delimiter, " ", StringComparison.Ordinal);
            }

            if (text.Length > 0)
            {
                result.Add(text);
            }
        }

        return result;
    }
}
