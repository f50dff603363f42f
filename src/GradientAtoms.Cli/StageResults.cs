using System.Text.Json.Nodes;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Cli;

/// <summary>What became of a run's stages, as <c>audit</c> and <c>tune</c> print it.</summary>
internal static class StageResults
{
    /// <summary>For JSON.</summary>
    public static IEnumerable<object> Of(AuditResult result) => result.Stages.Select(stage => new
    {
        stage.Record.Name,
        Reused = stage.Decision.Reuse,
        stage.Decision.Reason,
        stage.Record.Seconds,
        stage.Record.PeakMemoryBytes,
        stage.Record.Checks,
        stage.Record.Notes,
    });

    /// <summary>For a reader: whether anything was done, the self-checks, and what of the adapter one has to know.</summary>
    public static void Write(TextWriter writer, AuditResult result, string run)
    {
        if (result.NothingToDo)
        {
            writer.WriteLine($"{run}: everything was there already, from the same inputs and options; nothing was computed");
        }

        foreach (var (stage, check) in result.Stages.SelectMany(stage => stage.Record.Checks.Select(check => (stage.Record.Name, check))))
        {
            writer.WriteLine($"self-check {stage}/{check.Name}: {(check.Passed ? "passed" : "FAILED")} ({Plain.Line(check.Detail)})");
        }

        if (result.Stages.FirstOrDefault(stage => stage.Record.Name == "sizes")?.Record.Notes is { } sizes)
        {
            writer.WriteLine($"sizes tried: {Plain.Line((string)sizes["why"]!)} (gatoms inspect {run} shows the curve)");
        }

        var adapter = result.Stages.Select(stage => stage.Record).FirstOrDefault(record => record.Name == "adapter")?.Notes;
        if ((bool?)adapter?["changes_nothing"] == true)
        {
            writer.WriteLine("adapter: changes nothing (every lora_B is zero); only lora_B has a gradient there");
        }

        if (adapter?["trained_but_not_analysed"] is JsonArray saved)
        {
            writer.WriteLine($"adapter: trained but not analysed: {string.Join(", ", saved.Select(module => Plain.Line((string?)module ?? string.Empty)))}");
        }
    }
}
