using System.Numerics;
using System.Runtime.InteropServices;

namespace GradientAtoms.DictionaryLearning;

/// <summary>The two loops that everything in this folder spends its time in.</summary>
internal static class Spans
{
    /// <summary>target += scale · source.</summary>
    public static void AddScaled<T>(Span<T> target, ReadOnlySpan<T> source, T scale)
        where T : struct, INumber<T>
    {
        var targets = MemoryMarshal.Cast<T, Vector<T>>(target);
        var sources = MemoryMarshal.Cast<T, Vector<T>>(source[..target.Length]);
        var scales = new Vector<T>(scale);
        for (var i = 0; i < targets.Length; i++)
            targets[i] += scales * sources[i];
        for (var i = targets.Length * Vector<T>.Count; i < target.Length; i++)
            target[i] += scale * source[i];
    }

    /// <summary>Σ a_i b_i, in the type's own precision.</summary>
    public static T Dot<T>(ReadOnlySpan<T> a, ReadOnlySpan<T> b)
        where T : struct, INumber<T>
    {
        var left = MemoryMarshal.Cast<T, Vector<T>>(a);
        var right = MemoryMarshal.Cast<T, Vector<T>>(b[..a.Length]);
        var sums = Vector<T>.Zero;
        for (var i = 0; i < left.Length; i++)
            sums += left[i] * right[i];
        var sum = Vector.Sum(sums);
        for (var i = left.Length * Vector<T>.Count; i < a.Length; i++)
            sum += a[i] * b[i];
        return sum;
    }
}
