using System.Diagnostics;
using System.Text.Json;
using TorchSharp;

namespace GradientAtoms.Bench.Speed;

/// <summary>A Python program under <c>bench/peers</c> that does the same work, as its own process with Debian's interpreter.</summary>
internal static class Peer
{
    // Debian's packages are those of its own interpreter, whatever python3 is first on the path.
    private const string Interpreter = "/usr/bin/python3";

    /// <summary>Runs a peer and reads the JSON object that it prints.</summary>
    /// <param name="script">Its file name.</param>
    /// <param name="arguments">What it is given.</param>
    /// <exception cref="IOException">It is not there, or it failed.</exception>
    public static JsonElement Run(string script, params string[] arguments)
    {
        var start = new ProcessStartInfo(Interpreter) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in (string[])[PathOf(script), .. arguments])
        {
            start.ArgumentList.Add(argument);
        }

        start.Environment["PYTHONDONTWRITEBYTECODE"] = "1"; // no cache beside the sources
        using var process = Process.Start(start) ?? throw new IOException($"{Interpreter} could not be started");
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? JsonSerializer.Deserialize<JsonElement>(output)
            : throw new IOException($"{script} failed (apt-get install python3-torch python3-sklearn python3-numpy): {errors.Result.Trim().Split('\n')[^1]}");
    }

    private static string PathOf(string script)
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var path = Path.Combine(folder.FullName, "bench", "peers", script);
            if (File.Exists(path))
            {
                return path;
            }
        }

        throw new IOException($"bench/peers/{script} is not above {AppContext.BaseDirectory}");
    }

    /// <summary>The threads that both sides get.</summary>
    public static int Threads => torch.get_num_threads();
}
