using System.Runtime.CompilerServices;
using GradientAtoms.Models.Native;

namespace GradientAtoms.Cli;

/// <summary>How many processor threads torch takes.</summary>
internal static class Threads
{
    public static void Use(int? count)
    {
        RuntimeHelpers.RunModuleConstructor(typeof(TorchLibrary).Module.ModuleHandle);
        TorchSharp.torch.set_num_threads(count ?? Environment.ProcessorCount);
    }
}
