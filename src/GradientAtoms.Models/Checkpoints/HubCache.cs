using System.Text.RegularExpressions;

namespace GradientAtoms.Models.Checkpoints;

/// <summary>The local cache of the Hugging Face hub. Only looked at: nothing is ever fetched.</summary>
internal static partial class HubCache
{
    /// <summary>A path, or an <c>org/name</c> that is in the cache.</summary>
    /// <param name="model">What the user named.</param>
    /// <param name="environment">Reads an environment variable; that of the process where null.</param>
    /// <returns>A file or folder that exists.</returns>
    /// <exception cref="CheckpointException">GA2340: neither a path nor in the cache.</exception>
    public static string Resolve(string model, Func<string, string?>? environment = null)
    {
        if (File.Exists(model) || Directory.Exists(model))
        {
            return model;
        }

        if (!RepositoryName().IsMatch(model))
        {
            throw new CheckpointException("GA2340", model, "there is no such file or folder", "Name a Hugging Face folder, a GGUF file, or org/name of a model in the local Hugging Face cache.");
        }

        var cache = Folder(environment ?? Environment.GetEnvironmentVariable);
        var repository = Path.Combine(cache, $"models--{model.Replace("/", "--", StringComparison.Ordinal)}");
        var reference = Path.Combine(repository, "refs", "main");
        if (File.Exists(reference))
        {
            var commit = File.ReadAllText(reference).Trim();
            var snapshot = Path.Combine(repository, "snapshots", commit);
            if (Commit().IsMatch(commit) && Directory.Exists(snapshot))
            {
                return snapshot;
            }
        }

        throw new CheckpointException("GA2340", model, $"is neither a path nor in the local Hugging Face cache ({cache})", $"Fetch it: hf download {model}");
    }

    private static string Folder(Func<string, string?> environment)
    {
        if (environment("HF_HUB_CACHE") is { Length: > 0 } cache)
        {
            return cache;
        }

        if (environment("HF_HOME") is { Length: > 0 } home)
        {
            return Path.Combine(home, "hub");
        }

        var caches = environment("XDG_CACHE_HOME") is { Length: > 0 } xdg ? xdg : Path.Combine(environment("HOME") ?? environment("USERPROFILE") ?? ".", ".cache");
        return Path.Combine(caches, "huggingface", "hub");
    }

    [GeneratedRegex("^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex RepositoryName();

    [GeneratedRegex("^[0-9A-Za-z._-]+$", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Commit();
}
