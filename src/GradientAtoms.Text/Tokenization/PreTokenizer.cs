namespace GradientAtoms.Text.Tokenization;

/// <summary>Cuts a text to the words that the model encodes one by one.</summary>
internal abstract class PreTokenizer
{
    /// <summary>Cuts or rewrites the pieces.</summary>
    public abstract void Apply(AlignedText text);

    /// <summary>Makes the pre-tokenizer that a node describes; an error for a type that is not known.</summary>
    public static PreTokenizer From(TokenizerNode node)
    {
        switch (node.Need("type").Text())
        {
            case "Sequence":
                return new PreTokenizerSequence([.. node.Need("pretokenizers").Items().Select(From)]);
            case "ByteLevel":
                return new ByteLevelPreTokenizer(node.Flag("add_prefix_space", true), node.Flag("use_regex", true));
            case "Split":
                return new SplitPreTokenizer(
                    TextPattern.From(node.Need("pattern")),
                    SplitBehavior.From(node.Need("behavior")),
                    node.Flag("invert", false));
            case "Digits":
                return SplitPreTokenizer.Digits(node.Flag("individual_digits", false));
            case "Punctuation":
                return new SplitPreTokenizer(
                    new CharacterPattern(CharacterClass.IsPunctuation),
                    node.Find("behavior") is { } behavior ? SplitBehavior.From(behavior) : SplitBehavior.Isolated,
                    invert: false);
            case "Metaspace":
                return new MetaspacePreTokenizer(Metaspace.From(node), node.Flag("split", true));
            case "WhitespaceSplit":
                return SplitPreTokenizer.Blanks;
            case "Whitespace":
                return SplitPreTokenizer.Words;
            case "BertPreTokenizer":
                return new PreTokenizerSequence([SplitPreTokenizer.Blanks, new SplitPreTokenizer(new CharacterPattern(CharacterClass.IsPunctuation), SplitBehavior.Isolated, invert: false)]);
            case "CharDelimiterSplit" or "Delimiter":
                var delimiter = AlignedText.ToCodePoints(node.Need("delimiter").Text());
                return delimiter.Length == 1
                    ? new SplitPreTokenizer(new CharacterPattern(code => code == delimiter[0]), new SplitBehavior(SplitKind.Removed), invert: false)
                    : throw node.Unknown("a delimiter that is not one character");
            case "UnicodeScripts":
                return new ScriptPreTokenizer();
            case "FixedLength":
                var length = node.Find("length")?.Number() ?? 5;
                return length > 0 ? new FixedLengthPreTokenizer(length) : throw node.Unknown($"the length {length}");
            case var other:
                throw node.Unknown($"the pre-tokenizer \"{other}\"");
        }
    }
}

/// <summary>One pre-tokenizer after the other; each sees the pieces of the one before.</summary>
internal sealed class PreTokenizerSequence(IReadOnlyList<PreTokenizer> steps) : PreTokenizer
{
    /// <inheritdoc/>
    public override void Apply(AlignedText text)
    {
        foreach (var step in steps)
        {
            step.Apply(text);
        }
    }
}

/// <summary>Cuts where a pattern matches.</summary>
internal sealed class SplitPreTokenizer(TextPattern pattern, SplitBehavior behavior, bool invert) : PreTokenizer
{
    /// <summary>Cuts numbers off, each digit by itself or digits that touch together.</summary>
    public static SplitPreTokenizer Digits(bool individual) => new(
        new CharacterPattern(CharacterClass.IsNumber),
        new SplitBehavior(individual ? SplitKind.Isolated : SplitKind.Contiguous),
        invert: false);

    /// <summary>What lies between blanks.</summary>
    public static SplitPreTokenizer Blanks { get; } = new(new CharacterPattern(CharacterClass.IsSpace), new SplitBehavior(SplitKind.Removed), invert: false);

