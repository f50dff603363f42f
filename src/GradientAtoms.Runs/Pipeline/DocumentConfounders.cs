using GradientAtoms.Confounders;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>What a run knows of its documents that is no behaviour: length, trained length, position, source, language, format, near-duplicates.</summary>
public static class DocumentConfounders
{
    /// <summary>What can be taken off the rows before the dictionary (<see cref="AuditOptions.Residualise"/>): all but near-duplicates, whose groups are too many.</summary>
    public static IReadOnlyList<string> Removable { get; } = ["length", "trained_length", "position", "source", "language", "format"];

    /// <summary>The confounders of a run's documents, those too that do not vary.</summary>
    /// <param name="texts">The documents as a reader sees them, <c>[N]</c>.</param>
    /// <param name="tokens">Their tokens, in the same order.</param>
    internal static IReadOnlyList<Confounder> Of(IReadOnlyList<TextRow> texts, IReadOnlyList<TokenizedDocument> tokens)
    {
        var groups = NearDuplicates.Groups(texts.Select(text => $"{text.Prompt}\n{text.Answer}"));
        string[] ids = [.. texts.Select(text => text.Id)];
        return
        [
            Confounder.OfNumbers("length", [.. tokens.Select(document => (double)document.Tokens.Length)]),
            Confounder.OfNumbers("trained_length", [.. tokens.Select(document => (double)document.TrainedCount)]),
            Confounder.OfNumbers("position", [.. texts.Select(text => (double)text.Line)]),
            Confounder.OfGroups("source", [.. texts.Select(text => text.Source)]),

            // Short answers tell no language; what they were asked in does.
            Confounder.OfGroups("language", [.. texts.Select(text => TextTraits.Language(text.Answer) ?? TextTraits.Language(text.Prompt))]),
            Confounder.OfGroups("format", [.. texts.Select(text => TextTraits.Format(text.Answer))]),
            Confounder.OfGroups("duplicates", [.. groups.Select(first => ids[first])]),
        ];
    }
}
