using GradientAtoms.Models;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Tests.Architectures;
using GradientAtoms.Tests.Runs;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Checkpoints;

/// <summary>
/// A GGUF file of each family, written here as llama.cpp's converter does (names, metadata, changed weights), against the Hugging Face
/// folder that it was written from; <see cref="LlamaCppTests"/> has what llama.cpp says of such files.
/// </summary>
public sealed class GgufFamilyTests
{
    private static readonly int[] Prompt = [3, 14, 15, 9, 26, 5, 35, 40, 2, 7];

    [Theory]
    [InlineData("llama")]
    [InlineData("llama linear")]
    [InlineData("llama yarn")]
    [InlineData("llama llama3")]
    [InlineData("mistral")]
    [InlineData("qwen2")]
    [InlineData("qwen3")]
    [InlineData("gemma2")]
    [InlineData("gemma3")]
    [InlineData("phi3")]
    [InlineData("phi3 longrope")]
    [InlineData("gpt2")]
    [InlineData("gpt_neox")]
    [InlineData("gpt_neox one after the other")]
    [InlineData("olmo2")]
    public void A_gguf_file_gives_the_logits_of_the_folder_that_it_was_converted_from(string family)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var folder = new TemporaryFolder();
        TinyModels.Write(folder["model"], family, change: config => GgufConversion.Adapt(family, config));
        GgufConversion.Convert(family, folder["model"], folder["model.gguf"]);
        using var original = LoadedModel.Load(folder["model"]);
        using var converted = LoadedModel.Load(folder["model.gguf"]);

        Assert.Equal("GGUF", converted.Description.Format);
        Assert.Equal(family == "mistral" ? "llama" : original.Model.Architecture, converted.Model.Architecture);
        Assert.Equal(original.Model.ParameterCount, converted.Model.ParameterCount);
        Assert.Equal(original.Model.LinearModules.Select(module => module.Name), converted.Model.LinearModules.Select(module => module.Name), StringComparer.Ordinal);

        // Gemma's norms are rounded once more, where 1 is added and taken off again; so are rotary factors, which the file has in 32 bits.
        AssertTensor.Close(
            GoldenModelTests.Logits(original.Model, Prompt, ForwardRequest.Base), GoldenModelTests.Logits(converted.Model, Prompt, ForwardRequest.Base),
            family.StartsWith("gemma", StringComparison.Ordinal) || family is "llama llama3" or "phi3 longrope" ? 1e-5 : 0);
    }

    [Fact]
    public void Mixtures_of_experts_and_unknown_architectures_are_refused_by_name()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        TinyModels.Write(folder["model"], "qwen2");
        GgufConversion.Convert("qwen2", folder["model"], folder["model.gguf"], writer => writer.With("qwen2.expert_count", 8));
        Assert.Contains("8 experts", Assert.Throws<CheckpointException>(() => LoadedModel.Describe(folder["model.gguf"])).Message, StringComparison.Ordinal);
        new GgufWriter().With("general.architecture", "rwkv").Write(folder["model.gguf"]);
        Assert.Equal("GA2322", Assert.Throws<CheckpointException>(() => LoadedModel.Describe(folder["model.gguf"])).Code);
    }
}
