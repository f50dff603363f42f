using System.Text.Json.Nodes;

namespace GradientAtoms.Tests.Reference;

/// <summary>
/// Rotary frequencies and the factor on cosines and sines, straight from a <c>rope_scaling</c> object, as the papers and transformers'
/// documentation of it state the formulas, step by step in float64.
/// </summary>
internal static class PlainRope
{
    public static (double[] Frequencies, double Factor) Of(JsonObject rope, int size, double theta, int context, int length)
    {
        double? Number(string key) => rope[key] is { } value ? (double)value : null;
        var plain = Enumerable.Range(0, size / 2).Select(i => Math.Pow(theta, -2.0 * i / size)).ToArray();
        var original = Number("original_max_position_embeddings") ?? context;
        switch ((string?)rope["rope_type"] ?? (string)rope["type"]!)
        {
            case "linear":
                return ([.. plain.Select(frequency => frequency / Number("factor")!.Value)], 1);

            case "dynamic":
                // https://www.reddit.com/r/LocalLLaMA/comments/14mrgpr: base · ((s · L / L₀) − (s − 1))^(d / (d − 2)), for documents longer than L₀.
                var (s, longest) = (Number("factor")!.Value, Math.Max(length, context));
                var stretched = theta * Math.Pow((s * longest / context) - (s - 1), size / (size - 2.0));
                return ([.. Enumerable.Range(0, size / 2).Select(i => 1 / Math.Pow(stretched, 2.0 * i / size))], 1);

            case "llama3":
                var (low, high) = (original / Number("low_freq_factor")!.Value, original / Number("high_freq_factor")!.Value);
                return ([.. plain.Select(frequency =>
                {
                    var (wavelength, divided) = (2 * Math.PI / frequency, frequency / Number("factor")!.Value);
                    var share = ((original / wavelength) - (original / low)) / ((original / high) - (original / low));
                    return wavelength > low ? divided : wavelength < high ? frequency : (divided * (1 - share)) + (frequency * share);
                })], 1);

            case "yarn":
                // https://arxiv.org/abs/2309.00071, equations 17 to 23, with the bounds on coordinates instead of turns as in its code.
                var factor = Number("factor") ?? (context / original);
                double Coordinate(double turns) => size * Math.Log(original / (2 * Math.PI * turns)) / Math.Log(theta) / 2;
                var isRounded = (bool?)rope["truncate"] ?? true;
                var (first, last) = (Coordinate(Number("beta_fast") ?? 32), Coordinate(Number("beta_slow") ?? 1));
                (first, last) = isRounded ? (Math.Floor(first), Math.Ceiling(last)) : (first, last);
                (first, last) = (Math.Max(0, first), Math.Min(size - 1, last));
                double Warmth(double scale) => factor > 1 ? 1 + (scale * Math.Log(factor) / 10) : 1;
                var warmth = Number("attention_factor") ?? (Number("mscale") is { } one && Number("mscale_all_dim") is { } all ? Warmth(one) / Warmth(all) : Warmth(1));
                return ([.. plain.Select((frequency, i) =>
                {
                    var kept = 1 - Math.Min(1, Math.Max(0, (i - first) / (first == last ? 0.001 : last - first)));
                    return (kept * frequency) + ((1 - kept) * frequency / factor);
                })], warmth);

            case "longrope":
                // https://arxiv.org/abs/2402.13753: a number a frequency, found by search; of long documents others than of short ones.
                var ratio = Number("factor") ?? (context / original);
                var divisors = rope[length > original ? "long_factor" : "short_factor"]!.AsArray();
                return (
                    [.. plain.Select((frequency, i) => frequency / (double)divisors[i]!)],
                    Number("attention_factor") ?? (ratio <= 1 ? 1 : Math.Sqrt(1 + (Math.Log(ratio) / Math.Log(original)))));

            case var other:
                throw new ArgumentException(other);
        }
    }
}
