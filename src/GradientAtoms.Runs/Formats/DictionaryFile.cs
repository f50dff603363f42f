using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Formats;

/// <summary>The atoms and the projection that they live in, as <c>dictionary.safetensors</c> has them.</summary>
public sealed class StoredDictionary : IDisposable
{
    internal StoredDictionary(IReadOnlyDictionary<string, Tensor> tensors, IReadOnlyDictionary<string, string> metadata)
    {
        foreach (var value in tensors.Values)
        {
            value.DetachFromDisposeScope();
        }

        (Tensors, Metadata) = (tensors, metadata);
    }

    /// <summary><c>[K, k]</c> float32.</summary>
    public Tensor Atoms => Tensors["atoms"];

    /// <summary>Every tensor of the file by its name, the atoms included.</summary>
    public IReadOnlyDictionary<string, Tensor> Tensors { get; }

    /// <summary>What was written with them: the kind of the coordinates, the layout's hash, the penalty.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Frees the tensors.</summary>
    public void Dispose()
    {
        foreach (var value in Tensors.Values)
        {
            value.Dispose();
        }
    }
}

/// <summary><c>dictionary.safetensors</c>: <c>atoms</c> float32 <c>[K, k]</c>, <c>gates</c> float32 <c>[K, 2]</c> where poles have them, and what the projection needs beside them.</summary>
public static class DictionaryFile
{
    /// <summary>The tensor of the poles' gates (<see cref="DictionaryLearning.PoleGates"/>).</summary>
    public const string Gates = "gates";

    private const string SchemaName = "gatoms/dictionary";

    /// <summary>Writes the file: the same tensors give the same bytes.</summary>
    /// <param name="path">Replaced where it is there.</param>
    /// <param name="atoms"><c>[K, k]</c> float32; left to the caller.</param>
    /// <param name="projection">More tensors by name: a mean row, singular values; left to the caller.</param>
    /// <param name="metadata">The kind of the coordinates, the layout's hash, the penalty.</param>
    public static void Write(string path, Tensor atoms, IReadOnlyList<(string Name, Tensor Tensor)>? projection = null, IReadOnlyDictionary<string, string>? metadata = null)
    {
        if (atoms.dim() != 2 || atoms.dtype != ScalarType.Float32)
        {
            throw new ArgumentException("atoms are float32 [K, k]", nameof(atoms));
        }

        var all = new Dictionary<string, string>(metadata ?? new Dictionary<string, string>(StringComparer.Ordinal), StringComparer.Ordinal) { ["schema"] = SchemaName, ["version"] = "1" };
        SafetensorsWriter.Write(path, [("atoms", atoms), .. projection ?? []], all);
    }

    /// <summary>Reads the file.</summary>
    /// <param name="path">Of a run's <c>dictionary.safetensors</c>.</param>
    /// <exception cref="RunFolderException">GA2607 it is missing; GA2609 it cannot be read.</exception>
    public static StoredDictionary Read(string path)
    {
        using var file = TensorFile.Open(path, SchemaName);
        using var scope = NewDisposeScope();
        var tensors = new SortedDictionary<string, Tensor>(StringComparer.Ordinal);
        foreach (var name in file.Names)
        {
            tensors[name] = TensorFile.Tensor(file, name);
        }

        if (!tensors.TryGetValue("atoms", out var atoms) || atoms.dim() != 2 || atoms.dtype != ScalarType.Float32)
        {
            throw FormatGuard.Damaged(path, "has no atoms of float32 [K, k]");
        }

        return new(tensors, new Dictionary<string, string>(file.Metadata, StringComparer.Ordinal));
    }
}
