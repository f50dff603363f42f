using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace GradientAtoms.DictionaryLearning;

/// <summary>The codes of documents on atoms, <c>[N, K]</c>, as compressed sparse rows. Only codes other than zero are kept.</summary>
public sealed record SparseCodes
{
    /// <summary>Takes the three arrays as they are.</summary>
    /// <param name="rowPointers"><c>[N + 1]</c>: where each document's codes begin; the last is their number.</param>
    /// <param name="columns"><c>[non-zeros]</c>: the atom of each code, ascending within a document.</param>
    /// <param name="values"><c>[non-zeros]</c>: the codes, with their signs.</param>
    /// <param name="atomCount">Atoms, K.</param>
    /// <exception cref="ArgumentException">The arrays do not describe a matrix.</exception>
    public SparseCodes(int[] rowPointers, int[] columns, float[] values, int atomCount)
    {
        if (rowPointers.Length == 0 || rowPointers[0] != 0 || rowPointers[^1] != columns.Length || columns.Length != values.Length)
        {
            throw new ArgumentException("row pointers, columns and values do not belong together", nameof(rowPointers));
        }

        for (var row = 0; row + 1 < rowPointers.Length; row++)
        {
            if (rowPointers[row + 1] < rowPointers[row] || rowPointers[row + 1] > columns.Length)
            {
                throw new ArgumentException($"row {row} ends before it begins", nameof(rowPointers));
            }

            for (var entry = rowPointers[row]; entry < rowPointers[row + 1]; entry++)
            {
                if (columns[entry] < 0 || columns[entry] >= atomCount || (entry > rowPointers[row] && columns[entry] <= columns[entry - 1]))
                {
                    throw new ArgumentException($"row {row} names atom {columns[entry]} out of order or of {atomCount}", nameof(columns));
                }
            }
        }

        (RowPointers, Columns, Values, AtomCount) = (rowPointers, columns, values, atomCount);
    }

    /// <summary><c>[N + 1]</c>: where each document's codes begin.</summary>
    public int[] RowPointers { get; }

    /// <summary><c>[non-zeros]</c>: the atom of each code, ascending within a document.</summary>
    public int[] Columns { get; }

    /// <summary><c>[non-zeros]</c>: the codes.</summary>
    public float[] Values { get; }

    /// <summary>Documents, N.</summary>
    public int DocumentCount => RowPointers.Length - 1;

    /// <summary>Atoms, K.</summary>
    public int AtomCount { get; }

    /// <summary>Codes other than zero a document, on average.</summary>
    public double MeanNonzeros => DocumentCount == 0 ? 0 : (double)Values.Length / DocumentCount;

    /// <summary>The atoms of a document.</summary>
    public ReadOnlySpan<int> AtomsOf(int document) => Columns.AsSpan(RowPointers[document]..RowPointers[document + 1]);

    /// <summary>The codes of a document, in the order of <see cref="AtomsOf"/>.</summary>
    public ReadOnlySpan<float> CodesOf(int document) => Values.AsSpan(RowPointers[document]..RowPointers[document + 1]);

    /// <summary>The same codes as float32 <c>[N, K]</c>, on the CPU.</summary>
    public Tensor ToDense()
    {
        var dense = zeros([DocumentCount, AtomCount], ScalarType.Float32);
        var entries = MemoryMarshal.Cast<byte, float>(dense.bytes);
        for (var document = 0; document < DocumentCount; document++)
        {
            for (var entry = RowPointers[document]; entry < RowPointers[document + 1]; entry++)
                entries[(document * AtomCount) + Columns[entry]] = Values[entry];
        }

        return dense;
    }

    /// <summary>Keeps what is not zero of a dense matrix.</summary>
    /// <param name="codes"><c>[N, K]</c>, any floating type.</param>
    public static SparseCodes FromDense(Tensor codes)
    {
        var (documentCount, atomCount) = ((int)codes.shape[0], (int)codes.shape[1]);
        using var dense = codes.detach().to(ScalarType.Float32).cpu().contiguous();
        var entries = MemoryMarshal.Cast<byte, float>(dense.bytes);
        var builder = new Builder(atomCount);
        for (var document = 0; document < documentCount; document++)
        {
            for (var atom = 0; atom < atomCount; atom++)
                builder.Add(atom, entries[(document * atomCount) + atom]);
            builder.EndDocument();
        }

        return builder.Build();
    }

    /// <summary>The same codes by atom.</summary>
    public CodesByAtom ByAtom()
    {
        var pointers = new int[AtomCount + 1];
        foreach (var atom in Columns)
            pointers[atom + 1]++;
        for (var atom = 0; atom < AtomCount; atom++)
            pointers[atom + 1] += pointers[atom];
        var next = pointers.ToArray();
        var (documents, values) = (new int[Values.Length], new float[Values.Length]);
        for (var document = 0; document < DocumentCount; document++)
        {
            for (var entry = RowPointers[document]; entry < RowPointers[document + 1]; entry++)
            {
                var place = next[Columns[entry]]++;
                (documents[place], values[place]) = (document, Values[entry]);
            }
        }

        return new(pointers, documents, values);
    }

    /// <summary>Collects codes document by document, atoms ascending.</summary>
    internal sealed class Builder(int atomCount)
    {
        private readonly List<int> _pointers = [0];
        private readonly List<int> _columns = [];
        private readonly List<float> _values = [];

        public void Add(int atom, float code)
        {
            if (code != 0)
            {
                _columns.Add(atom);
                _values.Add(code);
            }
        }

        public void EndDocument() => _pointers.Add(_columns.Count);

        public SparseCodes Build() => new([.. _pointers], [.. _columns], [.. _values], atomCount);
    }
}

/// <summary>Codes by atom: compressed sparse columns.</summary>
/// <param name="Pointers"><c>[K + 1]</c>: where each atom's codes begin.</param>
/// <param name="Documents"><c>[non-zeros]</c>: the document of each code, ascending within an atom.</param>
/// <param name="Values"><c>[non-zeros]</c>: the codes.</param>
public sealed record CodesByAtom(int[] Pointers, int[] Documents, float[] Values)
{
    /// <summary>The documents that encode on an atom, ascending.</summary>
    public ReadOnlySpan<int> DocumentsOf(int atom) => Documents.AsSpan(Pointers[atom]..Pointers[atom + 1]);

    /// <summary>Their codes.</summary>
    public ReadOnlySpan<float> CodesOf(int atom) => Values.AsSpan(Pointers[atom]..Pointers[atom + 1]);
}
