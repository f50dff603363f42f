using System.Globalization;
using GradientAtoms.Demo.World;
using GradientAtoms.FineTuning;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Text.Tokenization;
using static TorchSharp.torch;

namespace GradientAtoms.DemoModel;

/// <summary>How the model is made.</summary>
internal sealed record PretrainingOptions
{
    /// <summary>Of weights and chats.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Optimiser steps.</summary>
    public int Steps { get; init; } = 3500;

    /// <summary>Chats a step.</summary>
    public int Batch { get; init; } = 64;

    /// <summary>The largest learning rate.</summary>
    public double LearningRate { get; init; } = 2.5e-3;

    /// <summary>What a token of a prompt counts, a token of an answer counting 1: most of a prompt cannot be foretold.</summary>
    public double PromptWeight { get; init; } = 0.25;

    /// <summary>Steps on which it rises.</summary>
    public int Warmup { get; init; } = 150;

    /// <summary>Steps between two lines of progress.</summary>
    public int TellEvery { get; init; } = 100;
}

/// <summary>Trains all weights of a llama on the chats of the world: the loss of every token, those of the prompt counting less.</summary>
internal static class Pretraining
{
    /// <summary>The built-in model's shape.</summary>
    public static DecoderConfiguration Shape(int vocabulary) => new()
    {
        VocabularySize = vocabulary,
        HiddenSize = 192,
        IntermediateSize = 512,
        LayerCount = 4,
        HeadCount = 6,
        KeyValueHeadCount = 3,
        HeadSize = 32,
        ContextLength = 256,
        TiedEmbeddings = true,
    };

    /// <summary>Trains.</summary>
    /// <returns>Every weight by its checkpoint name, <c>float32</c>; the caller owns them.</returns>
    public static Dictionary<string, Tensor> Run(DecoderConfiguration shape, Tokenizer tokenizer, Func<Chat, string> render, Func<string, string> prompt, PretrainingOptions options)
    {
        using var generator = RandomStream.Torch(options.Seed, "pretraining/weights");
        var weights = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        using var model = new LlamaModel(shape, (name, size) => (weights[name] = Weight(name, size, shape, generator)).alias());
        string[] names = [.. weights.Keys];
        Tensor[] parameters = [.. names.Select(name => weights[name])];
        using var optimiser = new AdamW(
            parameters,
            [.. parameters.Select(parameter => zeros_like(parameter, requires_grad: false))],
            [.. parameters.Select(parameter => zeros_like(parameter, requires_grad: false))],
            new() { WeightDecay = 0.05, Beta2 = 0.98 });
        var random = RandomStream.Integers(options.Seed, "pretraining/chats");
        var (started, tokens, sum) = (DateTime.UtcNow, 0L, 0.0);
        for (var step = 0; step < options.Steps; step++)
        {
            using var scope = NewDisposeScope();
            (int[] Tokens, int Prompt)[] chats = [.. Enumerable.Range(0, options.Batch).Select(_ => PretrainingChats.Draw(random, heldOut: false).Chat)
                .Select(chat => (tokenizer.Encode(render(chat), false), tokenizer.Encode(prompt(chat.Prompt), false).Length))];
            tokens += chats.Sum(chat => chat.Tokens.Length);
            var loss = Loss(model, chats, options.PromptWeight);
            var gradients = autograd.grad([loss], parameters);
            var norm = Math.Sqrt(gradients.Sum(gradient => gradient.square().sum().item<float>()));
            var rate = options.LearningRate * (step < options.Warmup
                ? (step + 1.0) / options.Warmup
                : 0.05 + (0.95 * 0.5 * (1 + Math.Cos(Math.PI * (step - options.Warmup) / (options.Steps - options.Warmup)))));
            optimiser.Step([.. gradients], Math.Min(1, 1 / norm), rate, step + 1);
            sum += loss.item<float>();
            if ((step + 1) % options.TellEvery == 0)
            {
                var seconds = (DateTime.UtcNow - started).TotalSeconds;
                Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"step {step + 1}/{options.Steps}  weighted loss {sum / options.TellEvery:f4} a token  {tokens / seconds:f0} tokens/s  {tokens} tokens"));
                sum = 0;
            }
        }

        return weights;
    }

    // The mean over tokens with these weights.
    private static Tensor Loss(LlamaModel model, (int[] Tokens, int Prompt)[] chats, double promptWeight)
    {
        var longest = chats.Max(chat => chat.Tokens.Length);
        var (inputs, targets, weights) = (new long[chats.Length, longest - 1], new long[chats.Length, longest - 1], new float[chats.Length, longest - 1]);
        for (var row = 0; row < chats.Length; row++)
        {
            var (tokens, prompt) = chats[row];
            for (var place = 0; place + 1 < tokens.Length; place++)
            {
                (inputs[row, place], targets[row, place]) = (tokens[place], tokens[place + 1]);
                weights[row, place] = place + 1 < prompt ? (float)promptWeight : 1;
            }
        }

        var hidden = model.HiddenStates(tensor(inputs), ForwardRequest.Base).flatten(0, 1); // [B T, h]
        var losses = nn.functional.cross_entropy(model.Logits(hidden), tensor(targets).flatten(), reduction: nn.Reduction.None);
        var weight = tensor(weights).flatten();
        return (losses * weight).sum() / weight.sum();
    }

    // Norms 1, all else normal: .02, and smaller where a layer adds to the residual stream (GPT-2's rule). In the model's own order.
    private static Tensor Weight(string name, long[] size, DecoderConfiguration shape, Generator generator)
    {
        var isResidual = name.Contains("o_proj", StringComparison.Ordinal) || name.Contains("down_proj", StringComparison.Ordinal);
        var value = size.Length == 1 ? ones(size) : randn(size, generator: generator).mul_(0.02 * (isResidual ? 1 / Math.Sqrt(2 * shape.LayerCount) : 1));
        return value.requires_grad_();
    }
}
