using GradientAtoms.Certificates;
using GradientAtoms.Confounders;
using GradientAtoms.DictionaryLearning;

namespace GradientAtoms.Atoms;

/// <summary>Cosines between documents' gradients in one metric, raw or whitened.</summary>
public interface IDocumentCosines
{
    /// <summary>The cosines of some documents.</summary>
    /// <param name="documents">Rows, <c>[n]</c>.</param>
    /// <returns><c>[n, n]</c>, symmetric, 1 on the diagonal.</returns>
    double[,] Cosines(IReadOnlyList<int> documents);
}

/// <summary>What is known of the documents and atoms beside the codes. What is null is not computed.</summary>
public sealed record AtomEvidence
{
    /// <summary>Cosines of raw gradients.</summary>
    public IDocumentCosines? Raw { get; init; }

    /// <summary>Cosines of whitened gradients.</summary>
    public IDocumentCosines? Whitened { get; init; }

    /// <summary>Shares of whitened energy, see <see cref="AtomShares.Of"/>.</summary>
    public AtomShares? Shares { get; init; }

    /// <summary>Names of the adapted modules, <c>[M]</c>.</summary>
    public IReadOnlyList<string>? ModuleNames { get; init; }

    /// <summary><c>[K, M]</c>: share of each lifted atom's squared norm by module.</summary>
    public double[,]? ModuleShares { get; init; }

    /// <summary>Prompt and answers of each document, <c>[N]</c>, for keywords: gone through twice from first to last, so that a list may read them as it goes.</summary>
    public IReadOnlyList<(string Prompt, string Answer)>? Texts { get; init; }

    /// <summary>What may explain a pole beside what its documents teach, each of all N documents.</summary>
    public IReadOnlyList<Confounder>? Confounders { get; init; }

    /// <summary>Certificates of the poles that have enough documents for one.</summary>
    public IReadOnlyList<PoleCertificate>? Certificates { get; init; }
}

/// <summary>What is reported of an atom.</summary>
public sealed record AtomOptions
{
    /// <summary>Documents that a pole needs to be reported as a behaviour: below, it is listed without coherence and keywords.</summary>
    public int MinimumSupport { get; init; } = 4;

    /// <summary>Documents that a coherence is taken over, at most.</summary>
    public int TopDocuments { get; init; } = 20;

    /// <summary>Documents listed a pole, at most.</summary>
    public int ListedDocuments { get; init; } = 100;

    /// <summary>Keywords a pole, at most.</summary>
    public int KeywordCount { get; init; } = 8;
}

/// <summary>Makes atoms and poles of codes.</summary>
public static class AtomBuilder
{
    /// <summary>Describes every atom that a document encodes on, the largest share first (without shares: most energy Σ code² first).</summary>
    /// <param name="codes"><c>[N, K]</c>.</param>
    /// <param name="documentIds"><c>[N]</c>.</param>
    /// <param name="evidence">What else is known.</param>
    /// <param name="options">What is reported.</param>
    /// <param name="progress">Told after every atom.</param>
    /// <param name="cancellationToken">Looked at every atom.</param>
    public static IReadOnlyList<Atom> Build(
        SparseCodes codes,
        IReadOnlyList<string> documentIds,
        AtomEvidence evidence,
        AtomOptions? options = null,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        options ??= new();
        Check(codes, documentIds, evidence);
        var byAtom = codes.ByAtom();
        var rows = Enumerable.Range(0, codes.AtomCount).Where(atom => byAtom.DocumentsOf(atom).Length > 0).ToArray();
        var sides = rows.Select(row => Side.Both(byAtom, row, documentIds)).ToArray();
        var ids = AtomIds.Of([.. sides.Select(pair => pair.SelectMany(side => side.Top(options.TopDocuments).Select(place => (documentIds[side.Documents[place]], side.Sign))).ToArray())]);
        var groups = sides.SelectMany(pair => pair).Where(side => side.Documents.Length >= options.MinimumSupport).ToArray();
        var keywords = evidence.Texts is null
            ? []
            : groups.Zip(Keywords.Find(evidence.Texts.Select(text => text.Prompt), evidence.Texts.Select(text => text.Answer), codes.DocumentCount, [.. groups.Select(side => side.Documents)], options.KeywordCount)).ToDictionary(pair => pair.First, pair => pair.Second);
        var atoms = new List<(Atom Atom, double Rank)>(rows.Length);
        for (var i = 0; i < rows.Length; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var rank = evidence.Shares?.Atoms[rows[i]] ?? sides[i].Sum(side => side.Energy);
            atoms.Add((Describe(ids[i], rows[i], sides[i], documentIds, evidence, keywords, options), rank));
            progress?.Report(new("atoms", i + 1, rows.Length, "atoms"));
        }

        return [.. atoms.OrderByDescending(pair => pair.Rank).ThenBy(pair => pair.Atom.Row).Select(pair => pair.Atom)];
    }

