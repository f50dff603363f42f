using System.Runtime.CompilerServices;
using TorchSharp;

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
