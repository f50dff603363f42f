using System.Security.Cryptography;
using System.Text;
using static TorchSharp.torch;

namespace GradientAtoms;

/// <summary>
/// A named stream of random numbers, derived from a run's one seed. A stage that draws more or fewer numbers than before does
/// not change what another stage draws.
/// </summary>
public static class RandomStream
{
    /// <summary>The seed of a named stream.</summary>
    /// <param name="seed">The run's seed.</param>
    /// <param name="name">Such as <c>dictionary/start/0</c>.</param>
    public static long Seed(long seed, string name)
    {
        var hash = SHA256.HashData(Encoding.UTF8.GetBytes($"{seed.ToString(System.Globalization.CultureInfo.InvariantCulture)}/{name}"));
        return BitConverter.ToInt64(hash) & long.MaxValue;
    }

    /// <summary>A torch generator of a named stream, on the CPU. The caller owns it.</summary>
    public static Generator Torch(long seed, string name) => new((ulong)Seed(seed, name), CPU);

    /// <summary>A generator of integers of a named stream.</summary>
    public static Random Integers(long seed, string name)
    {
#pragma warning disable RS0030 // The one place where a Random is made: from a named seed.
        return new Random((int)(Seed(seed, name) & int.MaxValue));
#pragma warning restore RS0030
    }
}
