using System.Runtime.InteropServices;

namespace GradientAtoms.Models.Native;

/// <summary>How the C library gives memory to libtorch.</summary>
public static class FreedMemory
{
    // Of malloc.h.
    private const int TrimThreshold = -1;
    private const int MapThreshold = -3;
    private const int ArenaMax = -8;

    /// <summary>
    /// Keeps freed memory for the next tensor instead of giving it back to the system, which would have to clear every page of it
    /// again: a twentieth to a tenth of a gradient pass. It holds for the whole process, so only programs ask for it, at their start.
    /// </summary>
    /// <returns>Whether the C library has these settings; where it does not (it is not glibc), nothing changes.</returns>
    public static bool Keep()
    {
        if (!OperatingSystem.IsLinux())
        {
            return false;
        }

        try
        {
            // One arena, since others cannot hold large tensors. What is above the threshold is mapped by itself and given back.
            return SetOption(ArenaMax, 1) == 1 && SetOption(TrimThreshold, int.MaxValue) == 1 && (SetOption(MapThreshold, 1 << 30) == 1 || SetOption(MapThreshold, 32 << 20) == 1);
        }
        catch (EntryPointNotFoundException)
        {
            return false;
        }
    }

    /// <summary>
    /// Gives back what is free now. Tensors of ever other sizes leave holes that the next ones do not fit into: between the blocks
    /// of a pass this costs a percent of its time, and holds the process to what is in use.
    /// </summary>
    public static void GiveBack()
    {
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        try
        {
            _ = Trim(0);
        }
        catch (EntryPointNotFoundException)
        {
            // Not glibc: nothing was kept either.
        }
    }

    [DllImport("libc", EntryPoint = "malloc_trim")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Trim(nuint pad);

    [DllImport("libc", EntryPoint = "mallopt")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int SetOption(int parameter, int value);
}
