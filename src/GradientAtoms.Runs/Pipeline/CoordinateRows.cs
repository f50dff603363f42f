using GradientAtoms.Coordinates;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>Coordinates of documents, <c>[N, k]</c>, as <c>coordinates.safetensors</c> has them: in memory where they are few, else read a block at a time.</summary>
internal static class CoordinateRows
{
    private const string Name = "rows";
    private const long MemoryNumbers = 1 << 26; // 256 MiB

    /// <summary>The rows of some documents.</summary>
    /// <param name="file">Coordinates; must stay open.</param>
    /// <param name="documents">Which, in their order; null: all.</param>
    /// <param name="memoryNumbers">Numbers up to which rows are read whole; null: as many as take 256 MiB.</param>
    /// <returns>Rows that belong to the dispose scope that is open where they are in memory.</returns>
    public static IRowSource Open(SafetensorsFile file, int[]? documents = null, long? memoryNumbers = null)
    {
        var shape = file.Entry(Name).Shape;
        var streamed = new Streamed(file, documents ?? [.. Enumerable.Range(0, (int)shape[0])], shape[1]);
        return streamed.RowCount * shape[1] > (memoryNumbers ?? MemoryNumbers) ? streamed : new RowsInMemory(streamed.ReadBlock(0, streamed.RowCount));
    }

    private sealed class Streamed(SafetensorsFile file, int[] documents, long size) : IRowSource
    {
        public int RowCount => documents.Length;

        public long ColumnCount => size;

        public Tensor ReadColumns(long first, long count)
        {
            using var scope = NewDisposeScope();
            using var all = file.ReadRows(Name, 0, file.Entry(Name).Shape[0], first, count);
            return all.index_select(0, Places(documents, 0)).MoveToOuterDisposeScope();
        }

        public Tensor ReadRows(IReadOnlyList<int> places)
        {
            using var scope = NewDisposeScope();
            return cat([.. places.Select(place => file.ReadRows(Name, documents[place], 1))]).MoveToOuterDisposeScope();
        }

        public Tensor ReadBlock(int first, int count)
        {
            var own = documents[first..(first + count)];
            var (begin, span) = (own[0], own[^1] - own[0] + 1);
            if (span == count)
            {
                return file.ReadRows(Name, begin, count);
            }

            using var scope = NewDisposeScope();
            return file.ReadRows(Name, begin, span).index_select(0, Places(own, begin)).MoveToOuterDisposeScope();
        }

        private static Tensor Places(int[] documents, int begin) => tensor(documents.Select(document => (long)document - begin).ToArray(), dtype: ScalarType.Int64);
    }
}
