using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Evaluation;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Scoring;

/// <summary>
/// What the words alone tell: the same dictionary on tf-idf rows of words and pairs of words (sublinear counts, smoothed idf, at
/// least two documents, unit rows), in the exact coordinates UΣ of their Gram matrix.
/// </summary>
internal static partial class TfIdfBaseline
{
    public static int Run(Arguments arguments)
    {
        var limit = arguments.Integer("limit", int.MaxValue);
        var tasks = ScoringFiles.Labels(arguments.Need("labels"), int.MaxValue).ToDictionary(label => label.Id, label => label.Task, StringComparer.Ordinal);
        var chats = ScoringFiles.Chats(arguments.Need("data"), limit);
        string[] labels = [.. chats.Select(chat => tasks[chat.Id])];
        var clock = Stopwatch.StartNew();
        using var rows = Coordinates(Gram([.. chats.Select(chat => chat.Text)]), chats.Count, arguments.Has("centre"));
        Console.WriteLine(FormattableString.Invariant($"{chats.Count} documents, {rows.shape[1]} coordinates, {clock.Elapsed.TotalSeconds:f1} s\n\n{ScoreTable.Header}"));
        foreach (var seed in (arguments.Text("seeds") ?? "0").Split(','))
        {
            clock.Restart();
            using var learnt = DictionaryLearner.Learn(rows, new()
            {
                AtomCount = arguments.Integer("atoms", 200),
                TargetNonzeros = arguments.Number("nonzeros", 4.3),
                Seed = long.Parse(seed, CultureInfo.InvariantCulture),
            });
            var seconds = clock.Elapsed.TotalSeconds;
            var scores = LabelScores.Of(learnt.Codes, labels, new() { Background = arguments.Text("background") ?? "general", Seed = 0 });
            ScoreTable.Print(FormattableString.Invariant($"tf-idf, seed {seed}, penalty {learnt.Sparsity:f4}, objective {learnt.Objective:f4}, {learnt.Rounds} rounds, weak {learnt.WeakAtoms}, reseeded {learnt.ReseededAtoms}, {seconds:f1} s"), scores, arguments.Has("tasks"));
        }

        return 0;
    }

    /// <summary>Inner products of the unit tf-idf rows, <c>[N, N]</c> row-major.</summary>
    internal static double[] Gram(string[] texts)
    {
        var counts = texts.Select(Terms).ToArray();
        var postings = new SortedDictionary<string, List<(int Document, double Weight)>>(StringComparer.Ordinal);
        for (var document = 0; document < texts.Length; document++)
        {
            foreach (var (term, count) in counts[document])
            {
                if (!postings.TryGetValue(term, out var list))
                    postings[term] = list = [];
                list.Add((document, 1 + Math.Log(count)));
            }
        }

        var gram = new double[texts.Length * texts.Length];
        foreach (var list in postings.Values.Where(list => list.Count >= 2))
        {
            var idf = Math.Log((1d + texts.Length) / (1d + list.Count)) + 1;
            foreach (var (first, left) in list)
            {
                foreach (var (second, right) in list)
                    gram[(first * texts.Length) + second] += left * right * idf * idf;
            }
        }

        var norms = Enumerable.Range(0, texts.Length).Select(document => Math.Sqrt(gram[document * (texts.Length + 1)])).ToArray();
        for (var i = 0; i < gram.Length; i++)
        {
            var norm = norms[i / texts.Length] * norms[i % texts.Length];
            gram[i] = norm > 0 ? gram[i] / norm : 0;
        }

        return gram;
    }

    internal static Tensor Coordinates(double[] gram, int documentCount, bool centre)
    {
        using var scope = NewDisposeScope();
        var (eigenvalues, vectors) = linalg.eigh(tensor(gram, [documentCount, documentCount]));
        var kept = eigenvalues.gt(1e-10 * eigenvalues.max()).nonzero().squeeze(1);
        var rows = vectors.index_select(1, kept) * eigenvalues.index_select(0, kept).sqrt();
        if (centre)
        {
            rows -= rows.mean([0], keepdim: true);
            rows /= rows.norm(1, keepdim: true).clamp_min(1e-12);
        }

        return rows.to(ScalarType.Float32).MoveToOuterDisposeScope();
    }

    private static Dictionary<string, int> Terms(string text)
    {
        var terms = new Dictionary<string, int>(StringComparer.Ordinal);
        string? previous = null;
        foreach (Match match in Word().Matches(text.ToLowerInvariant()))
        {
            terms[match.Value] = terms.GetValueOrDefault(match.Value) + 1;
            if (previous is not null)
                terms[$"{previous} {match.Value}"] = terms.GetValueOrDefault($"{previous} {match.Value}") + 1;
            previous = match.Value;
        }

        return terms;
    }

    [GeneratedRegex(@"\b\w\w+\b", RegexOptions.CultureInvariant)]
    private static partial Regex Word();
}
