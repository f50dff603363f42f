namespace GradientAtoms.Models.Generation;

/// <summary>Chooses tokens from logits; its draws come from one seed.</summary>
internal sealed class TokenSampler(GenerationOptions options)
{
    private ulong _state = options.Seed;

    /// <summary>Chooses one token.</summary>
    /// <param name="logits"><c>[V]</c>.</param>
    public int Choose(ReadOnlySpan<float> logits)
    {
        var likeliest = 0;
        for (var id = 1; id < logits.Length; id++)
        {
            likeliest = logits[id] > logits[likeliest] ? id : likeliest;
        }

        if (options.Temperature == 0)
        {
            return likeliest;
        }

        var weights = new double[logits.Length];
        for (var id = 0; id < weights.Length; id++)
        {
            weights[id] = Math.Exp(((double)logits[id] - logits[likeliest]) / options.Temperature);
        }

        if (options.TopP == 1 && options.TopK == 0)
        {
            return Draw(weights) ?? (weights.Length - 1);
        }

        var ids = Kept(weights);
        return Draw([.. ids.Select(id => weights[id])]) is { } place ? ids[place] : ids[^1];
    }

    // The inverse of the distribution function: one draw a token, whatever is kept.
    private int? Draw(double[] weights)
    {
        var mark = Uniform() * weights.Sum();
        for (var place = 0; place < weights.Length; place++)
        {
            mark -= weights[place];
            if (mark < 0)
            {
                return place;
            }
        }

        return null;
    }

    /// <summary>The likeliest tokens that the options leave.</summary>
    private int[] Kept(double[] weights)
    {
        int[] ids = [.. Enumerable.Range(0, weights.Length)];
        Array.Sort(ids, (one, other) => weights[other].CompareTo(weights[one]) is var order && order != 0 ? order : one.CompareTo(other));
        var most = options.TopK == 0 ? ids.Length : Math.Min(options.TopK, ids.Length);
        var (sum, within) = (0.0, ids.Take(most).Sum(id => weights[id]) * options.TopP);
        for (var count = 0; count < most; count++)
        {
            sum += weights[ids[count]];
            if (options.TopP < 1 && sum >= within)
            {
                return ids[..(count + 1)];
            }
        }

        return ids[..most];
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
