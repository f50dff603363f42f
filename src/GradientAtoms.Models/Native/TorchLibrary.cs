using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace GradientAtoms.Models.Native;

/// <summary>
/// Makes TorchSharp's native library load on Linux systems whose C++ library is older than the one it was built with
/// (Debian 12, Ubuntu 22.04: they have GLIBCXX_3.4.30, it names GLIBCXX_3.4.32).
/// </summary>
/// <remarks>
/// The only symbol of the newer version is <c>std::ios_base_library_init</c>, and nothing in the library calls it: it is there
/// to name the version. Marked weak, the missing version is no error. A patched copy lies in the user's cache, named after the
/// original's hash; the original is never touched. Where the original loads, nothing is done.
/// </remarks>
public static class TorchLibrary
{
    private const string FileName = "libLibTorchSharp.so";
    private const string Products = "libtorch_cpu.so";
    private const string MissingVersion = "GLIBCXX_3.4.32";
    private const ushort WeakVersion = 0x2; // VER_FLG_WEAK

    /// <summary>What was done for the native library to load, for <c>gatoms doctor</c>.</summary>
    public static string Status { get; private set; } = "not loaded yet";

    /// <summary>Loads the library, patched where the system needs it. Runs by itself before this assembly's first use.</summary>
    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255", Justification = "torch must be loadable before the first of its types is touched, in programs and in libraries alike.")]
    internal static void Initialize()
    {
        if (!OperatingSystem.IsLinux() || Find(FileName) is not { } original)
        {
            Status = "left to TorchSharp";
            return;
        }

        // Its own dependencies first: found by name from then on, wherever the patched copy lies.
        foreach (var dependency in (string[])["libgomp-98b21ff3.so.1", "libc10.so", Products, "libtorch.so"])
        {
            if (Find(dependency) is { } path && NativeLibrary.TryLoad(path, out var library) && dependency == Products)
            {
                MatrixKernels.Choose(library);
            }
        }

        if (NativeLibrary.TryLoad(original, out _))
        {
            Status = $"loaded {original}";
            return;
        }

        try
        {
            var patched = PatchedCopy(original);
            Status = NativeLibrary.TryLoad(patched, out _)
                ? $"loaded {patched} ({MissingVersion} marked weak: this system's C++ library is older)"
                : $"{patched} does not load";
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            // TorchSharp tries on its own next and reports what it finds; doctor shows this line.
            Status = $"could not patch {original}: {exception.Message}";
        }
    }

    /// <summary>Marks a needed version of an ELF64 file weak.</summary>
    /// <param name="elf">The file, changed in place.</param>
    /// <param name="version">Such as <c>GLIBCXX_3.4.32</c>.</param>
    /// <returns>Whether the version was there and is weak now.</returns>
    /// <exception cref="InvalidDataException">This is no little-endian ELF64 file.</exception>
    internal static bool MarkVersionWeak(Span<byte> elf, string version)
    {
        if (elf.Length < 64 || !elf[..4].SequenceEqual("\u007fELF"u8) || elf[4] != 2 || elf[5] != 1)
        {
            throw new InvalidDataException("not a little-endian ELF64 file");
        }

        var sectionTable = (int)BinaryPrimitives.ReadInt64LittleEndian(elf[0x28..]);
        var sectionSize = BinaryPrimitives.ReadUInt16LittleEndian(elf[0x3A..]);
        var sectionCount = BinaryPrimitives.ReadUInt16LittleEndian(elf[0x3C..]);
        const uint versionNeeds = 0x6ffffffe; // SHT_GNU_verneed
        for (var section = 0; section < sectionCount; section++)
        {
            var header = elf[(sectionTable + (section * sectionSize))..];
            if (BinaryPrimitives.ReadUInt32LittleEndian(header[4..]) != versionNeeds)
            {
                continue;
            }

            var needs = (int)BinaryPrimitives.ReadInt64LittleEndian(header[0x18..]);
            var strings = elf[(sectionTable + ((int)BinaryPrimitives.ReadUInt32LittleEndian(header[0x28..]) * sectionSize))..];
            var names = elf[(int)BinaryPrimitives.ReadInt64LittleEndian(strings[0x18..])..];
            for (var need = needs; ;)
            {
                var count = BinaryPrimitives.ReadUInt16LittleEndian(elf[(need + 2)..]);
                var entry = need + (int)BinaryPrimitives.ReadUInt32LittleEndian(elf[(need + 8)..]);
                for (var i = 0; i < count; i++)
                {
                    var name = names[(int)BinaryPrimitives.ReadUInt32LittleEndian(elf[(entry + 8)..])..];
                    if (Encoding.ASCII.GetString(name[..name.IndexOf((byte)0)]) == version)
                    {
                        var flags = BinaryPrimitives.ReadUInt16LittleEndian(elf[(entry + 4)..]);
                        BinaryPrimitives.WriteUInt16LittleEndian(elf[(entry + 4)..], (ushort)(flags | WeakVersion));
                        return true;
                    }

                    entry += (int)BinaryPrimitives.ReadUInt32LittleEndian(elf[(entry + 12)..]);
                }

                var next = (int)BinaryPrimitives.ReadUInt32LittleEndian(elf[(need + 12)..]);
                if (next == 0)
                {
                    break;
                }

                need += next;
            }
        }

        return false;
    }

    private static string? Find(string fileName)
    {
        var places = new[]
        {
            AppContext.BaseDirectory,
            Path.Combine(AppContext.BaseDirectory, "runtimes", RuntimeInformation.RuntimeIdentifier, "native"),
            Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native"),
        }.Concat((AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string)?.Split(':', StringSplitOptions.RemoveEmptyEntries) ?? []);
        return places.Select(place => Path.Combine(place, fileName)).FirstOrDefault(File.Exists);
    }

    private static string PatchedCopy(string original)
    {
        var bytes = File.ReadAllBytes(original);
        var cache = Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify);
        var folder = Path.Combine(
            cache.Length > 0 ? cache : Path.GetTempPath(), "gatoms", "native", Convert.ToHexStringLower(SHA256.HashData(bytes))[..16]);
        var patched = Path.Combine(folder, FileName);
        if (!MarkVersionWeak(bytes, MissingVersion))
        {
            throw new InvalidDataException($"it does not name {MissingVersion}, so something else is missing");
        }

        if (File.Exists(patched) && File.ReadAllBytes(patched).AsSpan().SequenceEqual(bytes))
        {
            return patched;
        }

        Directory.CreateDirectory(folder);
        var beside = Path.Combine(folder, $"{FileName}.{Environment.ProcessId}.tmp");
        File.WriteAllBytes(beside, bytes);
        File.Move(beside, patched, overwrite: true);
        return patched;
    }
}
