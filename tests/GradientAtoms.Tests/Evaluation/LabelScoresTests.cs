using GradientAtoms.DictionaryLearning;
using GradientAtoms.Evaluation;

namespace GradientAtoms.Tests.Evaluation;

public sealed class LabelScoresTests
{
    [Fact]
    public void The_expected_mutual_information_is_its_mean_over_all_permutations()
    {
        int[] first = [0, 0, 0, 1, 1, 2];
        int[] second = [0, 1, 1, 1, 2, 2];
        var permutations = Permutations([0, 1, 2, 3, 4, 5]).ToArray();
        Assert.Equal(720, permutations.Length);
        var mean = permutations.Average(order => MutualInformation.Plain(first, [.. order.Select(place => second[place])]));
        Assert.Equal(mean, MutualInformation.Expected([3, 2, 1], [1, 3, 2]), 1e-12);
    }

    [Fact]
    public void Mutual_information_of_a_small_table_is_that_by_hand()
    {
        // Two of four documents change sides: each cell has 1 of 4, so nothing is known.
        Assert.Equal(0, MutualInformation.Plain([0, 0, 1, 1], [0, 1, 0, 1]), 1e-12);
        Assert.Equal(Math.Log(2), MutualInformation.Plain([0, 0, 1, 1], [5, 5, 7, 7]), 1e-12);
        // Of the 6 ways to place two labels on two others, 2 give ln 2 and 4 give 0: E = ln 2 / 3, and (0 − E) / (ln 2 − E) = −1/2.
        Assert.Equal(-0.5, MutualInformation.Adjusted([0, 0, 1, 1], [0, 1, 0, 1]), 1e-12);
    }

    [Theory]
    [InlineData(new[] { 0, 0, 1, 1 }, new[] { 1, 1, 0, 0 }, 1)] // names do not matter
    [InlineData(new[] { 0, 0, 0, 0 }, new[] { 3, 3, 3, 3 }, 1)]
    [InlineData(new[] { 0, 0, 0, 0 }, new[] { 0, 1, 2, 3 }, 0)]
    [InlineData(new[] { 0, 1, 2, 3 }, new[] { 3, 2, 1, 0 }, 1)]
    public void The_limits_are_those_of_scikit_learn(int[] first, int[] second, double expected) =>
        Assert.Equal(expected, MutualInformation.Adjusted(first, second), 1e-12);

    [Fact]
    public void A_tasks_score_is_the_best_F1_of_a_large_enough_pole()
    {
        // Atom 0: + has a, a, a, b; − has three b (too few). Atom 1: + has all eight.
        var codes = Codes([(0, 1f), (1, .1f)], [(0, 1f), (1, .1f)], [(0, 1f), (1, .1f)], [(1, 1f)], [(0, 1f), (1, .1f)], [(0, -1f), (1, .1f)], [(0, -1f), (1, .1f)], [(0, -1f), (1, .1f)]);
        var scores = LabelScores.Of(codes, ["a", "a", "a", "a", "b", "b", "b", "b"], new() { MinimumTask = 4, Seed = 1 });
        Assert.Equal(["a", "b"], scores.Tasks.Select(task => task.Task));
        Assert.Equal(2 * 3 / (4d + 4), scores.Tasks[0].BestF1, 1e-12);
        Assert.Equal((0, 1), (scores.Tasks[0].Atom, scores.Tasks[0].Sign));
        Assert.Equal(2 * 4 / (8d + 4), scores.Tasks[1].BestF1, 1e-12);
        Assert.Equal(2, scores.TasksFound);
        Assert.Equal((0.75 + (2 / 3d)) / 2, scores.MeanBestF1, 1e-12);
        Assert.Equal(MutualInformation.Adjusted([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 2, 0, 1, 1, 1]), scores.AdjustedMutualInformation, 1e-12);
        var withSmall = LabelScores.Of(codes, ["a", "a", "a", "a", "b", "b", "b", "b"], new() { MinimumTask = 4, MinimumSupport = 3, Seed = 1 });
        Assert.Equal(2 * 3 / (3d + 4), withSmall.Tasks[1].BestF1, 1e-12);
        Assert.Equal((0, -1), (withSmall.Tasks[1].Atom, withSmall.Tasks[1].Sign));
    }

    [Fact]
    public void Documents_without_a_code_are_a_class_of_their_own_and_the_background_is_no_task()
    {
        var codes = Codes([(0, 1f)], [(0, 2f)], [(0, 1f)], [(0, 1f)], [], [], [], [], [(0, 1f)], []);
        string[] labels = ["a", "a", "a", "a", "b", "b", "b", "b", "other", "other"];
        var scores = LabelScores.Of(codes, labels, new() { MinimumTask = 2, Background = "other", Seed = 1 });
        Assert.Equal(1, scores.AdjustedMutualInformation, 1e-12);
        Assert.Equal(["a", "b"], scores.Tasks.Select(task => task.Task));
        Assert.Equal(2 * 4 / (5d + 4), scores.Tasks[0].BestF1, 1e-12); // the other one is a false alarm
        Assert.Equal((0d, 0), (scores.Tasks[1].BestF1, scores.Tasks[1].Sign));
    }

    [Fact]
    public void Poles_that_tell_the_tasks_score_above_permuted_labels()
    {
        var labels = Enumerable.Range(0, 80).Select(document => $"task {document / 10}").ToArray();
        var codes = Codes([.. Enumerable.Range(0, 80).Select(document => new[] { (document / 10, 1f) })]);
        var scores = LabelScores.Of(codes, labels, new() { Seed = 3 });
        Assert.Equal((8, 1d, 1d), (scores.TasksFound, scores.MeanBestF1, Math.Round(scores.AdjustedMutualInformation, 9)));
        Assert.InRange(scores.MeanBestF1ByChance, 0.15, 0.45);
        Assert.Equal(scores.MeanBestF1ByChance, LabelScores.Of(codes, labels, new() { Seed = 3 }).MeanBestF1ByChance);
    }

    private static SparseCodes Codes(params (int Atom, float Code)[][] documents)
    {
        var builder = new SparseCodes.Builder(8);
        foreach (var document in documents)
        {
            foreach (var (atom, code) in document)
                builder.Add(atom, code);
            builder.EndDocument();
        }

        return builder.Build();
    }

    private static IEnumerable<int[]> Permutations(int[] items) => items.Length <= 1
        ? [items]
        : items.SelectMany(item => Permutations([.. items.Where(other => other != item)]).Select(rest => (int[])[item, .. rest]));
}
