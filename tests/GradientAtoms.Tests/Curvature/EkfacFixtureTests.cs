using System.Text.Json;
using GradientAtoms.Coordinates;
using GradientAtoms.Curvature;
using GradientAtoms.Gradients;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Steering;
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

    [Theory]
    [InlineData("1e-2")]
    [InlineData("heuristic")]
    public void Influence_scores_under_kronfluences_damping_are_its_scores_in_total_and_by_map(string damping)
    {
        using var scope = NewDisposeScope();
        using var audit = new FixtureAudit();
        var rotated = audit.Bases.Rotate(audit.Rows);
        using var squares = new EkfacEigenvalues(audit.Layout.Size);
        squares.Add(rotated);
        var query = audit.Bases.Rotate(audit.Expected.Read("query.gradients"));
        var total = zeros(query.shape[0], rotated.shape[0]);
        foreach (var map in audit.Layout.Maps)
        {
            var eigenvalues = squares.Values().narrow(0, map.Offset, map.Size);
            var damped = eigenvalues + (damping == "heuristic" ? 0.1 * eigenvalues.mean() : 1e-2);
            var scores = (query.narrow(1, map.Offset, map.Size) / damped.to(ScalarType.Float32)).matmul(rotated.narrow(1, map.Offset, map.Size).t());
            AssertTensor.Close(audit.Expected.Read($"scores.{damping}.base_model.model.{map.Name}.default"), scores, relativeToMax: 1e-4);
            total += scores;
        }

        AssertTensor.Close(audit.Expected.Read($"scores.{damping}.total"), total, relativeToMax: 1e-4);
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

    [Fact]
    public void Reference_mode_in_the_stored_eigenvectors_projects_unprojects_and_steers_as_the_reference_does_to_the_sign()
    {
        using var scope = NewDisposeScope();
        using var audit = new FixtureAudit();
        using var bases = audit.StoredBases();
        using var whitening = Whitening.Reference(audit.Layout, bases.KroneckerEigenvalues(), keptPerMap: 12);

        // The reference lays a map's kept coordinates out by falling eigenvalue: its places in our [d].
        var places = cat([.. audit.Layout.Maps.Select(map =>
        {
            var own = audit.Expected.ReadRaw($"reference.topk_idx.base_model.model.{map.Name}.default.weight"); // [12]
            var eigenvalues = bases.KroneckerEigenvalues().narrow(0, map.Offset, map.Size).index_select(0, own);
            AssertTensor.Close(audit.Expected.Read($"reference.topk_evals.base_model.model.{map.Name}.default.weight"), eigenvalues, relativeToMax: 1e-5);
            return own + map.Offset;
        })]);
        Assert.Equal(whitening.KeptCount, whitening.Scale.index_select(0, places).gt(0).sum().item<long>());

        var projected = (bases.Rotate(audit.Rows) * whitening.Scale).index_select(1, places);
        AssertTensor.Close(audit.Expected.Read("reference.projected"), projected, relativeToMax: 1e-5);

        // Back: the atom's gradient, Q (Λ + ε)^½ d.
        var atoms = zeros([3, audit.Layout.Size]).index_copy_(1, places, audit.Expected.Read("reference.atoms") / whitening.Scale.index_select(0, places));
        var unprojected = bases.RotateBack(atoms);
        AssertTensor.Close(audit.Expected.Read("reference.unprojected"), unprojected, relativeToMax: 1e-5);
        var steer = unprojected[0] / unprojected[0].norm();
        AssertTensor.Close(audit.Expected.Read("reference.steer_vector"), steer, relativeToMax: 1e-5);
        foreach (var (name, sign) in ((string, double)[])[("plus", -1), ("minus", 1)])
        {
            // The reference's "plus" takes the direction off.
            using var step = new WeightStep(steer.clone(), audit.Layout, new(StepMode.Gradient));
            using var steered = step.ToAdapter(audit.Adapter, 0.05 * sign);
            foreach (var module in steered.Modules)
            {
                AssertTensor.Close(audit.Expected.Read($"reference.steered.{name}.base_model.model.{module.ModuleName}.lora_A.weight"), module.A, relativeToMax: 1e-6);
                AssertTensor.Close(audit.Expected.Read($"reference.steered.{name}.base_model.model.{module.ModuleName}.lora_B.weight"), module.B, relativeToMax: 1e-6);
            }
        }
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

        public LoraAdapter Adapter => _adapter;

        public CovarianceSums Sums { get; }

        public CurvatureBases Bases { get; }

        public Tensor Rows { get; }

        public SafetensorsFile Expected { get; }

        /// <summary>The eigenvectors as kronfluence stored them, with their arbitrary signs.</summary>
        public CurvatureBases StoredBases()
        {
            var bases = new Dictionary<string, EigenBasis>(StringComparer.Ordinal);
            foreach (var map in Layout.Maps)
            {
                bases[CovarianceSums.InputSum(map)] = Stored("activation", map);
                bases[CovarianceSums.OutputSum(map)] = Stored("gradient", map);
            }

            return new(Layout, bases);
        }

        public Tensor Factor(string kind, TrackedMap map)
        {
            if (!_factors.TryGetValue(kind, out var file))
            {
                _factors[kind] = file = SafetensorsFile.Open(Fixtures.Need($"ekfac/factors/{kind}.safetensors"));
            }

            return file.ReadRaw($"base_model.model.{map.Name}.default");
        }

        private EigenBasis Stored(string of, TrackedMap map) =>
            new(Factor($"{of}_eigenvectors", map), Factor($"{of}_eigenvalues", map).to(ScalarType.Float64).clamp(min: 0));

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
