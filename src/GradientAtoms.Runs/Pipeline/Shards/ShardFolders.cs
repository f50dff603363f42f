using System.Globalization;
using System.Text.Json.Nodes;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Manifest;
using GradientAtoms.Runs.Stages;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>A shard as it lies on the disk.</summary>
/// <param name="Id">Which part.</param>
/// <param name="Path">Its folder.</param>
/// <param name="Record">Of its one stage; null where it has not written anything yet.</param>
internal sealed record StoredShard(ShardId Id, string Path, StageRecord? Record)
{
    public bool IsDone => Record is { IsDone: true };
}

/// <summary>
/// <c>shards/PASS-i-of-n/</c>: finds the shards of a run, says what is missing, double, of other inputs or damaged, and takes over
/// their blocks. The order in which shards were done or are found changes nothing.
/// </summary>
internal static class ShardFolders
{
    public const string Folder = "shards";
    private const string PassOption = "pass";

    public static string PathOf(RunFolder run, string pass, ShardId shard) => run.PathOf(string.Create(CultureInfo.InvariantCulture, $"{Folder}/{pass}-{shard.Index}-of-{shard.Count}"));

    /// <summary>Opens the folder of a shard for writing, with its name in it from the first moment.</summary>
    public static RunFolder Create(RunFolder run, string pass, ShardId shard)
    {
        var path = PathOf(run, pass, shard);
        RunFolder folder;
        try
        {
            folder = RunFolder.Create(path);
        }
        catch (RunFolderException exception) when (exception.Code is "GA2604")
        {
            throw Unreadable(path, pass, exception);
        }

        folder.Describe(new JsonObject { [PassOption] = pass, [ShardStage.Option] = shard.ToString() }, null);
        folder.Save();
        return folder;
    }

    /// <summary>The shards of a pass.</summary>
    /// <exception cref="RunFolderException">GA2622: one cannot be read.</exception>
    public static IReadOnlyList<StoredShard> Of(RunFolder run, string pass)
    {
        var all = run.PathOf(Folder);
        var found = new List<StoredShard>();
        foreach (var path in Directory.Exists(all) ? Directory.GetDirectories(all).Order(StringComparer.Ordinal).Where(RunFolder.IsRun) : [])
        {
            try
            {
                using var folder = RunFolder.OpenRead(path);
                if (folder.Manifest.Options is JsonObject options && (string?)options[PassOption] == pass && ShardId.TryParse((string?)options[ShardStage.Option]) is { } shard)
                {
                    found.Add(new(shard, path, folder.Manifest.Stage(pass)));
                }
            }
            catch (Exception exception) when (exception is RunFolderException or InvalidOperationException or FormatException)
            {
                throw Unreadable(path, pass, exception);
            }
        }

        return found;
    }

    /// <summary>The parts of a pass that are not finished.</summary>
    /// <param name="run">The run.</param>
    /// <param name="pass">The pass.</param>
    /// <param name="count">Of how many parts.</param>
    public static IReadOnlyList<ShardId> Unfinished(RunFolder run, string pass, int count)
    {
        var done = Of(run, pass).Where(shard => shard.IsDone).Select(shard => shard.Id).ToHashSet();
        return [.. ShardId.All(count).Where(shard => !done.Contains(shard))];
    }

    /// <summary>Removes files of a finished shard that are not as they were recorded, so that its stage makes them again.</summary>
    public static int RemoveDamaged(RunFolder shard, CancellationToken cancellationToken)
    {
        var damaged = shard.Manifest.Stages.SelectMany(stage => stage.Outputs).Select(output => (Path: shard.PathOf(output.Path), output))
            .Where(file => File.Exists(file.Path) && !IsIntact(file.Path, file.output, cancellationToken)).ToList();
        damaged.ForEach(file => File.Delete(file.Path));
        return damaged.Count;
    }

