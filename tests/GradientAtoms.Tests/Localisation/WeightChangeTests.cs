using GradientAtoms.Coordinates;
using GradientAtoms.Gradients;
using GradientAtoms.Localisation;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Localisation;

public class WeightChangeTests
{
    private static readonly ParameterLayout Layout = new([new("m.lora_A", "m", 2, 6, 0, "x"), new("m.lora_B", "m", 5, 2, 12, "y")]);

    [Fact]
    public void A_change_that_is_a_combination_of_steps_is_explained_whole_and_the_shares_are_squared_cosines()
    {
        using var scope = NewDisposeScope();
        var rotated = randn([4, Layout.Size], generator: new Generator(1));
        using var whitening = Whitening.EkfacDamped(rand(Layout.Size, generator: new Generator(2)).to(ScalarType.Float64), 0.3);
        var steps = rotated * whitening.Scale.square(); // v
        var change = steps[0] * 2 - steps[2];
        using var account = Account(whitening, change, rotated);
        foreach (var (metric, weights) in new[] { (account.Euclidean(), ones_like(whitening.Scale)), (account.Curvature(), whitening.Scale.pow(-2)) })
        {
            Assert.Equal((change.square() * weights).sum().item<float>(), metric.Squared, 1e-4 * metric.Squared);
            Assert.Equal(1, metric.SpanShare([0, 1, 2, 3]), 1e-5);
            Assert.Equal(1, metric.SpanShare([2, 0]), 1e-5);
            Assert.InRange(metric.SpanShare([1, 3]), 0, 0.9);
            for (var i = 0; i < 4; i++)
            {
                var cosine = -((change * weights * steps[i]).sum() / ((change.square() * weights).sum() * (steps[i].square() * weights).sum()).sqrt()).item<float>();
                Assert.Equal(cosine, metric.Cosines[i], 1e-5);
                Assert.Equal(cosine * cosine, metric.SpanShare([i]), 1e-5);
            }
        }
    }

    [Fact]
    public void The_share_of_a_span_is_that_of_least_squares_and_a_repeated_direction_adds_nothing()
    {
        using var scope = NewDisposeScope();
        var rotated = randn([3, Layout.Size], generator: new Generator(3));
        rotated = cat([rotated, rotated[1].unsqueeze(0) * -2, (rotated[0] + rotated[2]).unsqueeze(0)], 0);
        var change = randn(Layout.Size, generator: new Generator(4));
        using var whitening = Whitening.Raw(Layout.Size);
        using var account = Account(whitening, change, rotated);
        var basis = linalg.qr(rotated.narrow(0, 0, 3).t()).Q;
        var expected = (basis.t().matmul(change).square().sum() / change.square().sum()).item<float>();
        Assert.Equal(expected, account.Euclidean().SpanShare([0, 1, 2]), 1e-5);
        Assert.Equal(expected, account.Euclidean().SpanShare([0, 1, 2, 3, 4]), 1e-5);
        Assert.Equal(expected, account.Curvature().SpanShare([0, 1, 2]), 1e-5); // no whitening: one metric
        Assert.Equal(0, account.Euclidean().SpanShare([]));
    }

    [Fact]
    public void What_all_documents_explain_is_the_projection_on_their_span()
    {
        using var scope = NewDisposeScope();
        var rows = new RowsInMemory(randn([7, Layout.Size], generator: new Generator(5)));
        var change = randn(Layout.Size, generator: new Generator(6));
        using var whitening = Whitening.EkfacDamped(rand(Layout.Size, generator: new Generator(2)).to(ScalarType.Float64), 0.3);
        var white = (rows.Rows * whitening.Scale).to(ScalarType.Float64);
        using var coordinates = GramCoordinates.Fit(white.matmul(white.t()), [true, true, true, true, true, true, false], center: false);
        using var account = new WeightChange(whitening, change, 1);
        var products = zeros(7, dtype: ScalarType.Float64);
        RowCombination.Stream(rows, Layout, eye(7, dtype: ScalarType.Float64).narrow(0, 0, 1), account.Add, tile => products.add_(account.Products(tile)), null, default);
        var z = change.to(ScalarType.Float64) / whitening.Scale;
        var basis = linalg.qr(white.t()).Q; // [d, 7]
        var expected = (basis.t().matmul(z).square().sum() / z.square().sum()).item<double>();
        Assert.Equal(expected, account.DocumentsShare(products, coordinates), 1e-5);
        Assert.InRange(account.Curvature().SpanShare([0]), 0, expected + 1e-6);
    }

    [Fact]
    public void Coordinates_that_the_space_drops_count_in_the_euclidean_metric_alone()
    {
        using var scope = NewDisposeScope();
        using var whitening = Whitening.Reference(Layout, arange(1, Layout.Size + 1, dtype: ScalarType.Float64), keptPerMap: 3);
        var change = ones(Layout.Size);
        using var account = Account(whitening, change, randn([1, Layout.Size], generator: new Generator(7)));
        Assert.Equal(Layout.Size, account.Euclidean().Squared, 1e-4);
        Assert.Equal(where(whitening.Scale.ne(0), whitening.Scale.pow(-2), zeros_like(whitening.Scale)).sum().item<float>(), account.Curvature().Squared, 1e-2);
    }

    private static WeightChange Account(Whitening whitening, Tensor change, Tensor rotated)
    {
        var account = new WeightChange(whitening, change, (int)rotated.shape[0]);
        foreach (var map in Layout.Maps)
        {
            account.Add(map, rotated.narrow(1, map.Offset, map.Size));
        }

        return account;
    }
}
