using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using GradientAtoms.Models.Native;
using static TorchSharp.torch;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms doctor</c>: the machine and the native libraries.</summary>
internal static class DoctorCommand
{
    private const long Gibi = 1L << 30;

    public static GatomsCommand Create()
    {
        var command = new GatomsCommand(
            "doctor",
            "Checks the machine and the native libraries, and says how to put right what is wrong.",
            "gatoms doctor",
            "gatoms doctor --json");
        command.Body = context =>
        {
            Finding[] findings = [Library(), Computation(), Processor(), Threads(), Memory(), Disk(), Accelerator()];
            context.Print("gatoms/doctor", new { CliHost.Version, Healthy = findings.All(finding => finding.State != State.Fail), Checks = findings }, writer =>
            {
                var table = new TextTable("check", "state", "found");
                foreach (var finding in findings)
                {
                    table.Add(finding.Name, finding.State.ToString().ToLowerInvariant(), finding.Detail);
                }

                table.Write(writer);
                foreach (var finding in findings.Where(finding => finding.Fix is not null))
                {
                    writer.WriteLine($"fix for {finding.Name}: {finding.Fix}");
                }
            });
            if (findings.FirstOrDefault(finding => finding.State == State.Fail) is { } failed)
            {
                throw UsageException.Machine(failed.Name, failed.Detail, failed.Fix ?? "see the list above");
            }
        };
        return command.Finished();
    }

    private static Finding Library()
    {
        // Its initialiser loads the library; nothing else of that assembly need have been used yet.
        RuntimeHelpers.RunModuleConstructor(typeof(TorchLibrary).Module.ModuleHandle);
        try
        {
            return new("native library", State.Ok, $"torch {__version__}, {MatrixKernels.Status}; {TorchLibrary.Status}");
        }
        catch (Exception exception) when (IsLoadFailure(exception))
        {
            return new("native library", State.Fail, $"does not load ({TorchLibrary.Status}): {Innermost(exception)}", "use a 64-bit Linux with glibc 2.31 or newer and its libstdc++ package, or install gatoms again");
        }
    }

    private static Finding Computation()
    {
        try
        {
            using var scope = NewDisposeScope();
            var left = arange(12).reshape(3, 4).to(ScalarType.Float32).requires_grad_();
            var loss = left.matmul(ones(4, 2)).square().sum(); // 2 · (6² + 22² + 38²)
            loss.backward();
            var (value, slope) = (loss.item<float>(), left.grad![2, 3].item<float>());
            return value == 3928 && slope == 152
                ? new("test computation", State.Ok, "a product and its gradient are right")
                : new("test computation", State.Fail, string.Create(CultureInfo.InvariantCulture, $"a product gave {value} and its gradient {slope}, 3928 and 152 are right"), "the native library is damaged: install gatoms again");
        }
        catch (Exception exception) when (IsLoadFailure(exception) || exception is ExternalException)
        {
            return new("test computation", State.Fail, Innermost(exception), "put the native library right first");
        }
    }

    private static Finding Processor()
    {
        var name = RuntimeInformation.ProcessArchitecture.ToString();
        var vectors = Avx512F.IsSupported ? "AVX-512" : Avx2.IsSupported ? "AVX2" : AdvSimd.IsSupported ? "NEON" : null;
        return vectors is null
            ? new("processor", State.Warn, $"{name} without AVX2: works, several times slower", "use a machine with AVX2, or a virtual machine that passes it on")
            : new("processor", State.Ok, $"{name} with {vectors}");
    }

    private static Finding Threads()
    {
        try
        {
            return new("threads", State.Ok, string.Create(CultureInfo.InvariantCulture, $"{get_num_threads()} of {Environment.ProcessorCount} cores (--threads changes it)"));
        }
        catch (Exception exception) when (IsLoadFailure(exception))
        {
            return new("threads", State.Warn, "not known without the native library");
        }
    }

    private static Finding Memory()
    {
        var bytes = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        return bytes >= 4 * Gibi
            ? new("memory", State.Ok, $"{Plain.Bytes(bytes)} for this process")
            : new("memory", State.Warn, $"{Plain.Bytes(bytes)} for this process: enough for small models", "lower --max-tokens and --batch-tokens; gatoms plan tells what a run takes");
    }

    private static Finding Disk()
    {
        var free = new DriveInfo(Environment.CurrentDirectory).AvailableFreeSpace;
        return free >= 10 * Gibi
            ? new("disk", State.Ok, $"{Plain.Bytes(free)} free in this folder")
            : new("disk", State.Warn, $"{Plain.Bytes(free)} free in this folder: a run of thousands of documents takes several GiB", "put --out on a larger disk; gatoms plan tells what a run takes");
    }

    private static Finding Accelerator()
    {
        try
        {
            return new("accelerator", State.Ok, cuda.is_available() ? string.Create(CultureInfo.InvariantCulture, $"{cuda.device_count()} CUDA devices (--device cuda)") : "none: runs on the processor");
        }
        catch (Exception exception) when (IsLoadFailure(exception))
        {
            return new("accelerator", State.Warn, "not known without the native library");
        }
    }

    private static bool IsLoadFailure(Exception exception) => exception is DllNotFoundException or TypeInitializationException or NotSupportedException or BadImageFormatException or EntryPointNotFoundException;

    private static string Innermost(Exception exception) => exception.InnerException is { } inner ? Innermost(inner) : exception.Message;

    private enum State
    {
        Ok,
        Warn,
        Fail,
    }

    private sealed record Finding(string Name, State State, string Detail, string? Fix = null);
}
