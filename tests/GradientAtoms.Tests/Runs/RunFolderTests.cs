using System.Diagnostics;
using System.Text.Json.Nodes;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Files;

namespace GradientAtoms.Tests.Runs;

public sealed class RunFolderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_manifest_reads_back_as_it_was_written()
    {
        using (var run = RunFolder.Create(_folder["run"]))
        {
            run.Describe(new JsonObject { ["sparsity"] = 0.1, ["atoms"] = 200 }, seed: 7);
            run.Save();
        }

        var read = RunFolder.OpenRead(_folder["run"]).Manifest;
        Assert.Equal(7, read.Seed);
        Assert.Equal("""{"atoms":200,"sparsity":0.1}""", RunJson.Canonical(read.Options));
        Assert.Equal(Environment.Version.ToString(), read.Versions["dotnet"]);
        Assert.Equal(["dotnet", "gatoms", "torch", "torchsharp"], read.Versions.Keys);
    }

    [Fact]
    public void A_second_writer_is_refused_and_told_who_the_first_is()
    {
        using var first = RunFolder.Create(_folder["run"]);
        var error = Assert.Throws<RunFolderException>(() => RunFolder.Create(_folder["run"]));
        Assert.Equal("GA2603", error.Code);
        Assert.Contains($"process {Environment.ProcessId} ", error.Problem, StringComparison.Ordinal);
        Assert.NotNull(RunFolder.OpenRead(_folder["run"]));
    }

    [Fact]
    public void A_lock_is_given_back()
    {
        RunFolder.Create(_folder["run"]).Dispose();
        Assert.False(File.Exists(_folder["run/run.lock"]));
        using var second = RunFolder.Open(_folder["run"]);
        Assert.True(File.Exists(_folder["run/run.lock"]));
    }

    [Theory]
    [InlineData("999999999 1 {host}")]
    [InlineData("{live} 1 {host}")]
    [InlineData("1 1 elsewhere")]
    [InlineData("not a lock")]
    [InlineData("")]
    public void A_lock_of_a_dead_process_is_taken_over(string owner)
    {
        // A live process with another start time has only got the id of a dead one.
        using var other = Process.Start(new ProcessStartInfo("sleep", "30"))!;
        RunFolder.Create(_folder["run"]).Dispose();
        _folder.Write("run/run.lock", owner.Replace("{host}", Environment.MachineName, StringComparison.Ordinal).Replace("{live}", $"{other.Id}", StringComparison.Ordinal));
        using (var run = RunFolder.Open(_folder["run"]))
        {
            Assert.StartsWith($"{Environment.ProcessId} ", File.ReadAllText(_folder["run/run.lock"]), StringComparison.Ordinal);
        }

        other.Kill();
    }

    [Fact]
    public void A_lock_of_a_live_process_holds_even_where_the_file_system_does_not_lock()
    {
        using var other = Process.Start(new ProcessStartInfo("sleep", "30"))!;
        RunFolder.Create(_folder["run"]).Dispose();
        _folder.Write("run/run.lock", $"{other.Id} {other.StartTime.ToUniversalTime().Ticks} {Environment.MachineName}\n");
        Assert.Equal("GA2603", Assert.Throws<RunFolderException>(() => RunFolder.Open(_folder["run"])).Code);
        other.Kill();
    }

    [Fact]
    public void What_a_crash_left_is_removed_and_nothing_else()
    {
        RunFolder.Create(_folder["run"]).Dispose();
        _folder.Write("run/gradients/.block-00001.safetensors.12-3.gatoms-partial", "half");
        _folder.Write("run/.adapter.gatoms-partial/adapter_config.json", "half");
        _folder.Write("run/.x.1-2.gatoms-partial.77.abc.tmp", "half");
        _folder.Write("run/notes.txt", "mine");
        using var run = RunFolder.Open(_folder["run"]);
        Assert.Equal([".lock", "notes.txt", "run.json", "run.lock"], Directory.GetFiles(_folder["run"], "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(_folder["run"], file)).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_folder_of_other_files_is_not_taken_for_a_run()
    {
        _folder.Write("photos/cat.jpg", "cat");
        Assert.Equal("GA2601", Assert.Throws<RunFolderException>(() => RunFolder.Create(_folder["photos"])).Code);
        Assert.Equal("GA2601", Assert.Throws<RunFolderException>(() => RunFolder.Create(_folder["photos/cat.jpg"])).Code);
        Assert.Equal("GA2606", Assert.Throws<RunFolderException>(() => RunFolder.OpenRead(_folder["photos"])).Code);
        Assert.Equal("GA2606", Assert.Throws<RunFolderException>(() => RunFolder.Open(_folder["absent"])).Code);
        Assert.Equal(["cat.jpg"], Directory.GetFileSystemEntries(_folder["photos"]).Select(Path.GetFileName));
    }

    [Theory]
    [InlineData("", "GA2604")]
    [InlineData("null", "GA2604")]
    [InlineData("[]", "GA2604")]
    [InlineData("{}x", "GA2604")]
    [InlineData("""{"schema":"other","version":1}""", "GA2604")]
    [InlineData("""{"schema":"gatoms/run","version":1,"stages":[null]}""", "GA2604")]
    [InlineData("""{"schema":"gatoms/run","version":1,"stages":[{"name":"a"}]}""", "GA2604")]
    [InlineData("""{"schema":"gatoms/run","version":1,"stages":null}""", "GA2604")]
    [InlineData("""{"schema":"gatoms/run","version":2,"stages":[]}""", "GA2605")]
    public void A_damaged_or_newer_manifest_is_a_coded_error_and_stays_as_it_was(string text, string code)
    {
        _folder.Write("run/run.json", text);
        Assert.Equal(code, Assert.Throws<RunFolderException>(() => RunFolder.Open(_folder["run"])).Code);
        Assert.Equal(code, Assert.Throws<RunFolderException>(() => RunFolder.OpenRead(_folder["run"])).Code);
        Assert.Equal(text, File.ReadAllText(_folder["run/run.json"]));
        Assert.False(File.Exists(_folder["run/run.lock"]));
    }

    [Fact]
    public void A_path_may_not_lead_out_of_the_run()
    {
        using var run = RunFolder.Create(_folder["run"]);
        Assert.Equal("GA2604", Assert.Throws<RunFolderException>(() => run.PathOf("../other")).Code);
        Assert.Equal("GA2604", Assert.Throws<RunFolderException>(() => run.PathOf("/etc/passwd")).Code);
        Assert.Equal(_folder["run/gradients/block-00000.safetensors"], run.PathOf("gradients/block-00000.safetensors"));
    }

    [Fact]
    public void A_writer_that_fails_leaves_the_old_file()
    {
        var path = _folder.Write("file.txt", "old");
        Assert.Throws<InvalidOperationException>(() => AtomicFile.Write(path, stream =>
        {
            stream.WriteByte(1);
            throw new InvalidOperationException();
        }));
        Assert.Equal("old", File.ReadAllText(path));
        Assert.Equal([path], Directory.GetFiles(_folder.Path));
        AtomicFile.WriteText(path, "new");
        Assert.Equal("new", File.ReadAllText(path));
    }
}