    /// <summary>
    /// Takes over what the shards of a pass have made, after a look at all of it. Without any shard nothing is done: the run does
    /// the pass alone.
    /// </summary>
    /// <param name="context">Of the gradients stage.</param>
    /// <param name="pass">The pass.</param>
    /// <param name="plan">How many blocks it has.</param>
    /// <param name="rows">Gets the blocks' rows.</param>
    /// <param name="sums">Get their sums.</param>
    /// <param name="isElsewhere">Whether the rows of a block have gone on to somewhere else.</param>
    /// <param name="sample">What the pass reads beside the stage's own inputs: name and SHA-256.</param>
    /// <exception cref="RunFolderException">GA2620 a shard is missing or not finished; GA2621 double; GA2622 damaged; GA2623 of other inputs.</exception>
    public static void Take(StageContext context, string pass, int plan, BlockStore rows, BlockSums sums, Func<int, bool> isElsewhere, (string Name, string Sha256)? sample = null)
    {
        var shards = Of(context.Folder, pass);
        if (shards.Count == 0)
        {
            return;
        }

        var expected = sample is { } input
            ? context.Described! with { Inputs = new(context.Described.Inputs, StringComparer.Ordinal) { [input.Name] = input.Sha256 } }
            : context.Described!;
        RefuseForeign(shards, pass, expected);
        RefuseDouble(shards, pass);
        RefuseMissing(context.Folder, shards, pass, plan);

        bool IsTaken(OutputFile output) => output.Path.StartsWith(ShardStage.Sums + "/", StringComparison.Ordinal)
            ? BlockSums.RangeOf(BlockStore.IdOf(output.Path)) is var range && sums.Covers(range.First) && sums.Covers(range.End - 1)
            : BlockStore.IdOf(output.Path) is var block && (rows.Has(block) || isElsewhere(block));

        var files = shards.SelectMany(shard => shard.Record!.Outputs.Select(output => (Shard: shard, Output: output, Path: System.IO.Path.Combine(shard.Path, output.Path)))).ToList();
        foreach (var (checkedCount, file) in files.Index())
        {
            context.CancellationToken.ThrowIfCancellationRequested();
            if (!IsTaken(file.Output) && !IsIntact(file.Path, file.Output, context.CancellationToken))
            {
                throw new RunFolderException(
                    "GA2622",
                    file.Path,
                    $"{(File.Exists(file.Path) ? "is not as it was written" : "is missing")}: shard {file.Shard.Id} of the {pass} is damaged",
                    $"Run {Command(file.Shard.Id)} again, with the options of the others: it makes what is damaged. Then run this command again.");
            }

            context.Progress?.Report(new("merge", checkedCount + 1, files.Count, "files", $"{shards.Count} shards of the {pass}"));
        }

        // Nothing is moved before everything is known to be right.
        foreach (var (_, output, path) in files.Where(file => !IsTaken(file.Output)).ToList())
        {
            var store = output.Path.StartsWith(ShardStage.Sums + "/", StringComparison.Ordinal) ? sums.Store : rows;
            using var shard = RunFolder.OpenRead(System.IO.Path.GetDirectoryName(System.IO.Path.GetDirectoryName(path))!);
            store.Adopt(new(BlockStore.IdOf(output.Path), output.Path, output.Bytes, output.Sha256, NotesOf(shard, pass, output.Path)), path);
        }

        sums.Combine();
        TakeSelfChecks(context, shards);
    }

    /// <summary>Removes the shards that a finished gradients stage is made of.</summary>
    /// <param name="run">The run, open for writing.</param>
    /// <param name="gradients">The stage's record.</param>
    public static void RemoveMerged(RunFolder run, StageRecord gradients)
    {
        foreach (var pass in (string[])[ShardStage.Covariances, ShardStage.Sketches])
        {
            try
            {
                foreach (var shard in Of(run, pass).Where(shard => shard.Record is { } record && Foreign(record, gradients).Count == 0))
                {
                    RunLock.Take(shard.Path).Dispose(); // nobody is doing it again
                    Directory.Delete(shard.Path, recursive: true);
                }
            }
            catch (Exception exception) when (exception is RunFolderException or IOException or UnauthorizedAccessException)
            {
                // What is left is in nobody's way: the gradients are there.
            }
        }

        BlockStore.RemoveIfEmpty(run.PathOf(Folder));
    }

    /// <summary>How to do a shard.</summary>
    public static string Command(ShardId shard) => $"`gatoms audit ... --shard {shard}`";

    private static void RefuseForeign(IReadOnlyList<StoredShard> shards, string pass, StageRecord expected)
    {
        foreach (var shard in shards.Where(shard => shard.Record is not null))
        {
            if (Foreign(shard.Record!, expected) is { Count: > 0 } differences)
            {
                throw new RunFolderException(
                    "GA2623",
                    shard.Path,
                    $"shard {shard.Id} of the {pass} is not of this run: {string.Join("; ", differences)}",
                    $"Run {Command(shard.Id)} with the options of this command: it replaces the shard. Or delete the folder.");
            }
        }
    }

