using static TorchSharp.torch;

namespace GradientAtoms.Models.Generation;

/// <summary>Chooses tokens from logits; its draws come from one seed.</summary>
internal sealed class TokenSampler(GenerationOptions options)
{
    private ulong _state = options.Seed;

    /// <summary>Chooses one token.</summary>
    /// <param name="logits"><c>[V]</c>, float32, on the CPU.</param>
    public int Choose(Tensor logits)
    {
        if (options.Temperature == 0)
        {
            return (int)logits.argmax().item<long>();
        }

        using var scope = NewDisposeScope();
        var (values, ids) = logits.to(ScalarType.Float64).div(options.Temperature).sort(descending: true, stable: true);
        var probabilities = values.softmax(-1).data<double>().ToArray();
        var kept = Kept(probabilities);

        // The inverse of the distribution function: one draw a token, whatever is kept.
        var mark = Uniform() * probabilities.AsSpan(0, kept).ToArray().Sum();
        var chosen = 0;
        for (; chosen < kept - 1 && mark >= probabilities[chosen]; chosen++)
        {
            mark -= probabilities[chosen];
        }

        return (int)ids[chosen].item<long>();
    }

    /// <summary>How many of the likeliest tokens stay.</summary>
    private int Kept(double[] probabilities)
    {
        var most = options.TopK == 0 ? probabilities.Length : Math.Min(options.TopK, probabilities.Length);
        var (sum, within) = (0.0, probabilities.AsSpan(0, most).ToArray().Sum() * options.TopP);
        for (var count = 0; count < most; count++)
        {
            sum += probabilities[count];
            if (options.TopP < 1 && sum >= within)
            {
                return count + 1;
            }
        }

        return most;
    }

    // SplitMix64 (Steele, Lea and Flood, 2014): a whole generator in one word.
    private double Uniform()
    {
        _state += 0x9E3779B97F4A7C15;
        var z = _state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return ((z ^ (z >> 31)) >> 11) * (1.0 / (1UL << 53));
    }
}
