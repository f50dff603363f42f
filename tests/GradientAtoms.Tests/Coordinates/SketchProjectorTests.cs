using GradientAtoms.Coordinates;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Coordinates;

public class SketchProjectorTests
{
    [Fact]
    public void Inner_products_are_kept_on_average()
    {
        using var scope = NewDisposeScope();
        const int Size = 64, Seeds = 400;
        var x = Rows(1, 300, seed: 1);
        var rows = cat([x, x + Rows(1, 300, seed: 2)]);
        var products = rows.matmul(rows.t());
        var (norm, product) = ((products[0, 0] * products[1, 1]).item<float>(), products[0, 1].item<float>());
        var mean = 0.0;
        for (var seed = 0; seed < Seeds; seed++)
        {
            using var inner = NewDisposeScope();
            var sketch = new SketchProjector(Size, seed).Apply(rows);
            mean += sketch[0].dot(sketch[1]).item<float>() / Seeds;
        }

        // The variance of a sketched product is at most (‖x‖²‖y‖² + (x·y)²)/k.
        var error = Math.Sqrt((norm + (product * product)) / Size / Seeds);
        Assert.InRange(mean, product - (4 * error), product + (4 * error));
        Assert.True(4 * error < 0.1 * product);
    }

    [Theory]
    [InlineData(256)]
    [InlineData(1000)]
    [InlineData(4096)]
    public void A_cosine_is_off_by_one_over_the_root_of_the_size(int size)
    {
        using var scope = NewDisposeScope();
        var rows = Rows(60, 20_000, seed: 5);
        var difference = Cosines(new SketchProjector(size, 3).Apply(rows)) - Cosines(rows);
        var error = Math.Sqrt(difference.square().sum().item<double>() / (60 * 59));
        Assert.InRange(error * Math.Sqrt(size), 0.9, 1.1);
    }

    [Fact]
    public void The_same_seed_gives_the_same_bits_and_another_seed_others()
    {
        using var scope = NewDisposeScope();
        var rows = Rows(3, 500, seed: 1);
        var sketch = new SketchProjector(32, 7).Apply(rows);
        Assert.True(sketch.eq(new SketchProjector(32, 7).Apply(rows)).all().item<bool>());
        Assert.False(sketch.eq(new SketchProjector(32, 8).Apply(rows)).all().item<bool>());
    }

    [Fact]
    public void A_row_has_the_same_sketch_in_every_batch()
    {
        using var scope = NewDisposeScope();
        var rows = Rows(5, 40_000, seed: 1); // three tiles
        var projector = new SketchProjector(128, 7);
        var sketch = projector.Apply(rows);
        Assert.True(sketch[3].eq(projector.Apply(rows.narrow(0, 3, 1))[0]).all().item<bool>());
        Assert.True(sketch.narrow(0, 1, 2).eq(projector.Apply(rows.narrow(0, 1, 2))).all().item<bool>());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(16_384)]
    [InlineData(39_999)]
    public void A_coordinate_goes_to_four_places_with_half_of_it_each(long coordinate)
    {
        using var scope = NewDisposeScope();
        var row = zeros(1, 40_000);
        row[0, coordinate] = 1;
        var sketch = new SketchProjector(10, 7).Apply(row).data<float>().ToArray();
        Assert.Equal(4, sketch.Count(value => Math.Abs(value) == 0.5f));
        Assert.Equal(6, sketch.Count(value => value == 0));
    }

    [Fact]
    public void Cosines_from_rows_are_those_from_inner_products()
    {
        using var scope = NewDisposeScope();
        var rows = Rows(6, 50, seed: 1);
        var (ofRows, ofGram) = (new RowCosines(new RowsInMemory(rows)).Cosines([4, 1, 2]), new GramCosines(rows.matmul(rows.t())).Cosines([4, 1, 2]));
        Assert.All(ofGram.Cast<double>().Zip(ofRows.Cast<double>()), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
    }

    [Fact]
    public void Coordinates_of_sketches_are_centred_unit_rows_and_cannot_be_lifted()
    {
        using var scope = NewDisposeScope();
        var sketches = Rows(4, 8, seed: 1) * 3;
        using var coordinates = GramCoordinates.OfSketches(sketches, ones(4, dtype: ScalarType.Float64), [true, true, true, false], center: true);
        var unit = sketches / sketches.norm(1, keepdim: true);
        AssertTensor.Close(unit - unit.narrow(0, 0, 3).mean([0L], keepdim: true), coordinates.Rows, relativeToMax: 1e-6);
        Assert.False(coordinates.CanLift);
        Assert.Throws<InvalidOperationException>(() => coordinates.DocumentWeights(sketches));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Coordinates_of_sketches_in_blocks_are_those_of_all_at_once(bool center)
    {
        using var scope = NewDisposeScope();
        var sketches = Rows(10, 8, seed: 1) * 3;
        bool[] learning = [true, true, false, true, true, true, true, false, true, true];
        using var whole = GramCoordinates.OfSketches(sketches, ones(10, dtype: ScalarType.Float64), learning, center);
        using var rows = SketchRows.Of(new RowsInMemory(sketches), learning, center, blockDocuments: 3);
        var blocks = new List<Tensor>();
        rows.Stream(block => blocks.Add(block.clone().MoveToOuterDisposeScope()));
        Assert.Equal([3L, 3, 3, 1], blocks.Select(block => block.shape[0]));
        AssertTensor.Close(whole.Rows, cat(blocks), relativeToMax: 1e-6);
        Assert.Equal(whole.MeanNorm, rows.MeanNorm, 1e-6);
        Assert.Equal(sketches.square().sum().item<float>(), rows.Energy, 1e-4 * rows.Energy);
        sketches[4].zero_();
        Assert.Contains("row 4", Assert.Throws<NumericalException>(() => SketchRows.Of(new RowsInMemory(sketches), learning, center, blockDocuments: 3)).Message, StringComparison.Ordinal);
    }

    private static Tensor Rows(int count, int size, int seed)
    {
        using var generator = new Generator((ulong)seed);
        return randn([count, size], generator: generator);
    }

    private static Tensor Cosines(Tensor rows)
    {
        var wide = rows.to(ScalarType.Float64);
        var unit = wide / wide.norm(1, keepdim: true);
        return unit.matmul(unit.t());
    }
}
