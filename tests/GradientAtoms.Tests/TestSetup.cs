using System.Runtime.CompilerServices;
using TorchSharp;

// TorchSharp 0.107 does not keep a Scalar alive while native code reads it: a collection that another thread sets off in the
// middle of `a + b` frees it. With one test at a time there is hardly such a thread.
[assembly: Parallelization(Mode = ParallelizationMode.None)]

namespace GradientAtoms.Tests;

internal static class TestSetup
{
    [ModuleInitializer]
    internal static void LoadTorch()
    {
        RuntimeHelpers.RunModuleConstructor(typeof(GradientAtoms.Models.Native.TorchLibrary).Module.ModuleHandle);

        // The tensors are small: threads would only wait for each other.
        torch.set_num_threads(1);
    }
}
