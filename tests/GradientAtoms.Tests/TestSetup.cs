using System.Runtime.CompilerServices;
using GradientAtoms.Models.Native;

namespace GradientAtoms.Tests;

internal static class TestSetup
{
    /// <summary>
    /// One thread of torch, for this process and those that it starts: the tensors are small, and threads would only wait for each
    /// other. Through the environment, so that a command in a test takes no other number: torch gives the last one taken to every
    /// new thread, where another test would add up in another order and compare its bytes.
    /// </summary>
    [ModuleInitializer]
    internal static void OneThread()
    {
        Environment.SetEnvironmentVariable("OMP_NUM_THREADS", "1");
        TorchThreads.Use(null);
    }
}
