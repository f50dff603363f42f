using System.Diagnostics;
using GradientAtoms.Tests.Runs;
using GradientAtoms.Tests.Support;

namespace GradientAtoms.Tests.Submit;

/// <summary>A Slurm of one node on real daemons, where Slurm is installed and the tests run as root; else its tests are skipped.</summary>
public sealed class SlurmCluster : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public SlurmCluster()
    {
        if (Missing() is { } missing)
        {
            WhyNot = missing;
            return;
        }

        var (code, output) = Run(Script, "start", _folder.Path);
        WhyNot = code == 0 ? null : $"the cluster of one node does not start: {output}";
    }

    /// <summary>Null where the cluster is up.</summary>
    public string? WhyNot { get; }

    private static string Script => Path.Combine(Fixtures.RepositoryRoot, "eng", "slurm-one-node.sh");

    public string Configuration => Path.Combine(_folder.Path, "slurm.conf");

    /// <summary>Runs a program that finds the cluster.</summary>
    /// <returns>Exit code, and both outputs.</returns>
    public (int Code, string Output) Run(string program, params string[] arguments)
    {
        using var process = Start(program, arguments);
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.GetAwaiter().GetResult());
    }

    public Process Start(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        start.Environment["SLURM_CONF"] = Configuration;
        start.Environment["OMP_NUM_THREADS"] = "1";
        return Process.Start(start)!;
    }

    public void Dispose()
    {
        if (Missing() is null)
        {
            Run("scancel", "--user=root");
            Run(Script, "stop", _folder.Path);
        }

        _folder.Dispose();
    }

    private static string? Missing()
    {
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? string.Empty).Split(Path.PathSeparator).Append("/usr/sbin");
        var absent = ((string[])["munged", "mungekey", "slurmctld", "slurmd", "sbatch"]).FirstOrDefault(program => !folders.Any(folder => File.Exists(Path.Combine(folder, program))));
        return absent is not null ? $"{absent} is not installed (Debian: slurm-wlm, munge)"
            : Environment.UserName == "root" ? null : "slurmd wants root";
    }
}
