using System.Runtime.InteropServices;
using GradientAtoms.Coordinates;
using static TorchSharp.torch;

namespace GradientAtoms.DictionaryLearning;

/// <summary>Encodes documents on a fixed dictionary: each row's lasso, solved exactly.</summary>
public static class SparseCoder
{
    /// <summary>Documents whose products with the atoms are held at a time.</summary>
    internal const int BlockSize = 1024;

    /// <summary>Finds the codes of rows in memory.</summary>
    /// <inheritdoc cref="Encode(IRowSource, Tensor, SparseCodingOptions, IProgress{StageProgress}?, CancellationToken)"/>
    public static EncodedRows Encode(
        Tensor rows,
        Tensor atoms,
        SparseCodingOptions options,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default) =>
        Encode(InMemory(rows), atoms, options, progress, cancellationToken);

    /// <summary>Finds the codes.</summary>
    /// <param name="rows"><c>[N, k]</c>, read once for their norms and once for their codes.</param>
    /// <param name="atoms"><c>[K, k]</c>.</param>
    /// <param name="options">Penalty and precision.</param>
    /// <param name="progress">Told after every block of documents.</param>
    /// <param name="cancellationToken">Looked at every block of documents.</param>
    /// <exception cref="NumericalException">A row is not finite.</exception>
    public static EncodedRows Encode(
        IRowSource rows,
        Tensor atoms,
        SparseCodingOptions options,
        IProgress<StageProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(options.Sparsity);
        if (atoms.dim() != 2 || rows.ColumnCount != atoms.shape[1])
        {
            throw new ArgumentException($"rows of {rows.ColumnCount} numbers and atoms [{string.Join(", ", atoms.shape)}] must be of one width", nameof(atoms));
        }

        var energies = Energies(rows);
        var pass = Run(rows, 0, rows.RowCount, atoms, energies, Nothing(rows.RowCount), options, ScalarType.Float64, progress, cancellationToken);
        return new(
            ToSparse(pass.Codes, (int)atoms.shape[0]),
            pass.Objective,
            pass.MeanGap,
            pass.LargestGap,
            energies,
            pass.ResidualEnergies);
    }

    /// <summary>What a pass over all documents gives.</summary>
    internal sealed record Pass(RowCodes[] Codes, double Objective, double MeanGap, double LargestGap, double[] ResidualEnergies)
    {
        /// <summary>Codes other than zero a document.</summary>
        public double MeanNonzeros => Codes.Length == 0 ? 0 : Codes.Sum(codes => (double)codes.Atoms.Length) / Codes.Length;
    }

    /// <summary>Encodes some rows that follow each other, beginning from given codes of theirs; energies, theirs too, are those of <see cref="Energies(IRowSource)"/>. The precision is that of the products of rows and atoms; codes are always found in float64.</summary>
    internal static Pass Run(
        IRowSource rows,
        int begin,
        int documentCount,
        Tensor atoms,
        double[] energies,
        RowCodes[] start,
        SparseCodingOptions options,
        ScalarType precision,
        IProgress<StageProgress>? progress,
        CancellationToken cancellationToken)
    {
        var atomCount = (int)atoms.shape[0];
        var gram = Gram(atoms, precision);
        var codes = new RowCodes[documentCount];
        var results = new RowResult[documentCount];
        using var wide = atoms.to(precision);
        using var transposed = wide.t();
        var products = new double[Math.Min(BlockSize, documentCount) * atomCount];
        var threads = new ParallelOptions { MaxDegreeOfParallelism = get_num_threads(), CancellationToken = cancellationToken };
        for (var first = 0; first < documentCount; first += BlockSize)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var count = Math.Min(BlockSize, documentCount - first);
            using (var block = rows.ReadBlock(begin + first, count))
                Products(block, transposed, 0, count, precision, products);
            var offset = first;
            Parallel.For(
                0,
                count,
                threads,
                () => new RowLasso(gram, atomCount, options.Sparsity, options.Codes, options.Tolerance, options.MaxIterations),
                (row, _, lasso) =>
                {
                    codes[offset + row] = lasso.Solve(products.AsSpan(row * atomCount, atomCount), energies[offset + row], start[offset + row], out results[offset + row]);
                    return lasso;
                },
                _ => { });
            progress?.Report(new("codes", first + count, documentCount, "documents"));
        }

