using System.Runtime.Versioning;
using GradientAtoms.Runs.Submit;
using GradientAtoms.Tests.Runs;
using YamlDotNet.Serialization;

namespace GradientAtoms.Tests.Submit;

/// <summary>
/// The manifests of a run, parsed by a YAML reader that is not ours and held against the fields that the reference of the
/// Kubernetes API documents (batch/v1 Job, core/v1 PodSpec and Container). No cluster has seen them.
/// </summary>
[UnsupportedOSPlatform("windows")]
public sealed class KubernetesTests
{
    private static readonly Dictionary<string, string[]> Documented = new(StringComparer.Ordinal)
    {
        [""] = ["apiVersion", "kind", "metadata", "spec", "status"],
        ["metadata"] = ["name", "namespace", "labels", "annotations"],
        ["spec"] =
        [
            "activeDeadlineSeconds", "backoffLimit", "backoffLimitPerIndex", "completionMode", "completions", "managedBy", "manualSelector", "maxFailedIndexes",
            "parallelism", "podFailurePolicy", "podReplacementPolicy", "selector", "successPolicy", "suspend", "template", "ttlSecondsAfterFinished",
        ],
        ["spec.podFailurePolicy"] = ["rules"],
        ["spec.podFailurePolicy.rules"] = ["action", "onExitCodes", "onPodConditions"],
        ["spec.podFailurePolicy.rules.onExitCodes"] = ["containerName", "operator", "values"],
        ["spec.podFailurePolicy.rules.onPodConditions"] = ["type", "status"],
        ["spec.template"] = ["metadata", "spec"],
        ["spec.template.metadata"] = ["name", "labels", "annotations"],
        ["spec.template.spec"] = ["restartPolicy", "containers", "volumes", "initContainers", "nodeSelector", "tolerations", "serviceAccountName", "securityContext"],
        ["spec.template.spec.containers"] = ["name", "image", "command", "args", "workingDir", "env", "resources", "volumeMounts", "imagePullPolicy"],
        ["spec.template.spec.containers.resources"] = ["requests", "limits", "claims"],
        ["spec.template.spec.containers.resources.requests"] = ["cpu", "memory"],
        ["spec.template.spec.containers.resources.limits"] = ["cpu", "memory"],
        ["spec.template.spec.containers.volumeMounts"] = ["name", "mountPath", "readOnly", "subPath"],
        ["spec.template.spec.volumes"] = ["name", "persistentVolumeClaim"],
        ["spec.template.spec.volumes.persistentVolumeClaim"] = ["claimName", "readOnly"],
    };

    private static KubernetesOptions Options(bool second = false) => new()
    {
        Submit = new()
        {
            Out = "/data/runs/mine",
            Arguments = ["--model", "/data/my model", "--data", "/data/it's.jsonl", "--chat-template", "a: \"b\" # {c}", "--out", "/data/runs/mine"],
            Program = ["gatoms"],
            WorkingFolder = "/data",
            Shards = 6,
            HasSecondPass = second,
            Cpus = 4,
            Memory = 8L << 30,
        },
        Image = "registry.example/gatoms:0.1",
        Claim = "audits",
        Namespace = "audits",
        Parallelism = 3,
    };

    private static List<(string File, Dictionary<object, object> Job)> Parse(KubernetesOptions options) =>
        [.. KubernetesManifests.Make(options).Select(manifest => (manifest.File, new DeserializerBuilder().WithAttemptingUnquotedStringTypeDeserialization().Build().Deserialize<Dictionary<object, object>>(manifest.Yaml)))];

    private static T At<T>(object node, params object[] path) => (T)path.Aggregate(node, (at, key) => key is int index ? ((List<object>)at)[index] : ((Dictionary<object, object>)at)[key]);

    [Fact]
    public void Every_field_is_one_that_the_reference_documents()
    {
        foreach (var (file, job) in Parse(Options(second: true)))
        {
            Check(file, string.Empty, job);
            Assert.Equal(("batch/v1", "Job"), (At<string>(job, "apiVersion"), At<string>(job, "kind")));
            Assert.Equal("Never", At<string>(job, "spec", "template", "spec", "restartPolicy")); // podFailurePolicy asks for it
            Assert.Matches("^[a-z]([-a-z0-9]*[a-z0-9])?$", At<string>(job, "metadata", "name"));
            Assert.Equal(At<string>(job, "spec", "template", "spec", "volumes", 0, "name"), At<string>(job, "spec", "template", "spec", "containers", 0, "volumeMounts", 0, "name"));
            Assert.Equal(At<string>(job, "spec", "template", "spec", "containers", 0, "name"), At<string>(job, "spec", "podFailurePolicy", "rules", 1, "onExitCodes", "containerName"));
        }
    }

