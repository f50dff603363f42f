using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace GradientAtoms.Models.Native;

/// <summary>
/// Lets MKL, which libtorch multiplies matrices with, choose its kernels by what the processor can do. It asks first who made the
/// processor, and on others than its maker's leaves AVX-512 aside where it is there: half of the speed.
/// </summary>
/// <remarks>
/// MKL asks an exported function without arguments. On an AMD processor with AVX-512 that function is made to answer yes, in this
/// process's own copy of its page in memory, before anything calls it; no file is touched. The kernels that MKL then takes ask the
/// processor for each instruction set that they use. Where the page may not be changed, and with <c>GATOMS_MKL=own</c> in the
/// environment, all stays as it is: slower, and other last digits.
/// </remarks>
public static class MatrixKernels
{
    private const string Question = "mkl_serv_intel_cpu_true";
    private const int ReadWriteExecute = 7;
    private const int ReadExecute = 5;

    // mov eax, 1; ret
    private static readonly byte[] Yes = [0xB8, 1, 0, 0, 0, 0xC3];

    /// <summary>Whose choice the kernels are, for <c>gatoms doctor</c>.</summary>
    public static string Status { get; private set; } = "kernels as MKL chooses them";

    /// <summary>Whether the processor is one that MKL would not use in full.</summary>
    internal static bool IsHeldBack => X86Base.IsSupported && Avx512F.IsSupported && Vendor() == "AuthenticAMD";

    /// <summary>Answers MKL's question, if it is a library that asks it on a processor that gains by it.</summary>
    /// <param name="library">libtorch_cpu, before its first product.</param>
    internal static void Choose(nint library)
    {
        if (!IsHeldBack || Environment.GetEnvironmentVariable("GATOMS_MKL") == "own" || !NativeLibrary.TryGetExport(library, Question, out var function))
        {
            return;
        }

        var page = Environment.SystemPageSize;
        var start = function / page * page;
        var length = (nuint)(function + Yes.Length - start);
        if (Protect(start, length, ReadWriteExecute) != 0)
        {
            Status = "kernels as MKL chooses them: this system lets no program change its code";
            return;
        }

        Marshal.Copy(Yes, 0, function, Yes.Length);
        _ = Protect(start, length, ReadExecute);
        Status = "kernels for AVX-512";
    }

    private static string Vendor()
    {
        var (_, b, c, d) = X86Base.CpuId(0, 0);
        Span<byte> name = stackalloc byte[12];
        MemoryMarshal.Write(name, b);
        MemoryMarshal.Write(name[4..], d);
        MemoryMarshal.Write(name[8..], c);
        return System.Text.Encoding.ASCII.GetString(name);
    }

    [DllImport("libc", EntryPoint = "mprotect")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Protect(nint address, nuint length, int protection);
}
