using System.Text.Json;
using GradientAtoms.Coordinates;
using GradientAtoms.Curvature;
using GradientAtoms.Evaluation;
using GradientAtoms.Gradients;
using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
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

    [Fact]
    public void The_references_coordinates_and_what_it_makes_of_atoms_are_its_own_in_its_own_layout()
    {
        using var scope = NewDisposeScope();
        using var audit = new FixtureAudit();
        using var bases = audit.StoredBases();
        using var projection = new ReferenceProjection(bases, new() { KeptPerMap = 12 });
        var (projected, unprojected) = (projection.Project(audit.Rows), projection.Unproject(audit.Expected.Read("reference.atoms")));
        AssertTensor.Close(audit.Expected.Read("reference.projected"), projected, relativeToMax: 1e-5);
        AssertTensor.Close(audit.Expected.Read("reference.unprojected"), unprojected, relativeToMax: 1e-5);
        AssertTensor.Close(audit.Expected.Read("reference.atoms"), projection.Project(unprojected), relativeToMax: 1e-5);

        // No eigenvalue is negative here, so its way with signs changes nothing.
        using var signless = new ReferenceProjection(bases, new() { KeptPerMap = 12, Faults = ReferenceFaults.Signs });
        AssertTensor.Close(projected, signless.Project(audit.Rows), 0);
    }

    [Fact]
    public void After_a_map_without_factors_the_reference_reads_columns_of_others_and_we_do_not_unless_asked_to()
    {
        using var scope = NewDisposeScope();
        using var audit = new FixtureAudit();
        using var bases = audit.StoredBases();
        var fact = audit.Json.GetProperty("reference_facts").GetProperty("one_module_without_factors");
        var hole = fact.GetProperty("skipped").GetString()!["base_model.model.".Length..^".default".Length];
        var complete = audit.Expected.Read("reference.projected"); // [24, 144]
        var at = audit.Layout.Maps.TakeWhile(map => map.Name != hole).Count() * 12;
        var options = new ReferenceProjectionOptions { KeptPerMap = 12, WithoutFactors = new HashSet<string> { hole } };

        using var ours = new ReferenceProjection(bases, options);
        var rest = cat([complete.narrow(1, 0, at), complete.narrow(1, at + 12, 144 - at - 12)], 1);
        AssertTensor.Close(rest, ours.Project(audit.Rows), relativeToMax: 1e-5);
        Assert.Equal(fact.GetProperty("last_offset_should_be").GetInt64(), ours.Blocks[^1].GradientOffset);

        using var theirs = new ReferenceProjection(bases, options with { Faults = ReferenceFaults.Offsets });
        Assert.Equal(fact.GetProperty("last_offset").GetInt64(), theirs.Blocks[^1].GradientOffset);
        var faulty = theirs.Project(audit.Rows);
        double Error(long start, long count) => ((faulty - rest).narrow(1, start, count).abs().max() / rest.narrow(1, start, count).abs().max()).item<float>();
        Assert.Equal(fact.GetProperty("rel_error_before_the_hole").GetDouble(), Error(0, at), 1e-5);
        Assert.Equal(fact.GetProperty("rel_error_after_the_hole").GetDouble(), Error(at, 132 - at), 1e-5);

        // What it makes of an atom lies in the wrong columns too: those at the end, and no hole where the map is.
        var back = theirs.Unproject(ones([1, 132]))[0];
        Assert.Equal(0, back.narrow(0, audit.Layout.Size - audit.Layout[hole].Size, audit.Layout[hole].Size).count_nonzero().item<long>());
        Assert.NotEqual(0, back.narrow(0, audit.Layout[hole].Offset, audit.Layout[hole].Size).count_nonzero().item<long>());
    }

    [Theory]
    [InlineData("plus", -1)]
    [InlineData("minus", 1)]
    public void Documents_lose_after_the_references_step_what_it_says_they_lose(string name, int sign)
    {
        using var scope = NewDisposeScope();
        using var audit = new FixtureAudit();
        var fact = audit.Json.GetProperty("reference_steering");
        using var step = new WeightStep(audit.Expected.Read("reference.steer_vector"), audit.Layout, new(StepMode.Gradient));
        using var steered = step.ToAdapter(audit.Adapter, sign * fact.GetProperty("step").GetDouble());
        var losses = DocumentLosses.Compute(audit.Model, [steered], audit.Documents("query"));
        var expected = fact.GetProperty("query_loss_sum").GetProperty(name).EnumerateArray().Select(loss => loss.GetDouble()).ToArray();
        Assert.All(expected.Zip(losses.Sums), pair => Assert.Equal(pair.First, pair.Second, 5e-6 * pair.First));
    }

    [Theory]
    [InlineData("steering_parameter_order_q_v", "llama")]
    [InlineData("steering_parameter_order_all_linear", "llama-all-linear")]
    public void The_order_that_the_reference_deals_a_direction_out_in_is_the_one_that_was_recorded(string name, string variant)
    {
        using var scope = NewDisposeScope();
        using var facts = JsonDocument.Parse(File.ReadAllText(Fixtures.Need("ekfac/expected.json")));
        using var model = JsonDocument.Parse(File.ReadAllText(Fixtures.Need($"models/{variant}/expected.json")));
        var fact = facts.RootElement.GetProperty("reference_facts").GetProperty(name);
        var (maps, offset) = (new List<TrackedMap>(), 0L);
        foreach (var parameter in model.RootElement.GetProperty("parameter_order").EnumerateArray())
        {
            var key = parameter.GetProperty("file_key").GetString()!["base_model.model.".Length..^".weight".Length];
            var shape = parameter.GetProperty("shape").EnumerateArray().Select(size => size.GetInt32()).ToArray();
            maps.Add(new(key, key[..key.LastIndexOf('.')], shape[0], shape[1], offset, key));
            offset += maps[^1].Size;
        }

        // Every parameter carries its own index; what arrives in a tensor tells where it was taken from.
        var layout = new ParameterLayout(maps);
        var dealt = StepDirections.InOrderOfNames(arange(layout.Size, dtype: ScalarType.Int64), layout).data<long>().ToArray();
        string[] Names(string order) => [.. fact.GetProperty(order).EnumerateArray().Select(key => key.GetString()!["base_model.model.".Length..^".weight".Length])];
        Assert.Equal(Names("gradient_order"), layout.Maps.Take(Names("gradient_order").Length).Select(map => map.Name));
        Assert.Equal(Names("steering_order"), layout.Maps.OrderBy(map => dealt[map.Offset]).Take(Names("steering_order").Length).Select(map => map.Name));
        var (misplaced, wrongTensor) = (0L, 0L);
        foreach (var map in layout.Maps)
        {
            var own = dealt.AsSpan((int)map.Offset, (int)map.Size).ToArray();
            misplaced += own.Where((from, index) => from != map.Offset + index).Count();
            wrongTensor += own.Count(from => from < map.Offset || from >= map.Offset + map.Size);
        }

        Assert.Equal(fact.GetProperty("share_of_entries_misplaced").GetDouble(), (double)misplaced / layout.Size, 1e-12);
        Assert.Equal(fact.GetProperty("share_of_entries_in_the_wrong_tensor").GetDouble(), (double)wrongTensor / layout.Size, 1e-12);
        Assert.Equal(fact.GetProperty("same_order").GetBoolean(), misplaced == 0);
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
            Json = json.RootElement.Clone();
            var documents = Documents("train");
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

        public CausalLanguageModel Model => _model.Model;

        public JsonElement Json { get; }

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

        /// <summary>Those of <c>train</c> or <c>query</c>.</summary>
        public IReadOnlyList<TokenizedDocument> Documents(string of) => [.. Json.GetProperty(of).EnumerateArray().Select((row, index) =>
        {
            var tokens = row.GetProperty("input_ids").EnumerateArray().Select(id => id.GetInt32()).ToArray();
            var prompt = row.GetProperty("prompt_tokens").GetInt32();
            return new TokenizedDocument($"{of}-{index}", index + 1, tokens, [.. tokens.Select((_, t) => t >= Math.Max(1, prompt))], 0);
        })];

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
