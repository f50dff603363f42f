using GradientAtoms.Models.Architectures;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Support;

/// <summary>A model that counts the tokens that run through it.</summary>
internal sealed class CountingModel(LlamaModel inner) : CausalLanguageModel
{
    public long Tokens { get; set; }

    public override string Architecture => inner.Architecture;

    public override IReadOnlyList<LinearModule> LinearModules => inner.LinearModules;

    public override int VocabularySize => inner.VocabularySize;

    public override int HiddenSize => inner.HiddenSize;

    public override int LayerCount => inner.LayerCount;

    public override int ContextLength => inner.ContextLength;

    public override long ParameterCount => inner.ParameterCount;

    public override Device Device => inner.Device;

    public override Tensor HiddenStates(Tensor tokens, ForwardRequest request)
    {
        Tokens += tokens.numel();
        return inner.HiddenStates(tokens, request);
    }

    public override Tensor Logits(Tensor hidden) => inner.Logits(hidden);

    public override Models.Generation.KeyValueCache NewCache() => inner.NewCache();

    protected override void Dispose(bool disposing)
    {
    }
}
