using System.Runtime.InteropServices;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Formats;

/// <summary>Opens safetensors files of ours: what is wrong with them is an error of the run, not of a checkpoint.</summary>
internal static class TensorFile
{
    public static SafetensorsFile Open(string path, string schema)
    {
        FormatGuard.Open(path).Dispose();
        SafetensorsFile file;
        try
        {
            file = SafetensorsFile.Open(path);
        }
        catch (GradientAtomsException exception)
        {
            throw FormatGuard.Damaged(path, exception.Problem, exception);
        }

        if (file.Metadata.GetValueOrDefault("schema") == schema)
        {
            return file;
        }

        var found = file.Metadata.GetValueOrDefault("schema") ?? "missing";
        file.Dispose();
        throw FormatGuard.Damaged(path, $"schema {found}, expected {schema}");
    }

    public static int[] Integers(SafetensorsFile file, string name) => Read<int>(file, name, ScalarType.Int32);

    public static float[] Numbers(SafetensorsFile file, string name) => Read<float>(file, name, ScalarType.Float32);

    /// <summary>A tensor as it is stored; the caller owns it.</summary>
    public static Tensor Tensor(SafetensorsFile file, string name)
    {
        try
        {
            return file.ReadRaw(name);
        }
        catch (GradientAtomsException exception)
        {
            throw FormatGuard.Damaged(file.Path, exception.Problem, exception);
        }
    }

    private static T[] Read<T>(SafetensorsFile file, string name, ScalarType type)
        where T : unmanaged
    {
        using var values = Tensor(file, name);
        return values.dtype == type && values.dim() == 1
            ? MemoryMarshal.Cast<byte, T>(values.bytes).ToArray()
            : throw FormatGuard.Damaged(file.Path, $"{name} is {values.dtype} with {values.dim()} dimensions, expected {type} with one");
    }
}
