using System.Diagnostics;
using System.Text.Json.Nodes;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Stages;

namespace GradientAtoms.Tests.Runs;

public sealed class BlockStoreTests : IDisposable
{
    private const int BlockCount = 6;
    private const string ChildFolder = "GATOMS_TEST_CHILD_FOLDER";
    private readonly TemporaryFolder _folder = new();
    private readonly List<int> _computed = [];
    private int _reused;

    public void Dispose() => _folder.Dispose();

    // A sum over blocks, kept as a state, in numbers whose order of addition shows.
    private StageRecordFiles Audit(string run = "run", int seed = 1, Action<int>? before = null, Action<int>? between = null, Action<int>? after = null)
    {
        using var folder = RunFolder.Create(Path.IsPathRooted(run) ? run : _folder[run]);
        var stage = new Stage
        {
            Name = "gradients",
            Options = new JsonObject { ["seed"] = seed },
            Run = context =>
            {
                var blocks = context.Blocks("gradients", ".bin");
                var spill = context.Scratch("spill", ".bin");
                _reused = blocks.ReusedCount;
                var saved = context.State.Load();
                var (from, sum) = saved is null ? (0, 0.0) : (saved.Blocks, BitConverter.ToDouble(File.ReadAllBytes(saved.Path)));
                Assert.Equal(sum, (double?)saved?.Notes?["sum"] ?? 0.0);
                for (var block = from; block < BlockCount; block++)
                {
                    before?.Invoke(block);
                    _computed.Add(block);
                    var value = Math.Sin((100.0 * seed) + block);
                    sum += value;
                    spill.Write(block, stream => stream.Write(BitConverter.GetBytes(-value)));
                    blocks.Write(block, stream => stream.Write(BitConverter.GetBytes(value)), new JsonObject { ["value"] = value });
                    between?.Invoke(block);
                    context.State.Save(block + 1, stream => stream.Write(BitConverter.GetBytes(sum)), new JsonObject { ["sum"] = sum });
                    after?.Invoke(block);
                }

                Assert.Equal(Enumerable.Range(0, BlockCount), blocks.All.Select(block => block.Id));
                context.Write("sum.bin", stream => stream.Write(BitConverter.GetBytes(sum)));
                context.WriteText("notes.txt", string.Join('\n', blocks.All.Select(block => block.Notes!.ToJsonString())));
            },
        };
        var outcome = new StageRunner(folder).Run(stage);
        return new(outcome.Record.OutputHash, [.. Directory.GetFiles(folder.Path, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(folder.Path, file)).Order(StringComparer.Ordinal)]);
    }

    private sealed record StageRecordFiles(string OutputHash, string[] Files);

    private static void Crash(int block, int at)
    {
        if (block == at)
        {
            throw new InvalidDataException("crash");
        }
    }

    [Fact]
    public void A_stage_that_dies_anywhere_goes_on_there_and_ends_with_the_same_bytes()
    {
        var whole = Audit("whole");
        foreach (var at in new[] { 0, 3, BlockCount - 1 })
        {
            foreach (var (name, run) in new (string, Action<string>)[]
            {
                ("before", run => Audit(run, before: block => Crash(block, at))),
                ("between", run => Audit(run, between: block => Crash(block, at))),
                ("after", run => Audit(run, after: block => Crash(block, at))),
            })
            {
                Assert.Throws<InvalidDataException>(() => run($"{name}-{at}"));
                _computed.Clear();
                var resumed = Audit($"{name}-{at}");
                Assert.Equal(whole.OutputHash, resumed.OutputHash);
                Assert.Equal(whole.Files.Where(file => file != "run.lock"), resumed.Files.Where(file => file != "run.lock"));
                Assert.Equal(Enumerable.Range(name == "after" ? at + 1 : at, BlockCount - at - (name == "after" ? 1 : 0)), _computed);
            }
        }
    }

    [Fact]
    public void A_run_killed_at_any_moment_goes_on_to_the_same_bytes()
    {
        // A copy of the folder at a moment is what a kill at that moment leaves: nothing is tidied up, not even the lock.
        var copies = new List<string>();
        void Copy(int block)
        {
            var copy = $"copy-{copies.Count}";
            foreach (var file in Directory.GetFiles(_folder["run"], "*", SearchOption.AllDirectories).Where(file => Path.GetFileName(file) != ".lock"))
            {
                _folder.Write($"{copy}/{Path.GetRelativePath(_folder["run"], file)}", "");
                File.Copy(file, _folder[$"{copy}/{Path.GetRelativePath(_folder["run"], file)}"], overwrite: true);
            }

            copies.Add(copy);
        }

        var whole = Audit(before: Copy, between: Copy, after: Copy);
        Assert.Equal(3 * BlockCount, copies.Count);
        foreach (var copy in copies)
        {
            var resumed = Audit(copy);
            Assert.Equal(whole.OutputHash, resumed.OutputHash);
            Assert.Equal(whole.Files, resumed.Files);
        }
    }