    [Fact]
    public void Steps_of_shards_are_indexed_jobs_and_the_others_are_not()
    {
        var jobs = Parse(Options(second: true));
        Assert.Equal(["1-prepare.yaml", "2-covariances.yaml", "3-curvature.yaml", "4-sketches.yaml", "5-finish.yaml"], jobs.Select(job => job.File));
        Assert.Equal(["1-prepare.yaml", "2-covariances.yaml", "3-finish.yaml"], Parse(Options()).Select(job => job.File));
        foreach (var (file, job) in jobs)
        {
            var spec = At<Dictionary<object, object>>(job, "spec");
            var isIndexed = file.Contains("covariances", StringComparison.Ordinal) || file.Contains("sketches", StringComparison.Ordinal);
            Assert.Equal(isIndexed, spec.ContainsKey("completionMode"));
            Assert.Equal(isIndexed ? "backoffLimitPerIndex" : "backoffLimit", spec.Keys.Single(key => ((string)key).StartsWith("backoffLimit", StringComparison.Ordinal)));
            if (isIndexed)
            {
                Assert.Equal(("Indexed", 6, 3, 2), (At<string>(spec, "completionMode"), Number(spec["completions"]), Number(spec["parallelism"]), Number(spec["backoffLimitPerIndex"])));
            }
        }
    }

    [Fact]
    public void Arguments_come_through_yaml_and_shell_as_they_were_and_the_index_is_the_part()
    {
        var jobs = Parse(Options());
        Assert.Equal([.. (string[])["gatoms", "audit"], .. Options().Submit.Arguments], At<List<object>>(jobs[2].Job, "spec", "template", "spec", "containers", 0, "command"));
        var command = At<List<object>>(jobs[1].Job, "spec", "template", "spec", "containers", 0, "command");
        Assert.Equal(["/bin/sh", "-c"], command.Take(2));

        // What the pod's shell makes of it.
        using var folder = new TemporaryFolder();
        var program = folder.Write("gatoms", "#!/bin/sh\nfor word in \"$@\"; do echo \"<$word>\"; done\n");
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var start = new System.Diagnostics.ProcessStartInfo("/bin/sh", ["-c", (string)command[2]]) { RedirectStandardOutput = true, UseShellExecute = false };
        start.Environment["JOB_COMPLETION_INDEX"] = "5";
        start.Environment["PATH"] = folder.Path;
        using var process = System.Diagnostics.Process.Start(start)!;
        Assert.Equal($"<audit>\n{string.Concat(Options().Submit.Arguments.Select(word => $"<{word}>\n"))}<--shard>\n<6/6>\n", process.StandardOutput.ReadToEnd());
    }

    [Fact]
    public void The_script_applies_the_jobs_in_order_and_waits_for_each()
    {
        var lines = KubernetesManifests.Script(Options()).Split('\n');
        Assert.Equal(
            ["kubectl apply --namespace audits -f 1-prepare.yaml", "kubectl apply --namespace audits -f 2-covariances.yaml", "kubectl apply --namespace audits -f 3-finish.yaml"],
            lines.Where(line => line.StartsWith("kubectl apply", StringComparison.Ordinal)));
        Assert.Contains(lines, line => line.Contains("kubectl wait --namespace audits --for=condition=complete", StringComparison.Ordinal) && line.Contains("job/gatoms-covariances", StringComparison.Ordinal));
    }

    [Fact]
    public void A_name_that_kubernetes_does_not_take_is_refused()
    {
        foreach (var wrong in new[]
        {
            Options() with { Claim = "My Claim" }, Options() with { Image = "an image" }, Options() with { Image = string.Empty },
            Options() with { Namespace = "a/b" }, Options() with { MountPath = "data" }, Options() with { Name = "-x" },
        })
        {
            Assert.Equal("GA1011", Assert.Throws<SubmitException>(() => KubernetesManifests.Make(wrong)).Code);
        }
    }

    private static void Check(string file, string path, object node)
    {
        switch (node)
        {
            case Dictionary<object, object> map:
                foreach (var (key, value) in map)
                {
                    if (!path.EndsWith("labels", StringComparison.Ordinal))
                    {
                        Assert.True(Documented.TryGetValue(path, out var fields) && fields.Contains((string)key, StringComparer.Ordinal), $"{file}: {path} has no field {key}");
                    }

                    Check(file, path.Length == 0 ? (string)key : $"{path}.{key}", value);
                }

                break;
            case List<object> list:
                list.ForEach(item => Check(file, path, item));
                break;
        }
    }

    private static int Number(object value) => Convert.ToInt32(value, System.Globalization.CultureInfo.InvariantCulture);
}
