using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using GradientAtoms.Runs.Files;

namespace GradientAtoms.Runs.Submit;

/// <summary>
/// The manifests of a run, one Job a step (<c>batch/v1</c>); the steps of shards are indexed Jobs whose pods learn their part from
/// <c>JOB_COMPLETION_INDEX</c>. Kubernetes has no order of Jobs: a script applies each when the one before is complete.
/// </summary>
/// <remarks>https://kubernetes.io/docs/concepts/workloads/controllers/job/; <c>backoffLimitPerIndex</c> is on by default since 1.29.</remarks>
public static partial class KubernetesManifests
{
    /// <summary>Every manifest: its file name and its YAML.</summary>
    /// <param name="options">How.</param>
    /// <exception cref="SubmitException">GA1011: a name or a size is none that Kubernetes takes.</exception>
    public static IReadOnlyList<(string File, string Yaml)> Make(KubernetesOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Check("--name", options.Name, DnsLabel().IsMatch(options.Name) && options.Name.Length <= 40, "lower-case letters, digits and hyphens, 40 at most, a letter first");
        Check("--claim", options.Claim, DnsLabel().IsMatch(options.Claim), "the name of a persistent volume claim");
        Check("--image", options.Image, options.Image.Length > 0 && !options.Image.Any(char.IsWhiteSpace), "the name of an image");
        Check("--mount", options.MountPath, options.MountPath.StartsWith('/') && !options.MountPath.Contains(':', StringComparison.Ordinal), "an absolute path");
        Check("--namespace", options.Namespace ?? "default", DnsLabel().IsMatch(options.Namespace ?? "default"), "the name of a namespace");
        return [.. JobPlan.Steps(options.Submit).Select((step, index) => (string.Create(CultureInfo.InvariantCulture, $"{index + 1}-{step.Name}.yaml"), Yaml(Job(options, step))))];
    }

    /// <summary>A shell script that applies the manifests one after another.</summary>
    /// <param name="options">How.</param>
    public static string Script(KubernetesOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        List<string> lines =
        [
            "#!/bin/sh",
            "# Applies the Jobs of a run, each when the one before is complete. A Job that has failed ends it; delete that Job and run this again.",
            "set -e",
            "cd \"$(dirname \"$0\")\"",
        ];
        var where = options.Namespace is { } name ? $" --namespace {ShellText.Quote(name)}" : string.Empty;
        foreach (var (file, step) in Make(options).Select(manifest => manifest.File).Zip(JobPlan.Steps(options.Submit)))
        {
            var job = $"job/{options.Name}-{step.Name}";
            lines.Add($"kubectl apply{where} -f {file}");

            // `kubectl wait` knows one condition at a time, and a Job that has failed never completes.
            lines.Add($"until kubectl wait{where} --for=condition=complete --timeout=10s {job} >/dev/null 2>&1; do");
            lines.Add($"  if kubectl wait{where} --for=condition=failed --timeout=1s {job} >/dev/null 2>&1; then echo '{job} has failed: kubectl logs{where} {job}' >&2; exit 1; fi");
            lines.Add("done");
            lines.Add($"echo '{job} is complete'");
        }

        return string.Join('\n', lines) + "\n";
    }

    /// <summary>Writes manifests and script.</summary>
    /// <param name="options">How.</param>
    /// <param name="folder">Where they go.</param>
    /// <returns>The files, the script last.</returns>
    public static IReadOnlyList<string> Write(KubernetesOptions options, string folder)
    {
        var files = Make(options).Append(("submit.sh", Script(options))).Select(file => (Path: Path.Combine(Path.GetFullPath(folder), file.Item1), Text: file.Item2)).ToList();
        foreach (var (path, text) in files)
        {
            AtomicFile.WriteText(path, text);
        }

        return [.. files.Select(file => file.Path)];
    }