    [Fact]
    public void Two_runs_give_the_same_bytes()
    {
        // The same test is the process that the next one kills: then it goes slowly, in a folder that it is told.
        var slow = Environment.GetEnvironmentVariable(ChildFolder);
        void Wait(int block) => Thread.Sleep(slow is null ? 0 : 200);
        var first = Audit(slow ?? "first", between: Wait, after: Wait);
        Assert.Equal(first.OutputHash, Audit("second").OutputHash);
    }

    [Fact]
    public async Task A_killed_process_leaves_a_run_that_goes_on_to_the_same_bytes()
    {
        var whole = Audit("whole");
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "GradientAtoms.Tests"), ["-method", $"{typeof(BlockStoreTests).FullName}.{nameof(Two_runs_give_the_same_bytes)}"])
        {
            RedirectStandardOutput = true,
            UseShellExecute = false,
            Environment = { [ChildFolder] = _folder["run"] },
        };
        using var child = Process.Start(start)!;
        var deadline = Stopwatch.StartNew();
        while (!File.Exists(_folder["run/gradients/block-00002.bin"]))
        {
            Assert.False(child.HasExited || deadline.Elapsed > TimeSpan.FromSeconds(60), "the child did not come so far");
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        child.Kill();
        await child.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(File.Exists(_folder["run/run.lock"]));
        Assert.Equal(whole.OutputHash, Audit().OutputHash);
        Assert.InRange(_reused, 2, BlockCount - 1);
    }

    [Fact]
    public void A_finished_stage_keeps_its_shards_and_nothing_that_was_only_needed_on_the_way()
    {
        var files = Audit().Files;
        Assert.Equal(
            [".lock", .. Enumerable.Range(0, BlockCount).Select(block => $"gradients/block-0000{block}.bin"), "gradients.blocks.jsonl", "notes.txt", "run.json", "run.lock", "sum.bin"],
            files.OrderBy(file => file == "gradients.blocks.jsonl" ? "gradients/z" : file, StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("torn")]
    [InlineData("rubbish")]
    [InlineData("no journal")]
    [InlineData("shard missing")]
    [InlineData("shard cut")]
    [InlineData("shard damaged")]
    [InlineData("leftover")]
    [InlineData("stranger")]
    [InlineData("state cut")]
    [InlineData("state index torn")]
    public void Whatever_a_crash_leaves_behind_the_bytes_come_out_the_same(string damage)
    {
        var whole = Audit("whole").OutputHash;
        Assert.Throws<InvalidDataException>(() => Audit(before: block => Crash(block, 4)));
        var journal = _folder["run/gradients.blocks.jsonl"];
        var shard = _folder["run/gradients/block-00003.bin"];
        switch (damage)
        {
            case "torn":
                File.WriteAllBytes(journal, File.ReadAllBytes(journal)[..^20]);
                break;
            case "rubbish":
                File.AppendAllText(journal, "{\"input_hash\":3}\n[]\nnull\n\0\0\0\0");
                break;
            case "no journal":
                File.Delete(journal);
                break;
            case "shard missing":
                File.Delete(shard);
                break;
            case "shard cut":
                File.WriteAllBytes(shard, File.ReadAllBytes(shard)[..3]);
                break;
            case "shard damaged":
                File.WriteAllBytes(shard, new byte[8]);
                break;
            case "leftover":
                _folder.Write("run/gradients/.block-00004.bin.1-1.gatoms-partial", "half");
                break;
            case "stranger":
                _folder.Write("run/gradients/block-00007.bin", "whose?");
                break;
            case "state cut":
                File.WriteAllText(Directory.GetFiles(_folder["run"], "gradients.state-*").Single(), "cut");
                break;
            case "state index torn":
                File.WriteAllText(_folder["run/gradients.state.json"], "{\"input_hash\":");
                break;
        }

        // The stage trusts its state's count; where the shards fell behind it, they are made again.
        Assert.Equal(whole, Repair());
        Assert.DoesNotContain(Directory.GetFiles(_folder["run/gradients"]), file => file.EndsWith("partial", StringComparison.Ordinal) || file.EndsWith("00007.bin", StringComparison.Ordinal));
    }

    // The same stage, as the pipeline has it: a shard that is behind the state sends it back to the beginning.
    private string Repair()
    {
        using var folder = RunFolder.Create(_folder["run"]);
        var stage = new Stage
        {
            Name = "gradients",
            Options = new JsonObject { ["seed"] = 1 },
            Run = context =>
            {
                var blocks = context.Blocks("gradients", ".bin");
                var saved = context.State.Load();
                var whole = saved is not null && Enumerable.Range(0, saved.Blocks).All(blocks.Has);
                var (from, sum) = whole ? (saved!.Blocks, BitConverter.ToDouble(File.ReadAllBytes(saved.Path))) : (0, 0.0);
                for (var block = from; block < BlockCount; block++)
                {
                    var value = Math.Sin(100.0 + block);
                    sum += value;
                    if (!blocks.Has(block))
                    {
                        blocks.Write(block, stream => stream.Write(BitConverter.GetBytes(value)), new JsonObject { ["value"] = value });
                    }
                }

                context.Write("sum.bin", stream => stream.Write(BitConverter.GetBytes(sum)));
                context.WriteText("notes.txt", string.Join('\n', blocks.All.Select(block => block.Notes!.ToJsonString())));
            },
        };
        return new StageRunner(folder).Run(stage).Record.OutputHash;
    }

    [Fact]
    public void What_a_kill_between_the_last_record_and_the_clean_up_leaves_is_gone_after_the_next_start()
    {
        string[] left = ["gradients.state.json", "gradients.state-b", "gradients.state-a", "gradients.blocks.jsonl"];
        var running = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        var whole = Audit(after: block =>
        {
            if (block == BlockCount - 1)
            {
                foreach (var file in Directory.GetFiles(_folder["run/spill"]).Concat(left.Select(name => _folder[$"run/{name}"])).Where(File.Exists))
                {
                    running[Path.GetRelativePath(_folder["run"], file)] = File.ReadAllBytes(file);
                }
            }
        });
        Assert.Equal(BlockCount + 3, running.Count); // the spill, one state and its index, the journal
        var journal = File.ReadAllBytes(_folder["run/gradients.blocks.jsonl"]);
        foreach (var (name, bytes) in running)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_folder[$"run/{name}"])!);
            File.WriteAllBytes(_folder[$"run/{name}"], bytes);
        }

        _computed.Clear();
        Assert.Equal(whole.Files, Audit().Files);
        Assert.Empty(_computed);
        Assert.Equal(journal, File.ReadAllBytes(_folder["run/gradients.blocks.jsonl"]));

        // A state that its index does not name any more goes too.
        File.WriteAllBytes(_folder["run/gradients.state-a"], [1]);
        Assert.Equal(whole.Files, Audit().Files);
    }

    [Fact]
    public void What_a_sitting_with_other_options_has_begun_outlives_a_start_with_the_old_ones()
    {
        using var folder = RunFolder.Create(_folder["run"]);
        var (found, saved) = (0, 0);
        Stage Stage(int seed, bool crash) => new()
        {
            Name = "gradients",
            Options = new JsonObject { ["seed"] = seed },
            Run = context =>
            {
                var spill = context.Scratch("spill", ".bin");
                (found, saved) = (spill.ReusedCount, context.State.Load()?.Blocks ?? 0);
                spill.Write(found, stream => stream.WriteByte(1));
                context.State.Save(found + 1, stream => stream.WriteByte(1));
                Crash(crash ? 1 : 0, 1);
                context.WriteText("out.txt", "out");
            },
        };
        var runner = new StageRunner(folder);
        runner.Run(Stage(1, crash: false));
        Assert.Throws<InvalidDataException>(() => runner.Run(Stage(2, crash: true)));
        Assert.True(runner.Run(Stage(1, crash: false)).Decision.Reuse);
        runner.Run(Stage(2, crash: false));

        Assert.Equal((1, 1), (found, saved));
        Assert.Equal(["out.txt", "run.json"], Directory.GetFiles(folder.Path).Select(Path.GetFileName).Where(name => !name!.EndsWith("lock", StringComparison.Ordinal)).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Blocks_of_other_options_are_not_reused()
    {
        Assert.Throws<InvalidDataException>(() => Audit(before: block => Crash(block, 4)));
        _computed.Clear();
        Audit(seed: 2);
        Assert.Equal(0, _reused);
        Assert.Equal(Enumerable.Range(0, BlockCount), _computed);
    }

    [Fact]
    public void A_lost_shard_of_a_finished_stage_is_all_that_is_made_again()
    {
        var whole = Audit().OutputHash;
        File.Delete(_folder["run/gradients/block-00002.bin"]);
        using (var folder = RunFolder.Open(_folder["run"]))
        {
            Assert.Equal("output missing: gradients/block-00002.bin", new StageRunner(folder).Decide(new Stage { Name = "gradients", Options = new JsonObject { ["seed"] = 1 }, Run = _ => { } }).Reason);
        }

        Assert.Equal(whole, Repair());
    }

    [Fact]
    public void Blocks_can_be_taken_back_to_where_a_state_stands()
    {
        using var folder = RunFolder.Create(_folder["run"]);
        new StageRunner(folder).Run(new Stage
        {
            Name = "rows",
            Run = context =>
            {
                var blocks = context.Blocks("rows", ".bin");
                for (var block = 0; block < 4; block++)
                {
                    blocks.Write(block, stream => stream.WriteByte(1));
                }

                blocks.RemoveFrom(2);
                blocks.Write(1, stream => stream.WriteByte(9));
                Assert.Equal([0, 1], blocks.All.Select(block => block.Id));
            },
        });
        Assert.Equal(["block-00000.bin", "block-00001.bin"], Directory.GetFiles(_folder["run/rows"]).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Equal([9], File.ReadAllBytes(_folder["run/rows/block-00001.bin"]));
    }
}
