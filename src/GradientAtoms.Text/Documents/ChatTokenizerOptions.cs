using GradientAtoms.Text.ChatTemplates;

namespace GradientAtoms.Text.Documents;

/// <summary>What happens to a chat whose template rewrites earlier turns, so that no one text holds every turn as it was trained.</summary>
public enum RewrittenTurns
{
    /// <summary>One document a trained turn, with ids <c>id#turn</c> (the turn's place among the messages, from 0).</summary>
    Split,

    /// <summary>The document is rejected.</summary>
    Reject,
}

/// <summary>How documents become tokens.</summary>
public sealed record ChatTokenizerOptions
{
    /// <summary>Longer documents are cut at the end. At least 2.</summary>
    public int MaxTokens { get; init; } = 1024;

    /// <summary>What happens where the template rewrites earlier turns.</summary>
    public RewrittenTurns RewrittenTurns { get; init; } = RewrittenTurns.Split;

    /// <summary>
    /// A fault of the reference implementation, to compare with it: everything is trained on behind the longest common token prefix of
    /// the chat and of the chat without its assistant turns, with the generation prompt. That is right for one turn; of a longer chat the
    /// later questions are trained on too, and the first answer's header. What rows say of single turns is not looked at.
    /// </summary>
    public bool TrainsAllAfterFirstPrompt { get; init; }

    /// <summary>More variables for the template (<c>enable_thinking</c>).</summary>
    public IReadOnlyDictionary<string, object?> Variables { get; init; } = new Dictionary<string, object?>(StringComparer.Ordinal);

    /// <summary>The time that a template's <c>strftime_now</c> tells; see <see cref="ChatTemplateContext.Now"/>.</summary>
    public DateTime? Now { get; init; }
}

/// <summary>One document as tokens, or why not.</summary>
/// <param name="Documents">One; several where the chat was split by turn; none where it was rejected.</param>
/// <param name="Rejection">Null where the document can be used.</param>
/// <param name="IsRewritten">True where the template rewrites earlier turns.</param>
public sealed record TokenizedRow(IReadOnlyList<TokenizedDocument> Documents, string? Rejection, bool IsRewritten)
{
    /// <summary>Ids (<c>id#turn</c>) of the turns of a split chat that were cut off altogether.</summary>
    public IReadOnlyList<string> LostTurns { get; init; } = [];
}

/// <summary>Documents as tokens, and what was lost on the way.</summary>
/// <param name="Documents">In the order of the documents.</param>
/// <param name="Rejected">The ones that could not be used, and the turns of split ones that could not.</param>
/// <param name="SplitCount">Documents that became several, because the template rewrites earlier turns.</param>
public sealed record TokenizedSet(IReadOnlyList<TokenizedDocument> Documents, IReadOnlyList<RejectedRow> Rejected, int SplitCount)
{
    /// <summary>Tokens in all.</summary>
    public long TokenCount => Documents.Sum(document => (long)document.Tokens.Length);

    /// <summary>Tokens that the loss sums over.</summary>
    public long TrainedCount => Documents.Sum(document => (long)document.TrainedCount);

    /// <summary>Documents that were cut.</summary>
    public int TruncatedCount => Documents.Count(document => document.TruncatedTokens > 0);

    /// <summary>Tokens that were cut off.</summary>
    public long TruncatedTokens => Documents.Sum(document => (long)document.TruncatedTokens);
}
