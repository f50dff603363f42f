using GradientAtoms.DictionaryLearning;

namespace GradientAtoms.Evaluation;

/// <summary>Whether a label's documents are one pole's documents.</summary>
/// <param name="Label">The label.</param>
/// <param name="Documents">Documents that have it.</param>
/// <param name="Precision">Of the best pole's documents, the share that has the label; 0 where no pole has one of them.</param>
/// <param name="Recall">Of the label's documents, the share on that pole.</param>
/// <param name="Atom">Row of the pole's atom, −1 without one.</param>
/// <param name="Sign">1 or −1; 0 without one.</param>
public sealed record Detection(string Label, int Documents, double Precision, double Recall, int Atom, int Sign)
{
    /// <summary>Finds for every label the pole whose smaller one of precision and recall is the largest. A pole is the documents with a code of its sign, however small.</summary>
    /// <param name="codes"><c>[N, K]</c>.</param>
    /// <param name="labels"><c>[N]</c>.</param>
    /// <returns>One a label, by its name.</returns>
    public static IReadOnlyList<Detection> Of(SparseCodes codes, IReadOnlyList<string> labels)
    {
        if (labels.Count != codes.DocumentCount)
        {
            throw new ArgumentException($"{labels.Count} labels for {codes.DocumentCount} documents", nameof(labels));
        }

        var best = labels.GroupBy(label => label, StringComparer.Ordinal).ToDictionary(group => group.Key, group => new Detection(group.Key, group.Count(), 0, 0, -1, 0), StringComparer.Ordinal);
        var byAtom = codes.ByAtom();
        for (var atom = 0; atom < codes.AtomCount; atom++)
        {
            var (documents, values) = (byAtom.DocumentsOf(atom).ToArray(), byAtom.CodesOf(atom).ToArray());
            foreach (var sign in (int[])[1, -1])
            {
                int[] members = [.. documents.Where((_, place) => Math.Sign(values[place]) == sign)];
                foreach (var hits in members.GroupBy(document => labels[document], StringComparer.Ordinal))
                {
                    var old = best[hits.Key];
                    var found = old with { Precision = (double)hits.Count() / members.Length, Recall = (double)hits.Count() / old.Documents, Atom = atom, Sign = sign };
                    if (found.Worse > old.Worse)
                    {
                        best[hits.Key] = found;
                    }
                }
            }
        }

        return [.. best.Values.OrderBy(detection => detection.Label, StringComparer.Ordinal)];
    }

    /// <summary>The smaller one of precision and recall.</summary>
    public double Worse => Math.Min(Precision, Recall);
}
