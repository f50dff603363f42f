using System.Net;
using System.Text.Json.Nodes;
using GradientAtoms.Runs;
using GradientAtoms.Tests.Adapters;
using GradientAtoms.Tests.Support;
using static TorchSharp.torch;

namespace GradientAtoms.Tests.Cli;

/// <summary>What one has to know of an adapter is said where it is met: by <c>inspect</c>, by <c>audit</c> and in the report.</summary>
public sealed class AdapterNotesTests
{
    private const string Nothing = "nothing (every lora_B is zero)";

    [Fact]
    public void An_adapter_that_changes_nothing_is_audited_and_said_to_change_nothing()
    {
        using var audit = new ChatAudit();
        audit.WriteAdapter(audit.Adapter, seed: 3, adapter => adapter.Modules.ToList().ForEach(module => module.B.zero_()));
        Assert.Contains("nothing: every lora_B is zero", CliRun.Of("inspect", audit.Adapter).Out, StringComparison.Ordinal);
        Assert.True((bool)Json("inspect", audit.Adapter, "--json")["changes_nothing"]!);

        var run = Audit(audit);
        Assert.Contains($"adapter: changes {Nothing}", run.Out, StringComparison.Ordinal);
        Assert.Contains($"changes {Nothing}", Report(audit), StringComparison.Ordinal);

        // Said again where nothing is left to do, and to programs.
        Assert.Contains($"adapter: changes {Nothing}", Audit(audit).Out, StringComparison.Ordinal);
        var stages = JsonNode.Parse(Audit(audit, "--json").Out)!["stages"]!.AsArray();
        Assert.True((bool)stages.Single(stage => (string?)stage!["name"] == "adapter")!["notes"]!["changes_nothing"]!);

        // It is true: of the maps, only those of lora_B have gradients.
        foreach (var line in stages.Single(stage => (string?)stage!["name"] == "coordinates")!["notes"]!["ledger"]!.AsArray())
        {
            Assert.Equal(((string)line!["map"]!).EndsWith("lora_B", StringComparison.Ordinal), (double)line["raw_energy"]! > 0);
        }
    }

    [Fact]
    public void A_module_trained_whole_changes_something_and_is_said_not_to_be_analysed()
    {
        using var scope = NewDisposeScope();
        using var audit = new ChatAudit();
        audit.WriteAdapter(audit.Adapter, seed: 3, adapter => adapter.Modules.ToList().ForEach(module => module.B.zero_()));
        MergedModelTests.SaveModule(audit.Adapter, "model.norm", ones(Some.TinyLlama().HiddenSize) * 1.5);
        Assert.DoesNotContain("every lora_B is zero", CliRun.Of("inspect", audit.Adapter).Out, StringComparison.Ordinal);
        var run = Audit(audit);
        Assert.Contains("adapter: trained but not analysed: norm", run.Out, StringComparison.Ordinal);
        Assert.DoesNotContain(Nothing, run.Out, StringComparison.Ordinal);
        Assert.DoesNotContain(Nothing, Report(audit), StringComparison.Ordinal);
    }

    [Fact]
    public void Of_an_adapter_that_changes_something_nothing_is_said()
    {
        using var audit = new ChatAudit();
        Assert.DoesNotContain("adapter: ", Audit(audit).Out, StringComparison.Ordinal);
        Assert.False((bool)Json("inspect", audit.Adapter, "--json")["changes_nothing"]!);
    }

    private static CliRun Audit(ChatAudit audit, params string[] more)
    {
        var run = CliRun.Of([
            "audit", "--model", audit.Model, "--data", audit.Data, "--adapter", audit.Adapter, "--out", audit.Folder["run"],
            "--atoms", "4", "--nonzeros", "1.5", "--starts", "1", "--nulls", "0", .. more]);
        Assert.True(run.ExitCode == 0, run.Error);
        return run;
    }

    private static JsonNode Json(params string[] arguments)
    {
        var run = CliRun.Of(arguments);
        Assert.True(run.ExitCode == 0, run.Error);
        return JsonNode.Parse(run.Out)!;
    }

    private static string Report(ChatAudit audit) => WebUtility.HtmlDecode(File.ReadAllText(Path.Combine(audit.Folder["run"], RunFiles.Report)));
}
