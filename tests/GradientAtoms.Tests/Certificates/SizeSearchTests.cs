using GradientAtoms.Certificates;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Certificates;

/// <summary>How many atoms, and which penalty: chosen from what stays, on rows whose groups are known.</summary>
public sealed class SizeSearchTests
{
    private const int Groups = 12;
    private const int Members = 12;

    [Fact]
    public void Of_planted_groups_the_chosen_size_is_of_their_order_and_keeps_the_same_points_for_a_seed()
    {
        using var rows = Planted(documents: 200);
        using var search = new SizeSearch(rows, Options(SizeQuestion.Atoms));
        var points = All(search);
        var chosen = search.Choose(points);
        Assert.True(chosen.Atoms is >= Groups / 2 and <= Groups * 3, Text(points));
        Assert.Null(chosen.Sparsity);

        // A pole a group: few atoms lose groups, and many split them, which is counted once.
        var atChosen = points.Single(point => point.Atoms == chosen.Atoms).Distinct;
        Assert.InRange(atChosen, Groups - 2, Groups + 2);
        Assert.True(points.MinBy(point => point.Atoms)!.Distinct < atChosen / 2, Text(points));
        Assert.True(points.Max(point => point.Distinct) <= atChosen / 0.95, Text(points));
        Assert.Contains($"{chosen.Atoms} atoms are the fewest that leave {atChosen}", chosen.Why, StringComparison.Ordinal);

        using var again = new SizeSearch(rows, Options(SizeQuestion.Atoms));
        Assert.Equal(points[1], again.Measure(new(points[1].Atoms, 1.5, null)));
    }

    [Fact]
    public void The_penalty_that_is_chosen_leaves_the_most_poles_and_is_of_the_chosen_size()
    {
        using var rows = Planted(documents: 200);
        using var search = new SizeSearch(rows, Options(SizeQuestion.Sparsity));
        var points = All(search);
        Assert.Equal(SizeSearch.Penalties, points.Count);
        Assert.All(points, point => Assert.Equal(Groups, point.Atoms));
        var chosen = search.Choose(points);
        var point = points.Single(point => point.Sparsity == chosen.Sparsity);
        Assert.True(point.Distinct >= 0.95 * points.Max(other => other.Distinct), Text(points));
        Assert.DoesNotContain(points, other => other.Sparsity > point.Sparsity && other.Distinct >= 0.95 * points.Max(any => any.Distinct));
    }

    [Fact]
    public void Sizes_double_while_more_stays_and_end_between_the_neighbours_of_the_best()
    {
        using var rows = zeros([160, 2]);
        using var search = new SizeSearch(rows, Options(SizeQuestion.Atoms));
        int[] staying = [2, 8, 20, 9];
        var points = new List<SizePoint>();
        while (search.Next(points) is { } trial)
            points.Add(Point(trial.Atoms, points.Count < staying.Length ? staying[points.Count] : 19));
        Assert.Equal([2, 5, 10, 20, 7, 14], points.Select(point => point.Atoms)); // 40 is not tried: 9 is less than two thirds of 20
        Assert.Equal(7, search.Choose(points).Atoms); // 19 of 20 is as good, with fewer
    }

    [Fact]
    public void Where_nothing_stays_the_usual_size_is_taken_and_the_reason_says_so()
    {
        using var rows = zeros([160, 2]);
        using var search = new SizeSearch(rows, Options(SizeQuestion.Both));
        var points = new List<SizePoint>();
        while (search.Next(points) is { } trial)
            points.Add(Point(trial.Atoms, 0) with { Target = trial.Nonzeros, ForPenalty = trial.ForPenalty });
        Assert.Equal(search.MostTrials - 2, points.Count); // nothing to look between
        var chosen = search.Choose(points);
        Assert.Equal((Groups, null), (chosen.Atoms, chosen.Sparsity));
        Assert.Contains("no pole stays at any of 5 sizes", chosen.Why, StringComparison.Ordinal);
        Assert.Contains("no pole stays at any of 6 penalties", chosen.Why, StringComparison.Ordinal);
    }

    private static SizePoint Point(int atoms, int staying) =>
        new(atoms, 0.1, 1.5) { Target = 1.5, Poles = 2 * atoms, BeyondChance = staying, Returning = staying, Agreeing = staying, Staying = 2 * staying, Distinct = staying, DocumentShare = 0.5 };

    private static string Text(List<SizePoint> points) => string.Join('\n', points);

    private static List<SizePoint> All(SizeSearch search)
    {
        var points = new List<SizePoint>();
        while (search.Next(points) is { } trial)
            points.Add(search.Measure(trial));
        return points;
    }

    private static SizeOptions Options(SizeQuestion question) => new() { Question = question, UsualAtoms = Groups, Nonzeros = 1.5, Seed = 5 };

    // Each group's documents share a direction of their own; the others share nothing.
    private static Tensor Planted(int documents)
    {
        using var scope = NewDisposeScope();
        var generator = new Generator(9);
        var rows = nn.functional.normalize(randn([documents, 40], generator: generator), dim: 1);
        var directions = nn.functional.normalize(randn([Groups, 40], generator: generator), dim: 1);
        for (var group = 0; group < Groups; group++)
            rows.narrow(0, group * Members, Members).add_(directions[group], 1.3);
        return nn.functional.normalize(rows, dim: 1).MoveToOuterDisposeScope();
    }
}
