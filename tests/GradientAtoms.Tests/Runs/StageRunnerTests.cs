using System.Text.Json.Nodes;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Stages;

namespace GradientAtoms.Tests.Runs;

public sealed class StageRunnerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly List<string> _ran = [];
    private string _data = "documents";
    private double _sparsity = 0.1;
    private int _rank = 8;
    private int _version = 1;

    public StageRunnerTests() => _folder.Write("data.jsonl", _data);

    public void Dispose() => _folder.Dispose();

    // rows <- data, rank; codes <- rows, sparsity; report <- codes, nothing of its own. Codes say only whether sparsity is below .5.
    private List<StageOutcome> Audit(Action<string>? inside = null)
    {
        File.WriteAllText(_folder["data.jsonl"], _data);
        using var run = RunFolder.Create(_folder["run"]);
        var runner = new StageRunner(run);
        Stage[] stages =
        [
            new()
            {
                Name = "rows",
                Options = new JsonObject { ["rank"] = _rank },
                Inputs = [new("data", _folder["data.jsonl"])],
                Run = context => Write(context, "rows.txt", $"{_data} {_rank}"),
            },
            new()
            {
                Name = "codes",
                Version = _version,
                Options = new JsonObject { ["sparsity"] = _sparsity },
                DependsOn = ["rows"],
                Run = context => Write(context, "codes.txt", $"{File.ReadAllText(run.PathOf("rows.txt"))} {(_sparsity < .5 ? "sparse" : "sparser")}"),
            },
            new()
            {
                Name = "report",
                DependsOn = ["codes"],
                Run = context => Write(context, "report.txt", File.ReadAllText(run.PathOf("codes.txt"))),
            },
        ];
        return [.. stages.Select(stage => runner.Run(stage))];

        void Write(StageContext context, string name, string text)
        {
            _ran.Add(context.StageName);
            inside?.Invoke(context.StageName);
            context.WriteText(name, text);
            context.Notes["length"] = text.Length;
            context.Check("text", text.Length > 0, $"{text.Length} characters");
        }
    }

    private string[] Again()
    {
        _ran.Clear();
        return [.. Audit().Select(outcome => outcome.Decision.Reason)];
    }

    [Fact]
    public void The_same_again_does_nothing_but_say_so()
    {
        Assert.Equal(["not done yet", "not done yet", "not done yet"], Audit().Select(outcome => outcome.Decision.Reason));
        var before = Snapshot();
        Assert.Equal(["same inputs", "same inputs", "same inputs"], Again());
        Assert.Empty(_ran);
        Assert.Equal(before, Snapshot());
    }

    [Fact]
    public void A_changed_option_redoes_its_stage_and_what_reads_other_outputs_because_of_it()
    {
        Audit();
        _sparsity = 0.6;
        Assert.Equal(["same inputs", "options changed: sparsity 0.1 -> 0.6", "codes changed"], Again());
        Assert.Equal(["codes", "report"], _ran);
        Assert.Equal("documents 8 sparser", File.ReadAllText(_folder["run/report.txt"]));
    }

    [Fact]
    public void What_comes_after_is_kept_where_the_outputs_are_the_same()
    {
        Audit();
        _sparsity = 0.2;
        Assert.Equal(["same inputs", "options changed: sparsity 0.1 -> 0.2", "same inputs"], Again());
        Assert.Equal(["codes"], _ran);
    }

    [Fact]
    public void A_changed_input_file_redoes_all_that_comes_from_it()
    {
        Audit();
        _data = "DOCUMENTS"; // of the same size
        Assert.Equal(["input changed: data", "rows changed", "codes changed"], Again());
    }

    [Fact]
    public void A_moved_or_touched_input_file_changes_nothing()
    {
        Audit();
        var hash = Read().ContentHash;
        File.SetLastWriteTimeUtc(_folder["data.jsonl"], DateTime.UtcNow.AddDays(-3));
        Assert.Equal(["same inputs", "same inputs", "same inputs"], Again());
        Assert.Equal(hash, Read().ContentHash);
    }

    [Fact]
    public void An_input_file_is_hashed_once_while_its_size_and_time_are_the_same()
    {
        var path = _folder.Write("big.bin", "aaaa");
        File.SetLastWriteTimeUtc(path, DateTime.UtcNow.AddHours(-1));
        var stage = new Stage { Name = "read", Inputs = [new("big", path)], Run = _ => { } };
        using var run = RunFolder.Create(_folder["run"]);
        var runner = new StageRunner(run);
        runner.Run(stage);
        var remembered = Assert.Single(run.Manifest.InputFiles);

        // Other bytes behind the same size and time: only who looks at the contents would see it.
        var time = File.GetLastWriteTimeUtc(path);
        File.WriteAllText(path, "bbbb");
        File.SetLastWriteTimeUtc(path, time);
        Assert.True(runner.Decide(stage).Reuse);
        File.SetLastWriteTimeUtc(path, time.AddSeconds(1));
        Assert.Equal("input changed: big", runner.Decide(stage).Reason);
        Assert.NotEqual(remembered.Sha256, Assert.Single(run.Manifest.InputFiles).Sha256);
    }

    [Fact]
    public void A_young_input_file_is_hashed_every_time()
    {
        var path = _folder.Write("young.bin", "aaaa");
        using var run = RunFolder.Create(_folder["run"]);
        new StageRunner(run).Run(new Stage { Name = "read", Inputs = [new("young", path)], Run = _ => { } });
        Assert.Empty(run.Manifest.InputFiles);
    }

    [Fact]
    public void A_missing_input_file_is_a_coded_error_and_leaves_the_run_as_it_was()
    {
        Audit();
        var before = Snapshot();
        using var run = RunFolder.Open(_folder["run"]);
        var stage = new Stage { Name = "rows", Inputs = [new("data", _folder["absent"])], Run = _ => Assert.Fail("must not run") };
        Assert.Equal("GA2608", Assert.Throws<RunFolderException>(() => new StageRunner(run).Run(stage)).Code);
        run.Dispose();
        Assert.Equal(before, Snapshot());
    }

    [Fact]
    public void A_missing_or_cut_output_is_made_again_and_nothing_more()
    {
        Audit();
        File.Delete(_folder["run/codes.txt"]);
        Assert.Equal(["same inputs", "output missing: codes.txt", "same inputs"], Again());
        File.WriteAllText(_folder["run/codes.txt"], "x");
        Assert.Equal(["same inputs", "output changed: codes.txt", "same inputs"], Again());
        Assert.Equal("documents 8 sparse", File.ReadAllText(_folder["run/codes.txt"]));
    }

    [Fact]
    public void A_new_version_of_a_stage_is_run_again()
    {
        Audit();
        _version = 2;
        Assert.Equal(["same inputs", "this version of gatoms computes it differently", "same inputs"], Again());
    }

    [Fact]
    public void A_stage_that_fails_before_its_first_output_leaves_the_run_as_it_was()
    {
        Audit();
        var before = Snapshot();
        _sparsity = 0.9;
        Assert.Throws<InvalidDataException>(() => Audit(stage => throw new InvalidDataException(stage)));
        Assert.Equal(before, Snapshot());
        _sparsity = 0.1;
        Assert.Equal(["same inputs", "same inputs", "same inputs"], Again());
    }

    [Fact]
    public void A_stage_that_dies_among_its_outputs_is_not_taken_for_done_even_with_the_old_options()
    {
        Audit();
        using (var run = RunFolder.Open(_folder["run"]))
        {
            var stage = new Stage
            {
                Name = "codes",
                DependsOn = ["rows"],
                Options = new JsonObject { ["sparsity"] = 0.9 },
                Run = context =>
                {
                    context.WriteText("codes.txt", "documents 8 SPARSE"); // of the same size as the old one
                    throw new InvalidDataException();
                },
            };
            Assert.Throws<InvalidDataException>(() => new StageRunner(run).Run(stage));
            Assert.Equal("failed", run.Manifest.Stage("codes")!.Status);
        }

        Assert.Equal("options changed: sparsity 0.9 -> 0.1", Again()[1]);
        Assert.Equal("documents 8 sparse", File.ReadAllText(_folder["run/codes.txt"]));
    }

    [Fact]
    public void A_cancelled_stage_says_so()
    {
        using var run = RunFolder.Create(_folder["run"]);
        var stage = new Stage { Name = "slow", Run = context => { context.WriteText("a.txt", "a"); throw new OperationCanceledException(); } };
        var runner = new StageRunner(run);
        Assert.Throws<OperationCanceledException>(() => runner.Run(stage));
        Assert.Equal("it was interrupted", runner.Decide(stage).Reason);
    }

    [Fact]
    public void Outputs_that_a_stage_no_longer_makes_are_removed()
    {
        using var run = RunFolder.Create(_folder["run"]);
        var runner = new StageRunner(run);
        Stage Shards(int count) => new()
        {
            Name = "shards",
            Options = new JsonObject { ["count"] = count },
            Run = context => Enumerable.Range(0, count).ToList().ForEach(shard => context.WriteText($"shards/{shard}.txt", $"{shard}")),
        };
        runner.Run(Shards(3));
        runner.Run(Shards(1));
        Assert.Equal(["0.txt"], Directory.GetFiles(_folder["run/shards"]).Select(Path.GetFileName));
    }

    [Fact]
    public void A_folder_of_outputs_is_recorded_file_by_file()
    {
        using var run = RunFolder.Create(_folder["run"]);
        var stage = new Stage { Name = "adapter", Run = context => context.WriteFolder("adapter", folder => { File.WriteAllText(Path.Combine(folder, "b.json"), "b"); File.WriteAllText(Path.Combine(folder, "a.json"), "a"); }) };
        var outcome = new StageRunner(run).Run(stage);
        Assert.Equal(["adapter/a.json", "adapter/b.json"], outcome.Record.Outputs.Select(output => output.Path));
        Assert.Equal("a", File.ReadAllText(run.Need("adapter/a.json")));
        Assert.Empty(Directory.GetDirectories(run.Path, "*partial*"));
    }

    [Fact]
    public void Two_runs_of_the_same_have_the_same_content_hash_whatever_their_place_and_time()
    {
        Audit();
        var first = Read().ContentHash;
        Directory.Delete(_folder["run"], recursive: true);
        Directory.CreateDirectory(_folder["elsewhere"]);
        Thread.Sleep(5);
        Audit();
        Assert.Equal(first, Read().ContentHash);
        _rank = 9;
        Audit();
        Assert.NotEqual(first, Read().ContentHash);
    }

    [Fact]
    public void A_stage_before_its_inputs_is_a_programming_mistake()
    {
        using var run = RunFolder.Create(_folder["run"]);
        Assert.Throws<InvalidOperationException>(() => new StageRunner(run).Run(new Stage { Name = "codes", DependsOn = ["rows"], Run = _ => { } }));
    }

    private GradientAtoms.Runs.Manifest.RunManifest Read() => RunFolder.OpenRead(_folder["run"]).Manifest;

    private SortedDictionary<string, string> Snapshot() =>
        new(Directory.GetFiles(_folder["run"], "*", SearchOption.AllDirectories).ToDictionary(file => file, File.ReadAllText), StringComparer.Ordinal);
}
