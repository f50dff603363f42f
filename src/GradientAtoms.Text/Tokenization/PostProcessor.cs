using System.Runtime.InteropServices;

namespace GradientAtoms.Text.Tokenization;

/// <summary>A token on its way out, with its text as it stood in the vocabulary or, for an added token, in the input.</summary>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct ProcessedToken(int Id, int Start, int End, string? InputText);

/// <summary>What happens to a text's tokens at the end: spans are trimmed, the template's tokens put around.</summary>
internal abstract class PostProcessor
{
    /// <summary>Changes the list of tokens.</summary>
    /// <param name="tokens">The tokens.</param>
    /// <param name="addSpecialTokens">Whether a template may add its tokens.</param>
    /// <param name="vocabulary">The text of ids.</param>
    public abstract List<ProcessedToken> Apply(List<ProcessedToken> tokens, bool addSpecialTokens, Vocabulary vocabulary);

    /// <summary>The ids that this may add.</summary>
    public virtual IEnumerable<int> Ids => [];

    /// <summary>Makes the post-processor that a node describes; an error for a type that is not known.</summary>
    public static PostProcessor From(TokenizerNode node) => node.Need("type").Text() switch
    {
        "Sequence" => new PostProcessorSequence([.. node.Need("processors").Items().Select(From)]),
        "ByteLevel" => new ByteLevelPostProcessor(node.Flag("trim_offsets", true), node.Flag("add_prefix_space", true)),
        "TemplateProcessing" => TemplatePostProcessor.FromTemplate(node),
        "BertProcessing" => Around(node),
        "RobertaProcessing" => new PostProcessorSequence([new ByteLevelPostProcessor(node.Flag("trim_offsets", true), node.Flag("add_prefix_space", true)), Around(node)]),
        var other => throw node.Unknown($"the post-processor \"{other}\""),
    };

    /// <summary>One token before and one behind, given as <c>["[CLS]", 101]</c>.</summary>
    private static TemplatePostProcessor Around(TokenizerNode node)
    {
        return new([IdOf(node.Need("cls"))], [IdOf(node.Need("sep"))]);

        static int IdOf(TokenizerNode pair) => pair.Items().Skip(1).Select(item => (int?)item.Number()).FirstOrDefault()
            ?? throw pair.Unknown("a token that is not given as text and id");
    }
}

/// <summary>One post-processor after the other.</summary>
internal sealed class PostProcessorSequence(IReadOnlyList<PostProcessor> steps) : PostProcessor
{
    /// <inheritdoc/>
    public override IEnumerable<int> Ids => steps.SelectMany(step => step.Ids);

    /// <inheritdoc/>
    public override List<ProcessedToken> Apply(List<ProcessedToken> tokens, bool addSpecialTokens, Vocabulary vocabulary)
    {
        foreach (var step in steps)
        {
            tokens = step.Apply(tokens, addSpecialTokens, vocabulary);
        }

        return tokens;
    }
}

/// <summary>Takes blanks at a token's ends out of its span.</summary>
internal sealed class ByteLevelPostProcessor(bool trimOffsets, bool addPrefixSpace) : PostProcessor
{
    private const int Blank = 0x120; // the blank in the byte alphabet

    /// <inheritdoc/>
    public override List<ProcessedToken> Apply(List<ProcessedToken> tokens, bool addSpecialTokens, Vocabulary vocabulary)
    {
        if (!trimOffsets)
        {
            return tokens;
        }

        for (var i = 0; i < tokens.Count; i++)
        {
            var token = tokens[i];
            var codes = AlignedText.ToCodePoints(token.InputText ?? vocabulary.TokenOf(token.Id) ?? "");
            var leading = 0;
            while (leading < codes.Length && IsBlank(codes[leading]))
            {
                leading++;
            }

            var trailing = 0;
            while (trailing < codes.Length && IsBlank(codes[^(trailing + 1)]))
            {
                trailing++;
            }

            var (start, end) = (token.Start, token.End);
            if (leading > 0)
            {
                // A single blank at the start is one that the pre-tokenizer put there: it takes no place in the text.
                var isPutThere = leading == 1 && (i == 0 || start == 0) && addPrefixSpace;
                start = isPutThere ? start : Math.Min(start + leading, end);
            }

            if (trailing > 0 && end >= trailing)
            {
                end = Math.Max(end - trailing, start);
            }

            tokens[i] = token with { Start = start, End = end };
        }

        return tokens;
    }

    private static bool IsBlank(int code) => code == Blank || CharacterClass.IsSpace(code);
}

/// <summary>Puts tokens such as a bos around the text.</summary>
internal sealed class TemplatePostProcessor(IReadOnlyList<int> before, IReadOnlyList<int> after) : PostProcessor
{
    /// <inheritdoc/>
    public override IEnumerable<int> Ids => before.Concat(after);

    /// <summary>A bos before and an eos behind a text; null where there is neither.</summary>
    /// <param name="begin">The bos' id, or null.</param>
    /// <param name="end">The eos' id, or null.</param>
    /// <param name="vocabulary">Has to have both.</param>
    /// <param name="location">How errors name the file.</param>
    /// <param name="remedy">What to do where it has not.</param>
    public static TemplatePostProcessor? Of(int? begin, int? end, Vocabulary vocabulary, string location, string remedy)
    {
        List<int> before = [.. begin is { } first ? [first] : Array.Empty<int>()];
        List<int> after = [.. end is { } last ? [last] : Array.Empty<int>()];
        foreach (var id in before.Concat(after).Where(id => vocabulary.TokenOf(id) is null))
        {
            throw new TokenizerException("GA2108", location, $"the bos or eos id {id} is beyond the {vocabulary.Size} tokens", remedy);
        }

        return before.Count + after.Count == 0 ? null : new(before, after);
    }

    /// <summary>Reads the <c>single</c> template; that for pairs of texts has no use here.</summary>
    public static TemplatePostProcessor FromTemplate(TokenizerNode node)
    {
        var special = node.Find("special_tokens")?.Members().ToDictionary(
            pair => pair.Key,
            pair => pair.Value.Need("ids").Items().Select(id => id.Number()).ToArray(),
            StringComparer.Ordinal) ?? [];
        List<int> before = [];
        List<int> after = [];
        var sequences = 0;
        foreach (var item in node.Need("single").Items())
        {
            if (item.Find("Sequence") is { } sequence)
            {
                if (sequence.Need("id").Text() != "A" || ++sequences > 1)
                {
                    throw item.Unknown("a template for one text that names another sequence than A, or A twice");
                }
            }
            else if (item.Find("SpecialToken") is { } token)
            {
                var name = token.Need("id").Text();
                (sequences == 0 ? before : after).AddRange(special.GetValueOrDefault(name)
                    ?? throw item.Unknown($"the token \"{name}\", which special_tokens lacks,"));
            }
            else
            {
                throw item.Unknown("a template item that is neither Sequence nor SpecialToken");
            }
        }

        return sequences == 1
            ? new TemplatePostProcessor(before, after)
            : throw node.Unknown("a template without the sequence A");
    }

    /// <inheritdoc/>
    public override List<ProcessedToken> Apply(List<ProcessedToken> tokens, bool addSpecialTokens, Vocabulary vocabulary) =>
        addSpecialTokens
            ? [.. before.Select(Added), .. tokens, .. after.Select(Added)]
            : tokens;

    private static ProcessedToken Added(int id) => new(id, 0, 0, null);
}
