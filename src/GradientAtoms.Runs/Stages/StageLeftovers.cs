using GradientAtoms.Runs.Manifest;

namespace GradientAtoms.Runs.Stages;

/// <summary>
/// What a stage that is done needed while it ran, and a kill between its last record and its clean-up has left. What an
/// interrupted sitting with other options has made stays: it goes on from there.
/// </summary>
internal static class StageLeftovers
{
    /// <summary>Removes it.</summary>
    /// <param name="run">The run, open for writing.</param>
    /// <param name="done">The record of the stage.</param>
    public static void Remove(RunFolder run, StageRecord done)
    {
        new StageState(run, done.Name, done.InputHash).ClearOwn();
        var outputs = done.Outputs.Select(output => output.Path).ToHashSet(StringComparer.Ordinal);
        var scratch = BlockJournal.Peek(run, done.Name, done.InputHash)
            .GroupBy(entry => entry.Folder, entry => entry.Block.Path, StringComparer.Ordinal)
            .Where(blocks => !blocks.Any(outputs.Contains))
            .ToList();
        if (scratch.Count == 0)
        {
            return;
        }

        foreach (var folder in scratch)
        {
            foreach (var path in folder)
            {
                File.Delete(run.PathOf(path));
            }

            BlockStore.RemoveIfEmpty(run.PathOf(folder.Key));
        }

        BlockJournal.Strike(run, done.Name, done.InputHash, [.. scratch.Select(folder => folder.Key)]);
    }
}
