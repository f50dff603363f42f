using System.Text.Json;
using GradientAtoms.Cli;

namespace GradientAtoms.Tests.Cli;

public sealed class CliHostTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("gatoms-tests-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Each_kind_of_error_has_its_exit_code()
    {
        foreach (var (code, expected) in ((string, int)[])[("GA1001", 2), ("GA2301", 3), ("GA3001", 4), ("GA4001", 5), ("GA5001", 6), ("XX9999", 1)])
        {
            var run = CliRun.Of(["fake"], [Fake(_ => throw new GradientAtomsException(code, "train.jsonl:12", "has [brackets] in it", "take them out"))]);
            Assert.Equal(expected, run.ExitCode);
            Assert.Equal($"error {code}: train.jsonl:12\n  has [brackets] in it\n  fix: take them out\n", run.Error.ReplaceLineEndings("\n"));
            Assert.Empty(run.Out);
        }
    }

    [Fact]
    public void An_error_with_json_is_one_object_on_stdout_and_still_text_on_stderr()
    {
        var run = CliRun.Of(["fake", "--json"], [Fake(_ => throw new GradientAtomsException("GA2301", "model", "is missing", "fetch it"))]);
        var json = JsonDocument.Parse(run.Out).RootElement;
        Assert.Equal("gatoms/error", json.GetProperty("schema").GetString());
        Assert.Equal(1, json.GetProperty("version").GetInt32());
        Assert.Equal("GA2301", json.GetProperty("code").GetString());
        Assert.Equal("model", json.GetProperty("location").GetString());
        Assert.Equal("is missing", json.GetProperty("problem").GetString());
        Assert.Equal("fetch it", json.GetProperty("remedy").GetString());
        Assert.Equal(3, json.GetProperty("exit_code").GetInt32());
        Assert.StartsWith("error GA2301: model", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void An_unexpected_failure_asks_for_a_report_and_keeps_its_details_in_a_file()
    {
        var run = CliRun.Of(["fake"], [Fake(_ => throw new InvalidOperationException("secret detail"))], _folder);
        Assert.Equal(1, run.ExitCode);
        Assert.DoesNotContain("InvalidOperationException", run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("secret detail", run.Error, StringComparison.Ordinal);
        Assert.Contains("report", run.Error, StringComparison.Ordinal);
        var log = Assert.Single(Directory.GetFiles(_folder));
        Assert.Contains(log, run.Error, StringComparison.Ordinal);
        Assert.Contains("secret detail", File.ReadAllText(log), StringComparison.Ordinal);
        Assert.Contains("secret detail", CliRun.Of(["fake", "--verbose"], [Fake(_ => throw new InvalidOperationException("secret detail"))], _folder).Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_full_disk_and_missing_memory_are_over_the_budget_and_a_forbidden_file_is_configuration()
    {
        Assert.Equal(4, CliRun.Of(["fake"], [Fake(_ => throw new IOException("No space left on device", 28))]).ExitCode);
        Assert.Equal(4, CliRun.Of(["fake"], [Fake(_ => throw new TorchFailure("[enforce fail] . DefaultCPUAllocator: not enough memory: you tried to allocate 99 bytes."))]).ExitCode);
        Assert.Equal(2, CliRun.Of(["fake"], [Fake(_ => throw new UnauthorizedAccessException("Access to '/x' is denied."))]).ExitCode);
    }

    [Fact]
    public void An_interruption_ends_with_130_and_says_that_the_same_command_continues()
    {
        using var source = new CancellationTokenSource();
        var command = new GatomsCommand("fake", "For tests.") { Continues = true };
        command.Body = context =>
        {
            source.Cancel();
            context.CancellationToken.ThrowIfCancellationRequested();
        };
        var run = CliRun.Of(["fake", "--json"], [command.Finished()], cancellationToken: source.Token);
        Assert.Equal(130, run.ExitCode);
        Assert.Contains("the same command continues", run.Error, StringComparison.Ordinal);
        Assert.Equal(130, JsonDocument.Parse(run.Out).RootElement.GetProperty("exit_code").GetInt32());
    }

    [Fact]
    public void A_result_is_one_json_object_whose_absent_numbers_are_absent()
    {
        var run = CliRun.Of(["fake", "--json"], [Fake(context => context.Print("gatoms/fake", new { MeanLoss = 1.5, Share = (double?)null, Name = "<ä>" }, _ => Assert.Fail("text was asked for")))]);
        Assert.Equal(0, run.ExitCode);
        var json = JsonDocument.Parse(run.Out).RootElement;
        Assert.Equal(["schema", "version", "mean_loss", "name"], json.EnumerateObject().Select(property => property.Name), StringComparer.Ordinal);
        Assert.Equal("<ä>", json.GetProperty("name").GetString());
        Assert.Empty(run.Error);
    }

    [Theory]
    [InlineData("audit", "--modle", "x")]
    [InlineData("audit")]
    [InlineData("steeer")]
    [InlineData("atoms")]
    [InlineData("audit", "--model", "m", "--data", "d", "--out", "o", "--limit", "0")]
    [InlineData("audit", "--model", "m", "--data", "d", "--out", "o", "--memory", "lots")]
    [InlineData("audit", "--model", "m", "--data", "d", "--out", "o", "--held-out", "120%")]
    [InlineData("audit", "--model", "m", "--data", "d", "--out", "o", "--coordinates", "all")]
    [InlineData("audit", "--model", "m", "--data", "d", "--out", "o", "--atoms", "-3")]
    [InlineData("steer", "run", "a+", "--kl", "0", "--prompt", "x")]
    [InlineData("export", "onnx", "run")]
    public void Arguments_that_cannot_be_read_are_usage_errors(params string[] arguments)
    {
        var run = CliRun.Of(arguments);
        Assert.Equal(2, run.ExitCode);
        Assert.StartsWith("error GA1001: gatoms", run.Error, StringComparison.Ordinal);
        Assert.Contains("\n  fix: ", run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("System.", run.Error, StringComparison.Ordinal);
        Assert.Empty(run.Out);
    }

    [Fact]
    public void A_misspelt_option_or_command_is_answered_with_the_nearest_one()
    {
        Assert.Contains("did you mean --model?", CliRun.Of("audit", "--modle", "x").Error, StringComparison.Ordinal);
        Assert.Contains("did you mean steer?", CliRun.Of("steeer").Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_command_has_help_with_examples_and_says_every_option()
    {
        var names = CliHost.Commands().Select(command => command.Name).ToArray();
        Assert.Equal(["demo", "audit", "plan", "submit", "tune", "inspect", "atoms", "tokens", "docs", "steer", "sweep", "export", "serve", "label", "timeline", "verify", "doctor"], names, StringComparer.Ordinal);
        foreach (var command in CliHost.Commands())
        {
            var help = CliRun.Of(command.Name, "--help");
            Assert.Equal(0, help.ExitCode);
            Assert.Contains($"  gatoms {command.Name}", help.Out, StringComparison.Ordinal);
            Assert.NotEmpty(command.Examples);
            foreach (var option in command.Options)
            {
                Assert.False(string.IsNullOrWhiteSpace(option.Description), $"{command.Name} {option.Name} has no description");
                Assert.Contains(option.Name, help.Out, StringComparison.Ordinal);
            }
        }

        Assert.Equal(0, CliRun.Of("--help").ExitCode);
        Assert.All(names, name => Assert.Contains($"  {name} ", CliRun.Of("--help").Out, StringComparison.Ordinal));
    }

    [Fact]
    public void The_examples_can_be_parsed()
    {
        foreach (var example in CliHost.Commands().SelectMany(command => command.Examples))
        {
            var words = System.CommandLine.Parsing.CommandLineParser.SplitCommandLine(example).ToArray();
            Assert.Equal("gatoms", words[0]);
            var commands = CliHost.Commands();
            foreach (var command in commands)
            {
                command.Body = context => context.Host.Out.Write("ran");
            }

            var run = CliRun.Of(words[1..], commands);
            Assert.True(run is { ExitCode: 0, Out: "ran" }, $"{example}: {run.Error}");
        }
    }

    [Theory]
    [InlineData("6GiB", 6L << 30)]
    [InlineData("6G", 6L << 30)]
    [InlineData("1.5 MiB", 3L << 19)]
    [InlineData("500MB", 500_000_000)]
    [InlineData("4096", 4096)]
    public void Sizes_are_read_in_either_kind_of_unit(string text, long expected)
    {
        Assert.True(Opt.TryParseSize(text, out var bytes));
        Assert.Equal(expected, bytes);
    }

    [Theory]
    [InlineData("")]
    [InlineData("GiB")]
    [InlineData("-1G")]
    [InlineData("6 potatoes")]
    [InlineData("99999999999T")]
    public void Sizes_that_are_none_are_refused(string text) => Assert.False(Opt.TryParseSize(text, out _));

    private sealed class TorchFailure(string message) : Exception(message);

    private static GatomsCommand Fake(Action<CommandContext> body)
    {
        var command = new GatomsCommand("fake", "For tests.") { Body = body };
        return command.Finished();
    }
}
