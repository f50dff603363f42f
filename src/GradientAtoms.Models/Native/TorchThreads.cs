using System.Globalization;
using static TorchSharp.torch;

namespace GradientAtoms.Models.Native;

/// <summary>
/// How many processor threads torch takes. The number belongs to the calling thread, and sums are cut by it: the same number, the
/// same bytes.
/// </summary>
public static class TorchThreads
{
    /// <summary>The number in <c>OMP_NUM_THREADS</c>, as in every program that uses OpenMP; without it all cores.</summary>
    public static int Default =>
        int.TryParse(Environment.GetEnvironmentVariable("OMP_NUM_THREADS")?.Split(',')[0], NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count > 0
            ? count
            : Environment.ProcessorCount;

    /// <summary>Gives torch so many threads for what the calling thread asks of it, and any new thread.</summary>
    /// <param name="count">The number; null for <see cref="Default"/>.</param>
    public static void Use(int? count) => set_num_threads(count ?? Default);
}