    private static void RefuseDouble(IReadOnlyList<StoredShard> shards, string pass)
    {
        foreach (var twice in shards.GroupBy(shard => shard.Id).Where(group => group.Count() > 1))
        {
            throw new RunFolderException("GA2621", twice.Last().Path, $"shard {twice.Key} of the {pass} is there twice; the other is {twice.First().Path}", "Delete one of the two folders, and run this command again.");
        }

        if (shards.DistinctBy(shard => shard.Id.Count).ToList() is [var first, var other, ..])
        {
            throw new RunFolderException(
                "GA2621",
                other.Path,
                $"shards {first.Id} and {other.Id} of the {pass} cut the documents in different ways, so that some are there twice",
                $"Keep those of one way: delete the folders of the shards of {first.Id.Count} or of {other.Id.Count} in {System.IO.Path.GetDirectoryName(other.Path)}, and run this command again.");
        }
    }

    private static void RefuseMissing(RunFolder run, IReadOnlyList<StoredShard> shards, string pass, int plan)
    {
        var states = ShardId.All(shards[0].Id.Count).Where(id => !shards.Any(shard => shard.Id == id && shard.IsDone))
            .Select(id => (Id: id, Begun: shards.FirstOrDefault(shard => shard.Id == id))).ToList();
        if (states.Count > 0)
        {
            throw new RunFolderException(
                "GA2620",
                run.PathOf(Folder),
                $"of the {pass}, {string.Join(", ", states.Select(state => $"shard {state.Id} is {(state.Begun is { } begun ? $"not finished ({begun.Record?.Status ?? "just begun"})" : "missing")}"))}",
                $"Run {string.Join(" and ", states.Select(state => Command(state.Id)))} with the options of the others, on any machine that sees this folder: what is begun continues. Then run this command again. To do everything here instead, delete the folder.");
        }

        var blocks = shards.Select(shard => shard.Record!.Options[ShardStage.Option]!).Select(range => new BlockRange((int)range["first_block"]!, (int)range["end_block"]!)).OrderBy(range => (range.First, range.End));
        var next = blocks.Aggregate(0, (end, range) => range.First == end ? range.End : -1);
        if (next != plan)
        {
            throw new RunFolderException("GA2623", run.PathOf(Folder), $"the shards of the {pass} were cut in another way than this version of gatoms does", "Delete the folder, and run every shard again.");
        }
    }

    /// <summary>In words, how a shard differs from what the gradients stage would have it depend on; nothing where it does not.</summary>
    public static List<string> Foreign(StageRecord shard, StageRecord expected)
    {
        var options = (JsonObject)shard.Options.DeepClone();
        options.Remove(ShardStage.Option);
        var inputs = new SortedDictionary<string, string>(shard.Inputs, StringComparer.Ordinal);
        if (!expected.Inputs.ContainsKey(ShardStage.SampleInput))
        {
            inputs.Remove(ShardStage.SampleInput);
        }

        return StageRunner.Differences(shard with { Options = options, Inputs = inputs }, expected);
    }

    private static bool IsIntact(string path, OutputFile output, CancellationToken cancellationToken)
    {
        try
        {
            return File.Exists(path) && new FileInfo(path).Length == output.Bytes && FileHash.OfFile(path, cancellationToken) == output.Sha256;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static JsonNode? NotesOf(RunFolder shard, string pass, string path) =>
        BlockJournal.Peek(shard, pass, shard.Manifest.Stage(pass)!.InputHash).LastOrDefault(entry => entry.Block.Path == path).Block?.Notes;

    // Every shard has checked its machine's gradients on the same documents: the run's is the worst of them.
    private static void TakeSelfChecks(StageContext context, IReadOnlyList<StoredShard> shards)
    {
        var all = shards.Select(shard => shard.Record!.Notes[CurvaturePass.SelfCheckNote]).OfType<JsonArray>().ToList();
        if (all.Count > 0)
        {
            context.Notes[CurvaturePass.SelfCheckNote] = new JsonArray([.. Enumerable.Range(0, all[0].Count).Select(check => all.MaxBy(checks => (double)checks[check]!["error"]!)![check]!.DeepClone())]);
        }
    }

    private static RunFolderException Unreadable(string path, string pass, Exception cause) =>
        new("GA2622", path, $"cannot be read as a shard of the {pass} ({cause.Message})", "Delete the folder, and run the shard again: `gatoms audit ... --shard i/n`, where the folder's name says which it was.", cause);
}
