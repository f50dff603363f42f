using System.Security.Cryptography;
using System.Text.Json;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Steps;
using GradientAtoms.Tests.Runs;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Adapters;

/// <summary>
/// Adapters that we write, byte for byte those that PEFT's own code loaded: every key matched, and every module computed what it should
/// (<c>tools/check_peft_adapters.py</c>; PEFT 0.20.1.dev0, 5d602fdbf, over torch 1.13).
/// </summary>
public sealed class PeftReadsTests
{
    private static readonly JsonElement Answers = JsonDocument.Parse(File.ReadAllText(
        Path.Combine(Fixtures.RepositoryRoot, "tests", "GradientAtoms.Tests", "Adapters", "Cases", "peft.json"))).RootElement.GetProperty("cases");

    public static TheoryData<string> Names => ["llama", "qwen3", "phi3", "gpt2", "gpt_neox", "llama, one rank", "llama, some modules"];

    [Theory]
    [MemberData(nameof(Names))]
    public void An_adapter_that_we_write_is_the_one_that_peft_read(string name)
    {
        using var folder = new TemporaryFolder();
        Write(name, folder.Path);
        var answer = Answers.GetProperty(name);
        Assert.Equal(answer.GetProperty("config_sha256").GetString(), Sha256(folder["adapter_config.json"]));
        Assert.Equal(answer.GetProperty("weights_sha256").GetString(), Sha256(folder["adapter_model.safetensors"]));
        Assert.InRange(answer.GetProperty("largest_relative_error").GetDouble(), 0, 1e-6);
    }

    /// <summary>Run by hand before the program above; the folder is that of the variable GATOMS_PEFT_CASES.</summary>
    [Fact(Explicit = true)]
    public void Write_the_adapters_that_peft_is_asked_about()
    {
        var folder = Environment.GetEnvironmentVariable("GATOMS_PEFT_CASES") ?? throw new InvalidOperationException("GATOMS_PEFT_CASES names no folder");
        foreach (var name in Names)
        {
            Write(name.Data, Path.Combine(folder, name.Data));
        }
    }

    private static void Write(string name, string folder)
    {
        using var scope = NewDisposeScope();
        using var loaded = TinyModels.Load(name.Split(',')[0]);
        var linears = loaded.Model.LinearModules.Where(module => !name.EndsWith("some modules", StringComparison.Ordinal) || module.Name.EndsWith("v_proj", StringComparison.Ordinal)).ToList();
        var isOneRank = name.EndsWith("one rank", StringComparison.Ordinal);
        using var adapter = new LoraAdapter([.. linears.Select((module, m) => Some.ExactModule(module, isOneRank ? 4 : 2 + (m % 3), m % 3 == 0 && !isOneRank ? 1.5 : 0.5, salt: m))]);
        SteeredAdapterFile.Write(folder, adapter, PeftConfiguration.Of([.. linears.Select(module => module.Name.Split('.')[^1]).Distinct(StringComparer.Ordinal)], rank: 8, alpha: 16));
        File.WriteAllText(Path.Combine(folder, "modules.json"), JsonSerializer.Serialize(loaded.Model.LinearModules.Select(module => new
        {
            module.Name, Inputs = module.InputSize, Outputs = module.OutputSize, IsConv1D = module.IsStoredTransposed,
        })));
        SafetensorsWriter.Write(Path.Combine(folder, "expected.safetensors"), adapter.Modules.Select(module => (module.ModuleName, module.B.matmul(module.A) * module.Scale)));
    }

    private static string Sha256(string path) => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)));
}
