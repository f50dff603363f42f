using System.Diagnostics;

namespace GradientAtoms.Runs.Stages;

/// <summary>What the process has taken at most.</summary>
internal static class ProcessMemory
{
    /// <summary>The peak of the resident memory, in bytes, since the start or <see cref="ResetPeak"/>.</summary>
    public static long Peak()
    {
        using var process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }

    /// <summary>Lets the peak begin anew (Linux; elsewhere it goes on).</summary>
    /// <returns>What is resident now; 0 where the peak could not be reset.</returns>
    public static long ResetPeak()
    {
        try
        {
            File.WriteAllText("/proc/self/clear_refs", "5");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return 0;
        }

        using var process = Process.GetCurrentProcess();
        return process.WorkingSet64;
    }
}
