using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using GradientAtoms.Models.Native;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Manifest;

namespace GradientAtoms.Runs.Stages;

/// <summary>Runs stages of a run in their order: reuses what the same inputs have made, does the rest and says why.</summary>
/// <param name="folder">The run, open for writing.</param>
public sealed class StageRunner(RunFolder folder)
{
    /// <summary>The run whose stages this one's read, where that is another.</summary>
    internal RunFolder? Upstream { get; init; }

    /// <summary>What would be done with a stage now, and why. Hashes its input files.</summary>
    /// <param name="stage">The stage; those that it depends on must be done.</param>
    /// <param name="cancellationToken">Ends the hashing of input files.</param>
    /// <exception cref="RunFolderException">GA2608: an input file is missing or cannot be read.</exception>
    public StageDecision Decide(IStage stage, CancellationToken cancellationToken = default) => Decide(stage, Describe(stage, cancellationToken));

    /// <summary>Runs a stage, or reuses what is there.</summary>
    /// <param name="stage">The stage; those that it depends on must be done.</param>
    /// <param name="decided">Told what is done and why, before it is done; or null.</param>
    /// <param name="progress">Given to the stage.</param>
    /// <param name="cancellationToken">Given to the stage; what it had finished as blocks or state is kept.</param>
    /// <exception cref="RunFolderException">GA2608: an input file is missing or cannot be read.</exception>
    public StageOutcome Run(IStage stage, Action<StageDecision>? decided = null, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        var before = folder.Manifest.Stage(stage.Name);
        var record = Describe(stage, cancellationToken);
        var decision = Decide(stage, record);
        decided?.Invoke(decision);
        if (decision.Reuse)
        {
            StageLeftovers.Remove(folder, before!);
            return new(decision, before!);
        }

        record = record with { Reason = decision.Reason, StartedAt = DateTime.UtcNow.ToString("O", CultureInfo.InvariantCulture) };

        // The manifest keeps the old record until the first old output is replaced: a stage that fails before that leaves the run as it was.
        // From then on the record is `running`, with the old outputs named so that they can be removed.
        void BeforeFirstOutput() => folder.Update(manifest => manifest.With(record with { Status = "running", Outputs = before?.Outputs ?? [] }));
        var context = new StageContext(folder, stage.Name, record.InputHash, stage.DependsOn, BeforeFirstOutput, progress, cancellationToken) { Described = record };
        var watch = Stopwatch.StartNew();
        ProcessMemory.ResetPeak();
        try
        {
            stage.Execute(context);
            record = record with
            {
                Status = "done",
                Outputs = context.CollectOutputs(),
                Notes = (JsonObject)context.Notes.DeepClone(),
                Checks = [.. context.Checks],
                Seconds = Math.Round(watch.Elapsed.TotalSeconds, 3),
                PeakMemoryBytes = ProcessMemory.Peak(),
            };
        }
        catch (Exception exception)
        {
            if (context.Touched)
            {
                folder.Update(manifest => manifest.With(manifest.Stage(stage.Name)! with { Status = exception is OperationCanceledException ? "interrupted" : "failed" }));
            }

            throw;
        }

        // Before the record says done, so that a kill in between leaves a stage that is run again, not files that nothing names.
        RemoveAbandoned(before, record);
        folder.Update(manifest => manifest.With(record));
        context.Finish(); // a kill before this: StageLeftovers
        FreedMemory.GiveBack();
        return new(decision, record);
    }

    /// <summary>The record of a stage before it is run.</summary>
    internal StageRecord Describe(IStage stage, CancellationToken cancellationToken)
    {
        var upstream = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var name in stage.DependsOn)
        {
            upstream[name] = (Upstream ?? folder).Manifest.Stage(name) is { IsDone: true } done
                ? done.OutputHash
                : throw new InvalidOperationException($"{stage.Name} depends on {name}, which is not done");
        }

        var inputs = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var input in stage.Inputs)
        {
            inputs[input.Name] = InputHashes.Of(folder, input.Path, cancellationToken);
        }

        var options = RunJson.Sorted(stage.Options)!;
        return new()
        {
            Name = stage.Name,
            Version = stage.Version,
            Status = "running",
            Options = options,
            Upstream = upstream,
            Inputs = inputs,
            InputHash = FileHash.OfText(RunJson.Canonical(new JsonObject
            {
                ["name"] = stage.Name,
                ["version"] = stage.Version,
                ["options"] = options.DeepClone(),
                ["upstream"] = Object(upstream),
                ["inputs"] = Object(inputs),
            })),
        };
    }

    private StageDecision Decide(IStage stage, StageRecord now)
    {
        var before = folder.Manifest.Stage(stage.Name);
        var why = before is null ? "not done yet" : Changes(before, now) ?? before.Status switch
        {
            "done" => MissingOutput(before),
            "failed" => "it failed",
            _ => "it was interrupted",
        };
        return new(stage.Name, why is null, why ?? "same inputs", now.InputHash);
    }

    private string? MissingOutput(StageRecord record)
    {
        foreach (var output in record.Outputs)
        {
            var file = new FileInfo(folder.PathOf(output.Path));
            if (!file.Exists)
            {
                return $"output missing: {output.Path}";
            }

            if (file.Length != output.Bytes)
            {
                return $"output changed: {output.Path}";
            }
        }

        return null;
    }

    private static string? Changes(StageRecord before, StageRecord now)
    {
        if (before.InputHash == now.InputHash)
        {
            return null;
        }

        var changes = Differences(before, now);
        return changes.Count > 0 ? string.Join("; ", changes) : "inputs changed";
    }

    /// <summary>In words, what two records of a stage depend on differently.</summary>
    internal static List<string> Differences(StageRecord before, StageRecord now)
    {
        var changes = new List<string>();
        if (before.Version != now.Version)
        {
            changes.Add("this version of gatoms computes it differently");
        }

        var options = OptionChanges.Between(before.Options, now.Options);
        if (options.Count > 0)
        {
            changes.Add("options changed: " + string.Join(", ", options));
        }

        changes.AddRange(Differing(before.Inputs, now.Inputs).Select(name => $"input changed: {name}"));
        changes.AddRange(Differing(before.Upstream, now.Upstream).Select(name => $"{name} changed"));
        return changes;
    }

    private static IEnumerable<string> Differing(SortedDictionary<string, string> before, SortedDictionary<string, string> now) =>
        before.Keys.Union(now.Keys, StringComparer.Ordinal).Order(StringComparer.Ordinal).Where(name => before.GetValueOrDefault(name) != now.GetValueOrDefault(name));

    private static JsonObject Object(SortedDictionary<string, string> values) => new(values.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value)));

    private void RemoveAbandoned(StageRecord? before, StageRecord now)
    {
        var kept = folder.Manifest.Stages.Where(stage => stage.Name != now.Name).Append(now).SelectMany(stage => stage.Outputs).Select(output => output.Path).ToHashSet(StringComparer.Ordinal);
        foreach (var output in (before?.Outputs ?? []).Where(output => !kept.Contains(output.Path)))
        {
            File.Delete(folder.PathOf(output.Path));
        }
    }
}