    private static void Check(SparseCodes codes, IReadOnlyList<string> documentIds, AtomEvidence evidence)
    {
        if (documentIds.Count != codes.DocumentCount)
            throw new ArgumentException($"{documentIds.Count} ids for {codes.DocumentCount} documents", nameof(documentIds));
        if (evidence.Texts is { } texts && texts.Count != codes.DocumentCount)
            throw new ArgumentException($"{texts.Count} texts for {codes.DocumentCount} documents", nameof(evidence));
        if (evidence.Confounders is { } confounders && confounders.Any(confounder => confounder.DocumentCount != codes.DocumentCount))
            throw new ArgumentException($"confounders of other than {codes.DocumentCount} documents", nameof(evidence));
        if (evidence.Shares is { } shares && shares.Atoms.Count != codes.AtomCount)
            throw new ArgumentException($"{shares.Atoms.Count} shares for {codes.AtomCount} atoms", nameof(evidence));
        if (evidence.ModuleShares is { } modules && (modules.GetLength(0) != codes.AtomCount || modules.GetLength(1) != evidence.ModuleNames?.Count))
            throw new ArgumentException($"module shares [{modules.GetLength(0)}, {modules.GetLength(1)}] for {codes.AtomCount} atoms and {evidence.ModuleNames?.Count} names", nameof(evidence));
    }

    private static Atom Describe(
        string id,
        int row,
        Side[] sides,
        IReadOnlyList<string> documentIds,
        AtomEvidence evidence,
        Dictionary<Side, GroupWords> keywords,
        AtomOptions options)
    {
        var supported = sides.Where(side => side.Documents.Length >= options.MinimumSupport).ToArray();
        var mixed = sides
            .SelectMany(side => Enumerable.Range(0, side.Documents.Length).Select(place => (Document: side.Documents[place], Size: Math.Abs(side.Codes[place]))))
            .OrderByDescending(pair => pair.Size)
            .ThenBy(pair => documentIds[pair.Document], StringComparer.Ordinal)
            .Take(options.TopDocuments)
            .Select(pair => pair.Document)
            .ToArray();
        int[][] tops = [.. supported.Select(side => side.Documents.Take(options.TopDocuments).ToArray())];
        var whitened = Coherences(evidence.Whitened, tops);
        var raw = Coherences(evidence.Raw, [.. tops, mixed]);
        return new()
        {
            Id = id,
            Row = row,
            Share = evidence.Shares?.Atoms[row],
            CoherenceReference = raw[^1],
            Modules = evidence.ModuleShares is { } shares
                ? [.. evidence.ModuleNames!
                    .Select((name, module) => new ModuleShare(name, shares[row, module]))
                    .OrderByDescending(module => module.Share)
                    .ThenBy(module => module.Name, StringComparer.Ordinal)]
                : null,
            Poles = [.. sides.Select(side =>
            {
                var place = Array.IndexOf(supported, side);
                var finding = place >= 0 && evidence.Confounders is { } confounders
                    ? ConfounderTest.Weigh(side.Documents, side.Codes, confounders, $"{row}/{side.Sign}")
                    : null;
                return WithCertificate(row, evidence.Certificates, new()
                {
                    Id = id + (side.Sign > 0 ? "+" : "-"),
                    Sign = side.Sign,
                    Documents = side.Documents.Length,
                    Supported = place >= 0,
                    Coherence = place >= 0 ? whitened[place] : null,
                    CoherenceRaw = place >= 0 ? raw[place] : null,
                    Confounders = finding?.Shares,
                    Only = finding?.Only,
                    Keywords = keywords.GetValueOrDefault(side)?.All,
                    PromptKeywords = keywords.GetValueOrDefault(side)?.Prompts,
                    AnswerKeywords = keywords.GetValueOrDefault(side)?.Answers,
                    Top = [.. side.Top(options.ListedDocuments).Select(entry => new PoleDocument(documentIds[side.Documents[entry]], side.Codes[entry]))],
                });
            })],
        };
    }

