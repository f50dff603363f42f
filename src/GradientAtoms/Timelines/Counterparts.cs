using GradientAtoms.Atoms;

namespace GradientAtoms.Timelines;

/// <summary>Documents that were asked most alike: the nearest by the words of their prompts, each weighed by ln(N / prompts that have it).</summary>
public sealed class Counterparts
{
    private readonly string[][] _words;
    private readonly Dictionary<string, double> _weights;
    private readonly double[] _norms;
    private readonly double[] _lengths;

    /// <summary>Looks at all documents.</summary>
    /// <param name="prompts"><c>[N]</c>; empty where a document has none.</param>
    /// <param name="lengths"><c>[N]</c>: trained tokens. Of documents as near by words, the nearest in length come first.</param>
    public Counterparts(IReadOnlyList<string> prompts, IReadOnlyList<int> lengths)
    {
        if (prompts.Count != lengths.Count)
            throw new ArgumentException($"{lengths.Count} lengths for {prompts.Count} prompts", nameof(lengths));
        _words = [.. prompts.Select(prompt => Keywords.Words(prompt).Distinct(StringComparer.Ordinal).ToArray())];
        _weights = _words.SelectMany(words => words).CountBy(word => word, StringComparer.Ordinal)
            .ToDictionary(pair => pair.Key, pair => Math.Log((double)prompts.Count / pair.Value), StringComparer.Ordinal);
        _norms = [.. _words.Select(words => Math.Sqrt(words.Sum(word => _weights[word] * _weights[word])))];
        _lengths = [.. lengths.Select(length => Math.Log(Math.Max(1, length)))];
    }

    /// <summary>The counterparts of a document.</summary>
    /// <param name="document">Its row.</param>
    /// <param name="candidates">The rows to choose from.</param>
    /// <param name="count">How many, at most.</param>
    /// <returns>Rows, the nearest first; fewer where there are fewer candidates.</returns>
    public int[] Of(int document, IReadOnlyList<int> candidates, int count = 4)
    {
        var own = _words[document].ToHashSet(StringComparer.Ordinal);
        double Cosine(int other)
        {
            var shared = _words[other].Where(own.Contains).Sum(word => _weights[word] * _weights[word]);
            return shared > 0 ? shared / (_norms[document] * _norms[other]) : 0;
        }

        return [.. candidates
            .Where(other => other != document)
            .Select(other => (Other: other, Cosine: Cosine(other), Difference: Math.Abs(_lengths[other] - _lengths[document])))
            .OrderByDescending(entry => entry.Cosine)
            .ThenBy(entry => entry.Difference)
            .ThenBy(entry => entry.Other)
            .Take(count)
            .Select(entry => entry.Other)];
    }
}