    /// <summary><c>\w+|[^\w\s]+</c>: words, and runs of what is neither word nor blank.</summary>
    public static SplitPreTokenizer Words { get; } = new(new WordOrMarksPattern(), new SplitBehavior(SplitKind.Removed), invert: true);

    /// <inheritdoc/>
    public override void Apply(AlignedText text) => text.Cut(pattern, behavior, invert);
}

/// <summary>Cuts every so many characters.</summary>
internal sealed class FixedLengthPreTokenizer(int length) : PreTokenizer
{
    /// <inheritdoc/>
    public override void Apply(AlignedText text) => text.CutAt((codes, starts) =>
    {
        for (long i = 0; i < codes.Length; i += length)
        {
            starts.Add((int)i);
        }
    });
}

/// <summary>Cuts as GPT-2 does, and writes every byte as a character of <see cref="ByteAlphabet"/>.</summary>
internal sealed class ByteLevelPreTokenizer(bool addPrefixSpace, bool useRegex) : PreTokenizer
{
    /// <inheritdoc/>
    public override void Apply(AlignedText text)
    {
        if (addPrefixSpace)
        {
            text.Rewrite(static (source, piece, writer) =>
            {
                if (piece.To > piece.From && source.Codes[piece.From] != ' ')
                {
                    writer.Add(' ', piece.From);
                }

                PrependNormalizer.Copy(source, piece, writer);
            });
        }

        if (useRegex)
        {
            text.Cut(WordScanner.Gpt2, SplitBehavior.Isolated, invert: false);
        }

        text.Rewrite(ByteLevelNormalizer.Write);
    }
}

/// <summary>When a Metaspace step puts its mark before a piece.</summary>
internal enum PrependScheme
{
    /// <summary>Before each piece.</summary>
    Always,

    /// <summary>Before none.</summary>
    Never,

    /// <summary>Before a piece at the very start of the text.</summary>
    First,
}

/// <summary>The settings of Metaspace, which pre-tokenizer and decoder share.</summary>
internal sealed record Metaspace(int Mark, PrependScheme Scheme)
{
    public static Metaspace From(TokenizerNode node)
    {
        var mark = AlignedText.ToCodePoints(node.Text("replacement") ?? "▁");
        if (mark.Length != 1)
        {
            throw node.Unknown("a replacement that is not one character");
        }

        // Files of before 2024 have add_prefix_space in place of prepend_scheme.
        var scheme = node.Text("prepend_scheme") ?? (node.Flag("add_prefix_space", true) ? "always" : "never");
        return new Metaspace(mark[0], scheme switch
        {
            "always" => PrependScheme.Always,
            "never" => PrependScheme.Never,
            "first" => PrependScheme.First,
            _ => throw node.Unknown($"the prepend_scheme \"{scheme}\""),
        });
    }
}

/// <summary>Writes blanks as a mark and cuts before each mark, as SentencePiece does.</summary>
internal sealed class MetaspacePreTokenizer(Metaspace settings, bool split) : PreTokenizer
{
    private readonly CharacterPattern _mark = new(code => code == settings.Mark);

    /// <inheritdoc/>
    public override void Apply(AlignedText text)
    {
        text.Rewrite((source, piece, writer) =>
        {
            var prepends = settings.Scheme switch
            {
                PrependScheme.Always => true,
                PrependScheme.First => source.OriginalStartOf(piece) == 0,
                _ => false,
            };
            if (piece.To > piece.From && prepends && source.Codes[piece.From] != ' ' && source.Codes[piece.From] != settings.Mark)
            {
                writer.Add(settings.Mark, piece.From);
            }

            for (var i = piece.From; i < piece.To; i++)
            {
                writer.Add(source.Codes[i] == ' ' ? settings.Mark : source.Codes[i], i);
            }
        });
        if (split)
        {
            text.Cut(_mark, new SplitBehavior(SplitKind.MergedWithNext), invert: false);
        }
    }
}