    private static JsonObject Job(KubernetesOptions options, JobStep step)
    {
        var submit = options.Submit;
        var words = ShellText.Join([.. submit.Program, "audit", .. submit.Arguments, .. step.Arguments]);
        JsonArray command = step.Shards is { } shards
            ? ["/bin/sh", "-c", string.Create(CultureInfo.InvariantCulture, $"exec {words} \"$((JOB_COMPLETION_INDEX + 1))/{shards}\"")] // the index begins at 0
            : [.. ((IEnumerable<string>)[.. submit.Program, "audit", .. submit.Arguments, .. step.Arguments]).Select(word => (JsonNode)word)];
        var container = new JsonObject
        {
            ["name"] = "gatoms",
            ["image"] = options.Image,
            ["command"] = command,
            ["workingDir"] = submit.WorkingFolder,
            ["volumeMounts"] = new JsonArray(new JsonObject { ["name"] = "run", ["mountPath"] = options.MountPath }),
        };
        if (Resources(submit) is { Count: > 0 } resources)
        {
            // What is asked for is also the limit: a pod is not evicted for what it was promised.
            container["resources"] = new JsonObject { ["requests"] = resources, ["limits"] = resources.DeepClone() };
        }

        var spec = new JsonObject();
        if (step.Shards is { } count)
        {
            spec["completionMode"] = "Indexed";
            spec["completions"] = count;
            spec["parallelism"] = Math.Min(options.Parallelism ?? count, count);
            spec["backoffLimitPerIndex"] = options.Attempts - 1;
        }
        else
        {
            spec["backoffLimit"] = options.Attempts - 1;
        }

        // A pod that is pushed aside by the cluster has not failed, and bad arguments or data do not get better by another try.
        spec["podFailurePolicy"] = new JsonObject
        {
            ["rules"] = new JsonArray(
                new JsonObject { ["action"] = "Ignore", ["onPodConditions"] = new JsonArray(new JsonObject { ["type"] = "DisruptionTarget" }) },
                new JsonObject { ["action"] = "FailJob", ["onExitCodes"] = new JsonObject { ["containerName"] = "gatoms", ["operator"] = "In", ["values"] = new JsonArray(2, 4, 5) } }),
        };
        var labels = new JsonObject { ["app.kubernetes.io/name"] = "gatoms", ["app.kubernetes.io/component"] = step.Name };
        spec["template"] = new JsonObject
        {
            ["metadata"] = new JsonObject { ["labels"] = labels },
            ["spec"] = new JsonObject
            {
                ["restartPolicy"] = "Never",
                ["containers"] = new JsonArray(container),
                ["volumes"] = new JsonArray(new JsonObject { ["name"] = "run", ["persistentVolumeClaim"] = new JsonObject { ["claimName"] = options.Claim } }),
            },
        };
        var metadata = new JsonObject { ["name"] = $"{options.Name}-{step.Name}", ["labels"] = labels.DeepClone() };
        if (options.Namespace is { } name)
        {
            metadata["namespace"] = name;
        }

        return new() { ["apiVersion"] = "batch/v1", ["kind"] = "Job", ["metadata"] = metadata, ["spec"] = spec };
    }

    private static JsonObject Resources(SubmitOptions submit)
    {
        var resources = new JsonObject();
        if (submit.Cpus is { } cpus)
        {
            resources["cpu"] = cpus.ToString(CultureInfo.InvariantCulture);
        }

        if (submit.Memory is { } bytes)
        {
            resources["memory"] = $"{((bytes + (1 << 20) - 1) >> 20).ToString(CultureInfo.InvariantCulture)}Mi";
        }

        return resources;
    }

    // Block style; every text is quoted as JSON quotes it, which YAML reads as the same text.
    private static string Yaml(JsonNode node)
    {
        var text = new System.Text.StringBuilder();
        WriteNode(text, node, 0, startsLine: true);
        return text.ToString();
    }

    private static void WriteNode(System.Text.StringBuilder text, JsonNode node, int indent, bool startsLine)
    {
        var first = !startsLine;
        void Begin()
        {
            text.Append(first ? string.Empty : new string(' ', indent));
            first = false;
        }

        switch (node)
        {
            case JsonObject map:
                foreach (var (key, value) in map)
                {
                    Begin();
                    text.Append(key).Append(':');
                    WriteValue(text, value!, indent + 2);
                }

                break;
            case JsonArray list:
                foreach (var item in list)
                {
                    Begin();
                    text.Append("- ");
                    if (item is JsonObject)
                    {
                        WriteNode(text, item, indent + 2, startsLine: false);
                    }
                    else
                    {
                        text.Append(item!.ToJsonString(RunJson.Compact)).Append('\n');
                    }
                }

                break;
        }
    }

    private static void WriteValue(System.Text.StringBuilder text, JsonNode value, int indent)
    {
        if (value is JsonValue)
        {
            text.Append(' ').Append(value.ToJsonString(RunJson.Compact)).Append('\n');
        }
        else
        {
            text.Append('\n');
            WriteNode(text, value, indent, startsLine: true);
        }
    }

    private static void Check(string option, string value, bool isRight, string wanted)
    {
        if (!isRight)
        {
            throw new SubmitException("GA1011", option, $"'{value}' is not {wanted}", "Give one that Kubernetes takes.");
        }
    }

    [GeneratedRegex("^[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?$", RegexOptions.NonBacktracking)]
    private static partial Regex DnsLabel();
}
