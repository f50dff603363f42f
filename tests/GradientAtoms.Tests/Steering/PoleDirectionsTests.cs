using GradientAtoms.Coordinates;
using GradientAtoms.Curvature;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Evaluation;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Steering;
using GradientAtoms.Tests.Gradients;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Steering;

public sealed class PoleDirectionsTests : IDisposable
{
    private readonly LlamaModel _model = Some.Llama();
    private readonly LoraAdapter _adapter;
    private readonly IReadOnlyList<TokenizedDocument> _documents = SomeDocuments.Random(24, seed: 11);
    private readonly ParameterLayout _layout;
    private readonly CovarianceSums _sums;
    private readonly CurvatureBases _bases;
    private readonly RowsInMemory _rows;
    private readonly Tensor _eigenvalues;
    private readonly Whitening _whitening;
    private readonly GramCoordinates _coordinates;
    private readonly LearnedDictionary _dictionary;

    public PoleDirectionsTests()
    {
        _adapter = Some.Adapter(_model);
        var source = new AdapterGradientSource(_model, _adapter);
        _layout = source.Layout;
        _sums = new(_layout);
        var all = Enumerable.Range(0, _documents.Count).ToArray();
        source.Run(_documents, all, _sums);
        _bases = CurvatureBases.Fit(_layout, _sums);
        _rows = new(_bases.Rotate(AdapterGradientSourceTests.Rows(_model, _adapter, _documents, all)));
        using var squares = new EkfacEigenvalues(_layout.Size);
        squares.Add(_rows.Rows);
        _eigenvalues = squares.Values();
        _whitening = Whitening.Ekfac(_eigenvalues, 0.01);
        using var gram = GramPass.Compute(_rows, _layout, _whitening);
        _coordinates = GramCoordinates.Fit(gram, [.. all.Select(_ => true)], center: true);
        _dictionary = DictionaryLearner.Learn(_coordinates.Rows, new() { AtomCount = 3, TargetNonzeros = 1.5, Seed = 1 });
    }

    private PoleDirections Directions => new(_rows, _bases, _eigenvalues, _whitening, _coordinates, _dictionary.Atoms, _dictionary.Codes);

    [Theory]
    [InlineData(StepMode.Data)]
    [InlineData(StepMode.Natural)]
    [InlineData(StepMode.Gradient)]
    [InlineData(StepMode.Mean)]
    public void A_small_step_makes_the_documents_of_the_pole_more_likely(StepMode mode)
    {
        var (atom, sign) = (0, 1);
        using var direction = mode switch
        {
            StepMode.Data => Directions.Data(atom, sign, "p"),
            StepMode.Natural => Directions.Natural(atom, sign, "p"),
            StepMode.Gradient => Directions.Gradient(atom, sign, "p"),
            _ => Directions.Mean(atom, sign, "p"),
        };
        var pole = Pole(atom, sign);
        using var steered = direction.ToAdapter(_adapter, 1e-3);
        var before = DocumentLosses.Compute(_model, [_adapter], pole);
        var after = DocumentLosses.Compute(_model, [steered], pole);
        Assert.True(after.Sums.Sum() < before.Sums.Sum(), $"{mode}: {before.Sums.Sum():g9} -> {after.Sums.Sum():g9}");
    }

    [Fact]
    public void The_change_of_a_loss_along_a_natural_step_is_the_product_with_the_atom()
    {
        // L_i(θ + step·v) − L_i(θ) ≈ −step · w_i·d / ‖(Λ+ε)^−½ d‖, with d the whitened direction of length 1.
        using var scope = NewDisposeScope();
        using var natural = Directions.Natural(1, 1, "p");
        const double step = 1e-3;
        using var plus = natural.ToAdapter(_adapter, step);
        using var minus = natural.ToAdapter(_adapter, -step);
        var (more, less) = (DocumentLosses.Compute(_model, [plus], _documents), DocumentLosses.Compute(_model, [minus], _documents));
        var weights = _coordinates.DocumentWeights(_dictionary.Atoms.narrow(0, 1, 1));
        var direction = RowCombination.Sum(_rows, _layout, weights)[0] * _whitening.Scale; // d, [d]
        var predicted = -(_rows.Rows * _whitening.Scale).matmul(direction) / (direction * _whitening.Scale).norm(); // [N]
        var measured = tensor(more.Sums.Zip(less.Sums, (a, b) => (a - b) / (2 * step)).ToArray());
        AssertTensor.Close(predicted, measured, relativeToMax: 2e-2);
    }

    [Fact]
    public void Directions_have_length_one_and_the_poles_of_an_atom_are_opposite_for_natural_steps()
    {
        using var scope = NewDisposeScope();
        using var plus = Directions.Natural(2, 1, "p");
        using var minus = Directions.Natural(2, -1, "m");
        Assert.Equal(1, plus.Norm(), 1e-5);
        AssertTensor.Close(plus.Direction, -minus.Direction, relativeToMax: 1e-5);
    }

    [Fact]
    public void Random_controls_are_the_same_for_a_seed_and_differ_by_index()
    {
        using var scope = NewDisposeScope();
        using var one = Directions.Random(7, 0);
        using var again = Directions.Random(7, 0);
        using var other = Directions.Random(7, 1);
        AssertTensor.Close(one.Direction, again.Direction, relativeToMax: 0);
        Assert.True((one.Direction * other.Direction).sum().abs().item<float>() < 0.5);
    }

    [Fact]
    public void A_pole_without_documents_is_refused()
    {
        var none = new SparseCodes(new int[_documents.Count + 1], [], [], 3);
        var directions = new PoleDirections(_rows, _bases, _eigenvalues, _whitening, _coordinates, _dictionary.Atoms, none);
        Assert.Equal("GA1054", Assert.Throws<SteeringException>(() => directions.Data(0, 1, "p")).Code);
    }

    public void Dispose()
    {
        _dictionary.Dispose();
        _coordinates.Dispose();
        _whitening.Dispose();
        _eigenvalues.Dispose();
        _rows.Rows.Dispose();
        _bases.Dispose();
        _sums.Dispose();
        _adapter.Dispose();
        _model.Dispose();
    }

    private List<TokenizedDocument> Pole(int atom, int sign)
    {
        var byAtom = _dictionary.Codes.ByAtom();
        var codes = byAtom.CodesOf(atom).ToArray();
        return [.. byAtom.DocumentsOf(atom).ToArray().Where((_, index) => Math.Sign(codes[index]) == sign).Select(document => _documents[document])];
    }
}
