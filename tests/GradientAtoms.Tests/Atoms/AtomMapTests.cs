using GradientAtoms.Atoms;
using GradientAtoms.DictionaryLearning;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Atoms;

public class AtomMapTests
{
    [Fact]
    public void Atoms_of_one_family_lie_closer_together_than_atoms_of_two()
    {
        var points = AtomMap.Layout(Families(families: 4, each: 8));
        var (within, between) = (0.0, double.MaxValue);
        for (var left = 0; left < points.Count; left++)
        {
            for (var right = 0; right < left; right++)
            {
                var distance = Math.Sqrt(Math.Pow(points[left].X - points[right].X, 2) + Math.Pow(points[left].Y - points[right].Y, 2));
                if (left / 8 == right / 8)
                {
                    within = Math.Max(within, distance);
                }
                else
                {
                    between = Math.Min(between, distance);
                }
            }
        }

        Assert.True(within < between, $"families are up to {within:g3} wide, and {between:g3} apart at the nearest");
    }

    [Fact]
    public void The_same_atoms_give_the_same_map_and_their_signs_do_not_matter()
    {
        var atoms = Families(families: 3, each: 5);
        var signs = ones(15, 1);
        signs[3] = -1;
        signs[11] = -1;
        Assert.Equal(AtomMap.Layout(atoms), AtomMap.Layout(atoms));
        Assert.Equal(AtomMap.Layout(atoms), AtomMap.Layout(atoms * signs));
    }

    [Fact]
    public void Atoms_that_the_same_documents_use_lie_together_though_their_directions_are_orthogonal()
    {
        // Four documents; the first two use atoms 0 to 3, the others 4 to 7.
        int[] columns = [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7];
        var codes = new SparseCodes([0, 4, 8, 12, 16], columns, [.. columns.Select((_, index) => index % 3 == 0 ? -0.5f : 0.4f)], 8);
        var points = AtomMap.Layout(eye(8), codes);
        Assert.All(points.Zip(AtomMap.Layout(eye(8), codes.ToDense())), pair => Assert.Equal(pair.First.X, pair.Second.X, 3));
        var some = tensor(new long[] { 6, 0, 5, 1 });
        Assert.All(AtomMap.Layout(eye(8), codes, [6, 0, 5, 1]).Zip(AtomMap.Layout(eye(8).index_select(0, some), codes.ToDense().index_select(1, some))), pair => Assert.Equal(pair.First.X, pair.Second.X, 3));
        double Distance(int left, int right) => Math.Abs(points[left].X - points[right].X) + Math.Abs(points[left].Y - points[right].Y);
        Assert.True(Distance(0, 1) < Distance(0, 4));
        Assert.True(Distance(5, 6) < Distance(2, 6));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    public void Few_atoms_have_finite_places_inside_the_map(int count)
    {
        var points = AtomMap.Layout(randn([count, 6], generator: new Generator(3)));
        Assert.Equal(count, points.Count);
        Assert.All(points, point =>
        {
            Assert.InRange(point.X, -1e-9, 1 + 1e-9);
            Assert.InRange(point.Y, -1e-9, 1 + 1e-9);
        });
    }

    [Fact]
    public void Codes_of_another_dictionary_are_refused() =>
        Assert.Throws<ArgumentException>(() => AtomMap.Layout(eye(8), new SparseCodes([0, 1], [0], [1f], 7)));

    private static Tensor Families(int families, int each)
    {
        var generator = new Generator(5);
        var centres = randn([families, 1, 40], generator: generator);
        return (centres + (randn([families, each, 40], generator: generator) * 0.4)).reshape(families * each, 40);
    }
}
