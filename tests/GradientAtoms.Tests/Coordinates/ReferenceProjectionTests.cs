using GradientAtoms.Coordinates;
using GradientAtoms.Curvature;
using GradientAtoms.Gradients;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Coordinates;

/// <summary>The reference's coordinates on maps of our own; <c>EkfacFixtureTests</c> has its own numbers.</summary>
public sealed class ReferenceProjectionTests
{
    private static readonly ParameterLayout Layout = new([new("a.lora_A", "a", 2, 5, 0, "x"), new("a.lora_B", "a", 4, 2, 10, "a.lora_B"), new("b.lora_A", "b", 3, 5, 18, "x")]);

    [Fact]
    public void Its_products_are_those_of_reference_modes_whitening()
    {
        using var scope = NewDisposeScope();
        using var bases = Bases();
        using var projection = new ReferenceProjection(bases, new() { KeptPerMap = 3 });
        using var whitening = Whitening.Reference(Layout, bases.KroneckerEigenvalues(), keptPerMap: 3);
        var rows = Rows();
        var (theirs, ours) = (projection.Project(rows), bases.Rotate(rows) * whitening.Scale);
        Assert.Equal([6, 9], theirs.shape);
        AssertTensor.Close(ours.matmul(ours.t()), theirs.matmul(theirs.t()), relativeToMax: 1e-5);
    }

    [Fact]
    public void With_every_coordinate_kept_going_there_and_back_is_nothing()
    {
        using var scope = NewDisposeScope();
        using var bases = Bases();
        using var projection = new ReferenceProjection(bases, new() { KeptPerMap = 100 });
        Assert.Equal(Layout.Size, projection.Size);
        AssertTensor.Close(Rows(), projection.Unproject(projection.Project(Rows())), relativeToMax: 1e-5);
    }

    [Fact]
    public void A_map_without_factors_shifts_what_comes_after_it_only_where_the_fault_is_on()
    {
        using var scope = NewDisposeScope();
        using var bases = Bases();
        var options = new ReferenceProjectionOptions { WithoutFactors = new HashSet<string> { "a.lora_B" } };
        using var complete = new ReferenceProjection(bases);
        using var ours = new ReferenceProjection(bases, options);
        using var theirs = new ReferenceProjection(bases, options with { Faults = ReferenceFaults.Offsets });
        Assert.Equal([0L, 18L], ours.Blocks.Select(block => block.GradientOffset));
        Assert.Equal([0L, 10L], theirs.Blocks.Select(block => block.GradientOffset));

        // The last map of the faulty one reads from where the map without factors begins.
        var rows = Rows();
        var shifted = cat([rows.narrow(1, 0, 10), zeros([6, 8]), rows.narrow(1, 10, 15)], 1);
        AssertTensor.Close(ours.Project(shifted), theirs.Project(rows), 1e-6);
        AssertTensor.Close(complete.Project(rows).narrow(1, 18, 15), ours.Project(rows).narrow(1, 10, 15), 0);
        Assert.True((ours.Project(rows) - theirs.Project(rows)).abs().max().item<float>() > 0.1);
    }

    [Fact]
    public void A_negative_eigenvalue_is_an_error_and_its_size_counts_only_where_the_fault_is_on()
    {
        using var scope = NewDisposeScope();
        using var bases = Bases(negative: true);
        var kronecker = bases.KroneckerEigenvalues();
        Assert.Contains("a.lora_A", Assert.Throws<NumericalException>(() => new ReferenceProjection(bases)).Location, StringComparison.Ordinal);
        Assert.Throws<NumericalException>(() => Whitening.Reference(Layout, kronecker));

        using var theirs = new ReferenceProjection(bases, new() { Faults = ReferenceFaults.Signs });
        var one = zeros([1, Layout.Size]);
        one[0, 9] = 1; // in rotated coordinates: the last of the first map, whose eigenvalue is the most negative
        using var whitening = Whitening.Reference(Layout, kronecker, faults: ReferenceFaults.Signs);
        Assert.Equal(1 / Math.Sqrt(10 + 1e-6), whitening.Scale[9].item<float>(), 1e-6);
        Assert.Equal(1 / Math.Sqrt(10 + 1e-6), theirs.Project(bases.RotateBack(one)).norm().item<float>(), 1e-6);

        // Rounding below zero is zero.
        var rounded = kronecker.abs();
        rounded[3] = -1e-9;
        using var clamped = Whitening.Reference(Layout, rounded);
        Assert.Equal(1e3, clamped.Scale[3].item<float>(), 1e-1);
    }

    // Orthogonal matrices, and eigenvalues 1, 2, …; with a negative one at the end of a.lora_A's outputs: -2 times 1 to 5.
    private static CurvatureBases Bases(bool negative = false)
    {
        using var generator = new Generator(5);
        var bases = new Dictionary<string, EigenBasis>(StringComparer.Ordinal);
        foreach (var map in Layout.Maps)
        {
            foreach (var (name, size) in ((string, int)[])[(CovarianceSums.InputSum(map), map.InputSize), (CovarianceSums.OutputSum(map), map.OutputSize)])
            {
                if (!bases.ContainsKey(name))
                {
                    var values = arange(1, size + 1, dtype: ScalarType.Float64);
                    bases[name] = new(linalg.qr(randn([size, size], generator: generator)).Q, negative && size == 2 && name.Contains("a.lora_A", StringComparison.Ordinal) ? values * tensor(new double[] { 1, -1 }) : values);
                }
            }
        }

        return new(Layout, bases);
    }

    private static Tensor Rows()
    {
        using var generator = new Generator(6);
        return randn([6, Layout.Size], generator: generator);
    }
}