    private static Pole WithCertificate(int row, IReadOnlyList<PoleCertificate>? certificates, Pole pole)
    {
        if (certificates is null)
            return pole;
        return certificates.FirstOrDefault(certificate => certificate.Atom == row && certificate.Sign == pole.Sign) is not { } found
            ? pole with { Certified = false, Reasons = ["support"] }
            : pole with
            {
                Certified = found.Certified,
                Reasons = found.Reasons,
                Fdr = found.Fdr,
                FamilyWise = found.FamilyWise,
                Separation = found.Separation,
                SeparationNull = found.SeparationNull,
                CoherenceNull = found.CoherenceNull,
                Recurrence = found.Recurrence,
                RecurrenceBar = found.RecurrenceBar,
                Resampled = found.Resampled,
                Agreement = found.Agreement,
                AgreementNull = found.AgreementNull,
                CodingGain = found.CodingGain,
                CodingGainNull = found.CodingGainNull,
            };
    }

    /// <summary>The mean pairwise cosine of each group; the metric is asked once, for all of them together.</summary>
    private static double?[] Coherences(IDocumentCosines? metric, int[][] groups)
    {
        var documents = groups.SelectMany(group => group).Distinct().Order().ToArray();
        if (metric is null || documents.Length < 2)
            return new double?[groups.Length];
        var cosines = metric.Cosines(documents);
        var places = documents.Select((document, place) => (document, place)).ToDictionary(pair => pair.document, pair => pair.place);
        return [.. groups.Select(group =>
        {
            if (group.Length < 2)
                return (double?)null;
            var sum = 0d;
            for (var i = 0; i < group.Length; i++)
            {
                for (var j = 0; j < i; j++)
                    sum += cosines[places[group[i]], places[group[j]]];
            }

            return sum / (group.Length * (group.Length - 1) / 2);
        })];
    }

    /// <summary>An atom's documents of one sign, the largest code first, equal ones by id.</summary>
    private sealed record Side(int Sign, int[] Documents, float[] Codes)
    {
        public double Energy => Codes.Sum(code => (double)code * code);

        public IEnumerable<int> Top(int count) => Enumerable.Range(0, Math.Min(count, Documents.Length));

        public static Side[] Both(CodesByAtom byAtom, int atom, IReadOnlyList<string> documentIds)
        {
            var (documents, codes) = (byAtom.DocumentsOf(atom).ToArray(), byAtom.CodesOf(atom).ToArray());
            int[] signs = [1, -1];
            return [.. signs
                .Select(sign => Enumerable.Range(0, documents.Length)
                    .Where(place => Math.Sign(codes[place]) == sign)
                    .OrderByDescending(place => Math.Abs(codes[place]))
                    .ThenBy(place => documentIds[documents[place]], StringComparer.Ordinal)
                    .ToArray() is { Length: > 0 } order
                        ? new Side(sign, [.. order.Select(place => documents[place])], [.. order.Select(place => codes[place])])
                        : null)
                .OfType<Side>()];
        }
    }
}
