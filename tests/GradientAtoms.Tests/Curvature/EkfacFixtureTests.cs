using System.Text.Json;
using GradientAtoms.Coordinates;
using GradientAtoms.Curvature;
using GradientAtoms.Gradients;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Tests.Gradients;
using GradientAtoms.Tests.Support;
using GradientAtoms.Text.Documents;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Curvature;

/// <summary>Against kronfluence (strategy ekfac, empirical Fisher) and the reference project's own projection.</summary>
public sealed class EkfacFixtureTests
{
    [Fact]
    public void Covariances_are_those_of_kronfluence()
    {
        using var scope = NewDisposeScope();
        using var audit = new FixtureAudit();
        foreach (var map in audit.Layout.Maps)
        {
            AssertTensor.Close(audit.Factor("activation_covariance", map), audit.Sums.Sums[CovarianceSums.InputSum(map)], relativeToMax: 1e-5);
            AssertTensor.Close(audit.Factor("gradient_covariance", map), audit.Sums.Sums[CovarianceSums.OutputSum(map)], relativeToMax: 1e-5);
        }

        Assert.Equal(audit.Factor("num_activation_covariance_processed", audit.Layout.Maps[0]).item<long>(), audit.Sums.TokenCount);
    }

    [Fact]
    public void Eigenvalues_and_eigenvectors_are_those_of_kronfluence()
    {
        using var scope = NewDisposeScope();
        using var audit = new FixtureAudit();
        foreach (var map in audit.Layout.Maps)
        {
            AssertTensor.Close(audit.Factor("activation_eigenvalues", map), audit.Bases.Input(map).Values, relativeToMax: 1e-5);
            AssertTensor.Close(audit.Factor("gradient_eigenvalues", map), audit.Bases.Output(map).Values, relativeToMax: 1e-5);
            var cosines = (audit.Factor("activation_eigenvectors", map) * audit.Bases.Input(map).Vectors).sum([0L]).abs();
            var worst = (1 - cosines).max().to(ScalarType.Float64).item<double>();
            Assert.True(worst <= 1e-5, $"{map.Name}: 1 - |cos| is {worst:g3}");
        }
    }

    [Fact]
    public void Measured_eigenvalues_are_those_of_kronfluence()
    {
        using var scope = NewDisposeScope();
        using var audit = new FixtureAudit();
        using var squares = new EkfacEigenvalues(audit.Layout.Size);
        squares.Add(audit.Bases.Rotate(audit.Rows));
        foreach (var map in audit.Layout.Maps)
        {
            var ours = squares.Squares.narrow(0, map.Offset, map.Size).view(map.OutputSize, map.InputSize);
            AssertTensor.Close(audit.Factor("lambda_matrix", map), ours, relativeToMax: 1e-4);
        }
    }

    [Fact]
    public void Gradients_are_those_of_the_fixture()
    {
        using var scope = NewDisposeScope();
        using var audit = new FixtureAudit();
        AssertTensor.Close(audit.Expected.Read("train.gradients"), audit.Rows, relativeToMax: 5e-5);
    }

    [Fact]
    public void Influence_scores_under_kronfluences_damping_are_its_scores()
    {
        using var scope = NewDisposeScope();
        using var audit = new FixtureAudit();
        var rotated = audit.Bases.Rotate(audit.Rows);
        using var squares = new EkfacEigenvalues(audit.Layout.Size);
        squares.Add(rotated);
        var query = audit.Bases.Rotate(audit.Expected.Read("query.gradients"));
        var scores = (query / (squares.Values().to(ScalarType.Float32) + 1e-2f)).matmul(rotated.t());
        AssertTensor.Close(audit.Expected.Read("scores.1e-2.total"), scores, relativeToMax: 1e-4);
    }

    [Fact]
    public void Reference_mode_keeps_the_coordinates_that_the_reference_keeps_and_gives_its_products()
    {
        using var scope = NewDisposeScope();
        using var audit = new FixtureAudit();
        using var whitening = Whitening.Reference(audit.Layout, audit.Bases.KroneckerEigenvalues(), keptPerMap: 12);
        var projected = audit.Expected.Read("reference.projected"); // [24, 144]
        var ours = audit.Bases.Rotate(audit.Rows) * whitening.Scale;
        Assert.Equal(projected.shape[1], whitening.KeptCount);
        AssertTensor.Close(projected.matmul(projected.t()), ours.matmul(ours.t()), relativeToMax: 1e-5);
    }

    private sealed class FixtureAudit : IDisposable
    {
        private readonly LoadedModel _model;
        private readonly LoraAdapter _adapter;
        private readonly Dictionary<string, SafetensorsFile> _factors = new(StringComparer.Ordinal);

        public FixtureAudit()
        {
            var folder = Fixtures.Need("ekfac");
            _model = LoadedModel.Load(Fixtures.Need("models/llama"));
            _adapter = PeftAdapter.Load(Fixtures.Need("models/llama/adapter"), _model.Model);
            Expected = SafetensorsFile.Open(Path.Combine(folder, "expected.safetensors"));
            using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "expected.json")));
            var documents = json.RootElement.GetProperty("train").EnumerateArray().Select((row, index) =>
            {
                var tokens = row.GetProperty("input_ids").EnumerateArray().Select(id => id.GetInt32()).ToArray();
                var prompt = row.GetProperty("prompt_tokens").GetInt32();
                return new TokenizedDocument($"train-{index}", index + 1, tokens, [.. tokens.Select((_, t) => t >= Math.Max(1, prompt))], 0);
            }).ToList();
            var source = new AdapterGradientSource(_model.Model, _adapter);
            Layout = source.Layout;
            Sums = new(Layout);
            Tensor[] rows = new Tensor[documents.Count];
            foreach (var batch in Enumerable.Range(0, documents.Count).Chunk(5))
            {
                source.Run(documents, batch, Sums, new AdapterGradientSourceTests.Sink(result =>
                {
                    var block = result.Rows();
                    for (var row = 0; row < batch.Length; row++)
                    {
                        rows[batch[row]] = block[row].clone().MoveToOuterDisposeScope();
                    }
                }));
            }

            Rows = stack(rows);
            Bases = CurvatureBases.Fit(Layout, Sums);
        }

        public ParameterLayout Layout { get; }

        public CovarianceSums Sums { get; }

        public CurvatureBases Bases { get; }

        public Tensor Rows { get; }

        public SafetensorsFile Expected { get; }

        public Tensor Factor(string kind, TrackedMap map)
        {
            if (!_factors.TryGetValue(kind, out var file))
            {
                _factors[kind] = file = SafetensorsFile.Open(Fixtures.Need($"ekfac/factors/{kind}.safetensors"));
            }

            return file.ReadRaw($"base_model.model.{map.Name}.default");
        }

        public void Dispose()
        {
            Sums.Dispose();
            Bases.Dispose();
            Expected.Dispose();
            _adapter.Dispose();
            _model.Dispose();
            foreach (var file in _factors.Values)
            {
                file.Dispose();
            }
        }
    }
}