        var (objective, gaps, largestGap) = (0d, 0d, 0d);
        foreach (var result in results)
        {
            var gap = result.Objective > 0 ? result.Gap / result.Objective : 0;
            objective += result.Objective;
            gaps += gap;
            largestGap = Math.Max(largestGap, gap);
        }

        var divisor = Math.Max(1, documentCount);
        return new(codes, objective / divisor, gaps / divisor, largestGap, [.. results.Select(result => result.ResidualEnergy)]);
    }

    /// <summary>No codes yet.</summary>
    internal static RowCodes[] Nothing(int documentCount) => [.. Enumerable.Repeat(RowCodes.None, documentCount)];

    /// <summary>Rows in memory.</summary>
    /// <exception cref="ArgumentException">They are not a matrix.</exception>
    internal static RowsInMemory InMemory(Tensor rows) => rows.dim() == 2
        ? new(rows)
        : throw new ArgumentException($"rows must be [N, k], not [{string.Join(", ", rows.shape)}]", nameof(rows));

    internal static SparseCodes ToSparse(RowCodes[] rows, int atomCount)
    {
        var builder = new SparseCodes.Builder(atomCount);
        foreach (var row in rows)
        {
            for (var entry = 0; entry < row.Atoms.Length; entry++)
                builder.Add(row.Atoms[entry], (float)row.Values[entry]);
            builder.EndDocument();
        }

        return builder.Build();
    }

    /// <summary><c>[K, K]</c>, row-major.</summary>
    internal static double[] Gram(Tensor atoms, ScalarType precision = ScalarType.Float64)
    {
        using var scope = NewDisposeScope();
        var factor = atoms.to(precision);
        return MemoryMarshal.Cast<byte, double>(factor.matmul(factor.t()).to(ScalarType.Float64).cpu().contiguous().bytes).ToArray();
    }

    /// <summary>Squared norms of the rows, <c>[N]</c>.</summary>
    /// <exception cref="NumericalException">A row is not finite.</exception>
    internal static double[] Energies(Tensor rows) => Energies(InMemory(rows));

    /// <summary>Squared norms of the rows, <c>[N]</c>.</summary>
    /// <exception cref="NumericalException">A row is not finite.</exception>
    internal static double[] Energies(IRowSource rows)
    {
        var energies = new double[rows.RowCount];
        for (var first = 0; first < energies.Length; first += BlockSize)
        {
            using var scope = NewDisposeScope();
            var squares = rows.ReadBlock(first, Math.Min(BlockSize, energies.Length - first)).to(ScalarType.Float64).square().sum(1).cpu();
            MemoryMarshal.Cast<byte, double>(squares.bytes).CopyTo(energies.AsSpan(first));
        }

        if (Array.FindIndex(energies, energy => !double.IsFinite(energy)) is >= 0 and var document)
        {
            throw new NumericalException(
                $"document {document}",
                "its row in the whitened coordinates has NaN or infinite entries",
                "Look at the document's loss and gradient norm; leave the document out if its text is at fault.");
        }

        return energies;
    }

    /// <summary>Products of a block of rows with the atoms, <c>[B, K]</c> row-major, into the beginning of <paramref name="into"/>.</summary>
    internal static void Products(Tensor rows, Tensor transposedAtoms, int first, int count, ScalarType precision, double[] into)
    {
        using var scope = NewDisposeScope();
        var products = rows.narrow(0, first, count).to(precision).matmul(transposedAtoms).cpu().contiguous(); // [B, K]
        if (precision == ScalarType.Float64)
        {
            MemoryMarshal.Cast<byte, double>(products.bytes).CopyTo(into);
            return;
        }

        var narrow = MemoryMarshal.Cast<byte, float>(products.bytes);
        for (var i = 0; i < narrow.Length; i++)
            into[i] = narrow[i];
    }
}
