using GradientAtoms.DictionaryLearning;

namespace GradientAtoms.Evaluation;

/// <summary>How well a task is told by one pole.</summary>
/// <param name="Task">The task's label.</param>
/// <param name="Documents">Documents of the task.</param>
/// <param name="BestF1">The best F1 over the poles, a pole's documents taken as the prediction.</param>
/// <param name="Atom">Row of that pole's atom.</param>
/// <param name="Sign">1 or −1; 0 where there is no pole.</param>
public sealed record TaskScore(string Task, int Documents, double BestF1, int Atom, int Sign);

/// <summary>How labels are scored.</summary>
public sealed record LabelScoreOptions
{
    /// <summary>Tasks of fewer documents are not scored.</summary>
    public int MinimumTask { get; init; } = 8;

    /// <summary>Poles of fewer documents are no prediction.</summary>
    public int MinimumSupport { get; init; } = 4;

    /// <summary>
    /// The label of documents of no task in particular, or null. It is no task to find and stays out of the mutual information;
    /// such a document on a task's pole is still a false alarm.
    /// </summary>
    public string? Background { get; init; }

    /// <summary>Label permutations that chance is averaged over.</summary>
    public int Permutations { get; init; } = 10;

    /// <summary>Seed of the permutations.</summary>
    public required long Seed { get; init; }
}

/// <summary>Poles against labels that the method has not seen.</summary>
public sealed record LabelScores
{
    /// <summary>Tasks large enough, by name.</summary>
    public required IReadOnlyList<TaskScore> Tasks { get; init; }

    /// <summary>Tasks whose best F1 is at least .5.</summary>
    public required int TasksFound { get; init; }

    /// <summary>Mean over tasks of the best F1.</summary>
    public required double MeanBestF1 { get; init; }

    /// <summary>The same with permuted labels, mean of the permutations: poles are many, so chance is not 0.</summary>
    public required double MeanBestF1ByChance { get; init; }

    /// <summary>Adjusted mutual information (arithmetic) of task and the pole of the strongest code; documents without a code are a class of their own.</summary>
    public required double AdjustedMutualInformation { get; init; }

    /// <summary>Codes other than zero a document.</summary>
    public required double MeanNonzeros { get; init; }

    /// <summary>Scores codes against labels.</summary>
    /// <param name="codes"><c>[N, K]</c>.</param>
    /// <param name="labels"><c>[N]</c>.</param>
    /// <param name="options">What counts.</param>
    public static LabelScores Of(SparseCodes codes, IReadOnlyList<string> labels, LabelScoreOptions options)
    {
        if (labels.Count != codes.DocumentCount)
            throw new ArgumentException($"{labels.Count} labels for {codes.DocumentCount} documents", nameof(labels));
        var poles = PolesOf(codes, options.MinimumSupport);
        var names = labels.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToArray();
        var numbers = names.Select((name, number) => (name, number)).ToDictionary(pair => pair.name, pair => pair.number, StringComparer.Ordinal);
        var tasks = labels.Select(label => numbers[label]).ToArray();
        var scores = Score(poles, tasks, names, options);
        var chance = 0d;
        for (var permutation = 0; permutation < options.Permutations; permutation++)
        {
            var permuted = tasks.ToArray();
            RandomStream.Integers(options.Seed, FormattableString.Invariant($"evaluation/labels/{permutation}")).Shuffle(permuted);
            chance += Mean(Score(poles, permuted, names, options)) / options.Permutations;
        }

        var strongest = StrongestPoles(codes);
        int[] judged = [.. Enumerable.Range(0, labels.Count).Where(document => labels[document] != options.Background)];
        return new()
        {
            Tasks = scores,
            TasksFound = scores.Count(score => score.BestF1 >= 0.5),
            MeanBestF1 = Mean(scores),
            MeanBestF1ByChance = chance,
            AdjustedMutualInformation = MutualInformation.Adjusted([.. judged.Select(document => tasks[document])], [.. judged.Select(document => strongest[document])]),
            MeanNonzeros = codes.MeanNonzeros,
        };
    }

    /// <summary><c>[N]</c>: a number for the pole of each document's largest |code|, −1 without a code.</summary>
    internal static int[] StrongestPoles(SparseCodes codes)
    {
        var poles = new int[codes.DocumentCount];
        for (var document = 0; document < poles.Length; document++)
        {
            var atoms = codes.AtomsOf(document);
            var values = codes.CodesOf(document);
            var (pole, largest) = (-1, 0f);
            for (var entry = 0; entry < atoms.Length; entry++)
            {
                if (Math.Abs(values[entry]) > largest)
                    (pole, largest) = ((2 * atoms[entry]) + (values[entry] > 0 ? 0 : 1), Math.Abs(values[entry]));
            }

            poles[document] = pole;
        }

        return poles;
    }

    private static List<(int Atom, int Sign, int[] Documents)> PolesOf(SparseCodes codes, int minimumSupport)
    {
        var byAtom = codes.ByAtom();
        var poles = new List<(int, int, int[])>();
        for (var atom = 0; atom < codes.AtomCount; atom++)
        {
            var (documents, values) = (byAtom.DocumentsOf(atom).ToArray(), byAtom.CodesOf(atom).ToArray());
            foreach (var sign in (int[])[1, -1])
            {
                int[] members = [.. documents.Where((_, place) => Math.Sign(values[place]) == sign)];
                if (members.Length >= minimumSupport)
                    poles.Add((atom, sign, members));
            }
        }

        return poles;
    }

    private static List<TaskScore> Score(List<(int Atom, int Sign, int[] Documents)> poles, int[] tasks, string[] names, LabelScoreOptions options)
    {
        var sizes = new int[names.Length];
        foreach (var task in tasks)
            sizes[task]++;
        var best = names.Select((name, task) => new TaskScore(name, sizes[task], 0, -1, 0)).ToArray();
        foreach (var (atom, sign, documents) in poles)
        {
            foreach (var hits in documents.GroupBy(document => tasks[document]))
            {
                var score = 2d * hits.Count() / (documents.Length + sizes[hits.Key]);
                if (score > best[hits.Key].BestF1)
                    best[hits.Key] = best[hits.Key] with { BestF1 = score, Atom = atom, Sign = sign };
            }
        }

        return [.. best.Where(score => score.Documents >= options.MinimumTask && score.Task != options.Background)];
    }

    private static double Mean(List<TaskScore> scores) => scores.Count == 0 ? 0 : scores.Average(score => score.BestF1);
}
