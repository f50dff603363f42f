using GradientAtoms.Coordinates;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Runs;

public class CoordinateRowsTests
{
    [Theory]
    [InlineData(new[] { 0, 2, 3, 7, 8, 9 })]
    [InlineData(null)]
    public void Rows_from_a_file_are_those_in_memory_by_block_by_row_and_by_column(int[]? documents)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        var rows = randn([10, 6], generator: new Generator(1));
        SafetensorsWriter.Write(folder["coordinates.safetensors"], [("rows", rows)]);
        using var file = SafetensorsFile.Open(folder["coordinates.safetensors"]);
        var memory = CoordinateRows.Open(file, documents);
        var streamed = CoordinateRows.Open(file, documents, memoryNumbers: 0);
        Assert.IsType<RowsInMemory>(memory);
        Assert.IsNotType<RowsInMemory>(streamed);
        var expected = documents is null ? rows : rows[tensor(documents, ScalarType.Int64)];
        Assert.Equal((int)expected.shape[0], streamed.RowCount);
        Assert.Equal(6, streamed.ColumnCount);
        foreach (var source in new[] { memory, streamed })
        {
            AssertTensor.Close(expected, source.ReadBlock(0, source.RowCount), 0);
            AssertTensor.Close(expected.narrow(0, 2, 3), source.ReadBlock(2, 3), 0);
            AssertTensor.Close(expected[tensor(new[] { 5, 1 }, ScalarType.Int64)], source.ReadRows([5, 1]), 0);
            AssertTensor.Close(expected.narrow(1, 4, 2), source.ReadColumns(4, 2), 0);
        }
    }
}
