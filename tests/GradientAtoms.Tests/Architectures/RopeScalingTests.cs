using System.Globalization;
using System.Text.Json.Nodes;
using GradientAtoms.Models;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Tests.Reference;
using GradientAtoms.Tests.Runs;
using GradientAtoms.Tests.Support;

namespace GradientAtoms.Tests.Architectures;

/// <summary>Every scaling of rotary positions, from <c>config.json</c> on, against the plain formulas.</summary>
public sealed class RopeScalingTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData("""{"type":"linear","factor":4}""", 64, 10_000, 8192, 100)]
    [InlineData("""{"type":"dynamic","factor":2}""", 64, 10_000, 2048, 2048)]
    [InlineData("""{"type":"dynamic","factor":2}""", 64, 10_000, 2048, 2049)]
    [InlineData("""{"rope_type":"dynamic","factor":8}""", 128, 1_000_000, 4096, 30_000)]
    [InlineData("""{"rope_type":"llama3","factor":32,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":8192}""", 64, 500_000, 131_072, 9000)] // Llama 3.2 1B
    [InlineData("""{"rope_type":"llama3","factor":8,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":8192}""", 128, 500_000, 131_072, 100)] // Llama 3.1 8B
    [InlineData("""{"type":"yarn","factor":4,"original_max_position_embeddings":32768}""", 128, 1_000_000, 32_768, 40_000)] // Qwen 2.5, as its model card says
    [InlineData("""{"type":"yarn","factor":16,"original_max_position_embeddings":4096}""", 128, 10_000, 65_536, 100)] // Yarn-Llama-2
    [InlineData("""{"rope_type":"yarn","factor":40,"beta_fast":32,"beta_slow":1,"mscale":0.707,"mscale_all_dim":1,"original_max_position_embeddings":4096}""", 64, 10_000, 163_840, 100)]
    [InlineData("""{"rope_type":"yarn","factor":32,"beta_fast":16,"beta_slow":2,"truncate":false,"original_max_position_embeddings":4096}""", 64, 150_000, 131_072, 100)]
    [InlineData("""{"rope_type":"yarn","factor":2,"attention_factor":1.25}""", 32, 10_000, 4096, 100)]
    [InlineData("""{"rope_type":"yarn","original_max_position_embeddings":1024}""", 32, 10_000, 4096, 100)]
    [InlineData("""{"type":"longrope","short_factor":[1,1.1,1.2,1.3,1.4,1.5,1.6,1.7],"long_factor":[1,2,4,8,16,32,48,64],"original_max_position_embeddings":4096}""", 16, 10_000, 131_072, 4096)]
    [InlineData("""{"type":"longrope","short_factor":[1,1.1,1.2,1.3,1.4,1.5,1.6,1.7],"long_factor":[1,2,4,8,16,32,48,64],"original_max_position_embeddings":4096}""", 16, 10_000, 131_072, 4097)]
    [InlineData("""{"rope_type":"longrope","factor":4,"attention_factor":1.1,"short_factor":[1,2],"long_factor":[3,4]}""", 4, 10_000, 64, 65)]
    public void Frequencies_and_factor_are_those_of_the_plain_formula(string rope, int size, double theta, int context, int length)
    {
        using var folder = new TemporaryFolder();
        var config = TinyModels.Config("llama");
        config["head_dim"] = size;
        config["rope_theta"] = theta;
        config["max_position_embeddings"] = context;
        config["rope_scaling"] = JsonNode.Parse(rope);
        File.WriteAllText(folder["config.json"], config.ToJsonString());
        var read = ModelFactory.FromConfig(ModelConfig.Read(folder["config.json"])).Configuration;

        var (expected, factor) = PlainRope.Of(JsonNode.Parse(rope)!.AsObject(), size, theta, context, length);
        var found = read.Rotary().FrequenciesAt(length);
        Assert.Equal(expected.Length, found.Length);
        Assert.All(expected.Zip(found), pair => Assert.Equal(1, pair.Second / pair.First, 1e-12));
        Assert.Equal(factor, read.RopeScaling!.AttentionFactor, 1e-12);

        // Every one of them differs from no scaling, but for dynamic scaling within the context.
        var isPlain = expected.Select((_, i) => Math.Pow(theta, -2.0 * i / size)).Zip(expected).All(pair => Math.Abs((pair.First / pair.Second) - 1) < 1e-12);
        Assert.Equal(rope.Contains("dynamic", StringComparison.Ordinal) && length <= context, isPlain);
    }

    /// <summary>transformers' own code, executed, and of dynamic scaling its authors' too (<c>tools/make_rope_cases.py</c>); both compute in float32.</summary>
    [Fact]
    public void Frequencies_and_factor_are_those_that_transformers_computes()
    {
        var path = Path.Combine(Fixtures.RepositoryRoot, "tests", "GradientAtoms.Tests", "Architectures", "Cases", "rope-scaling.json");
        var (cases, worst, stretched) = (JsonNode.Parse(File.ReadAllText(path))!.AsArray(), new Dictionary<string, double>(StringComparer.Ordinal), 0);
        foreach (var one in cases)
        {
            using var folder = new TemporaryFolder();
            var config = TinyModels.Config("llama");
            (config["head_dim"], config["rope_theta"], config["max_position_embeddings"]) = ((int)one!["size"]!, (double)one["theta"]!, (int)one["context"]!);
            config["rope_scaling"] = one["rope_scaling"]!.DeepClone();
            File.WriteAllText(folder["config.json"], config.ToJsonString());
            var read = ModelFactory.FromConfig(ModelConfig.Read(folder["config.json"])).Configuration;
            var found = read.Rotary().FrequenciesAt((int)one["length"]!);
            Assert.Equal((double)one["factor"]!, read.RopeScaling!.AttentionFactor, 1e-6);
            foreach (var expected in new[] { one["frequencies"], one["authors_frequencies"] }.OfType<JsonArray>())
            {
                var kind = (string)one["rope_scaling"]!["rope_type"]!;
                Assert.Equal(found.Length, expected.Count);
                worst[kind] = expected.Zip(found).Max(pair => Math.Abs((pair.Second / (double)pair.First!) - 1)) is var error && error > worst.GetValueOrDefault(kind) ? error : worst.GetValueOrDefault(kind);
            }

            stretched += one["authors_frequencies"] is not null && (int)one["length"]! > (int)one["context"]! ? 1 : 0;
        }

        output.WriteLine(string.Join(", ", worst.Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Key} {pair.Value:g2}"))));
        Assert.Equal(3, stretched);
        Assert.All(worst, pair => Assert.InRange(pair.Value, 0, 2e-6));
    }

    [Theory]
    [InlineData("su")]
    [InlineData("yarn")]
    [InlineData("longrope")]
    public void Longrope_under_the_older_names_of_phi3_is_longrope(string type)
    {
        using var folder = new TemporaryFolder();
        var config = TinyModels.Config("phi3 longrope");
        config["rope_scaling"]!["type"] = type;
        File.WriteAllText(folder["config.json"], config.ToJsonString());
        var read = ModelFactory.FromConfig(ModelConfig.Read(folder["config.json"])).Configuration;
        Assert.Equal([1.5, 4.25], read.RopeScaling!.LongDivisors);
        Assert.Equal((32, Math.Sqrt(1 + (Math.Log(2) / Math.Log(32)))), (read.RopeScaling.OriginalContextLength, read.RopeScaling.AttentionFactor));
    }

    [Theory]
    [InlineData("""{"type":"longrope","short_factor":[1,2],"long_factor":[1,2,3]}""", "GA2321")]
    [InlineData("""{"type":"longrope","short_factor":[1,2],"long_factor":[1,0]}""", "GA2321")]
    [InlineData("""{"type":"longrope","short_factor":[1,2],"long_factor":"all"}""", "GA2321")]
    [InlineData("""{"type":"longrope","short_factor":[1,2]}""", "GA2321")]
    [InlineData("""{"type":"spiral","factor":2}""", "GA2323")]
    public void A_scaling_that_cannot_be_is_refused(string rope, string code)
    {
        using var folder = new TemporaryFolder();
        var config = TinyModels.Config("phi3 longrope");
        config["rope_scaling"] = JsonNode.Parse(rope);
        File.WriteAllText(folder["config.json"], config.ToJsonString());
        Assert.Equal(code, Assert.Throws<CheckpointException>(() => ModelFactory.FromConfig(ModelConfig.Read(folder["config.json"]))).Code);
    }
}
