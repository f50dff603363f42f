using GradientAtoms.Text.Documents;
using GradientAtoms.Text.Tokenization;

namespace GradientAtoms.Cli;

/// <summary>A stretch of a rendered document whose tokens are all trained on, or all not.</summary>
internal sealed record RenderedSegment(bool Trained, string Text);

/// <summary>A document as the model reads it, cut where the loss mask changes.</summary>
internal sealed record RenderedRow(string? Rejection, int Tokens, int TrainedTokens, int TruncatedTokens, IReadOnlyList<RenderedSegment> Segments)
{
    public static RenderedRow Of(TokenizedRow row, Tokenizer tokenizer)
    {
        var segments = new List<RenderedSegment>();
        foreach (var document in row.Documents)
        {
            for (var start = 0; start < document.Tokens.Length;)
            {
                var end = start;
                while (end < document.Tokens.Length && document.Trained[end] == document.Trained[start])
                {
                    end++;
                }

                segments.Add(new(document.Trained[start], tokenizer.Decode(document.Tokens[start..end])));
                start = end;
            }
        }

        return new(row.Rejection, row.Documents.Sum(document => document.Tokens.Length), row.Documents.Sum(document => document.TrainedCount), row.Documents.Sum(document => document.TruncatedTokens), segments);
    }
}

/// <summary>Special tokens under the names that chat templates use.</summary>
internal static class SpecialTokenNames
{
    public static IReadOnlyDictionary<string, string> Of(SpecialTokens tokens)
    {
        var names = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, token) in (IEnumerable<(string, string?)>)[("bos_token", tokens.Bos), ("eos_token", tokens.Eos), ("unk_token", tokens.Unk), ("pad_token", tokens.Pad)])
        {
            if (token is not null)
            {
                names[name] = token;
            }
        }

        return names;
    }
}
