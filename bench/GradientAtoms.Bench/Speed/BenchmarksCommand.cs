using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using GradientAtoms.Bench.Audits;
using GradientAtoms.Bench.Scoring;

namespace GradientAtoms.Bench.Speed;

/// <summary><c>benchmarks</c>: all of them one after another, into <c>docs/benchmarks.md</c>.</summary>
internal static class BenchmarksCommand
{
    public static int Run(Arguments arguments)
    {
        var page = new StringBuilder();
        void Part(string title, string what, Func<string> table)
        {
            Console.Error.WriteLine(title);
            page.Append(CultureInfo.InvariantCulture, $"\n## {title}\n\n{what}\n\n{table()}\n");
        }

        page.Append(CultureInfo.InvariantCulture, $"""
            # Benchmarks

            Written by `bench benchmarks`; each figure is a ratio within one run, since seconds are those of a machine: {Cpu()}, {Peer.Threads} threads, {RuntimeInformation.OSDescription}, .NET {Environment.Version}. The peers are Debian's `python3-torch`, `python3-sklearn` and `python3-numpy`, given the same numbers; where they compute the same thing the results are compared, and a benchmark whose results differ fails.

            ```
            apt-get install python3-torch python3-sklearn python3-numpy
            dotnet run -c Release --project bench/GradientAtoms.Bench -- benchmarks --run RUN --tiny RUN [--planned RUN,RUN..] --out docs/benchmarks.md
            ```

            """);
        const string pass = "Per-document gradients of all LoRA parameters. The reference's loop (`bench/peers/reference_loop.py`) takes a document at a time, forms logits at every position and asks autograd for every LoRA gradient. Operations are counted as 4 a body parameter and token and 4 a head parameter and predicting position, beside this machine's best rate in products of 2,048 x 2,048 matrices in the same process. Losses and gradient norms of every document agree.";
        Part("The gradient pass, SmolLM2-135M", pass, () => PassCommand.Table(arguments.Need("run"), arguments.Text("model"), arguments.Integer("documents", 150), arguments.Integer("rounds", 3), 1024, withPeer: true));
        Part("The gradient pass, the built-in model", pass, () => PassCommand.Table(arguments.Need("tiny"), null, arguments.Integer("tiny-documents", 1000), arguments.Integer("rounds", 3), 4096, withPeer: true));
        Part(
            "The dictionary",
            "`MiniBatchDictionaryLearning` with the reference's settings (LARS) and by coordinate descent, against our learner, on rows planted as in the recorded fixture: unit rows, each three of 375 unit atoms and a tenth of noise. Penalty .1, one start. *No higher*: the fewest rounds of ours after which the objective is no higher than that of the line above.",
            () => string.Join('\n', [DictionaryCommand.Heading, .. arguments.Numbers("sizes", "6800,5000").Select(size => DictionaryCommand.Line(5000, (int)size, 500, 0.1, 0, ["lars", "cd"]))]));
        Part("What the learner costs", "One of documents, numbers a row and atoms varied at a time, from 1,000, 1,000 and 100.", () => CurvesCommand.Table(1000, 1000, 100, [0.5, 1, 2, 4]));
        Part("Curvature", "One map of the size of a lora_A: covariances of its tokens, their eigenbases, and gradients rotated into them.", () => AlgebraCommand.Table(16384, 1500, 8, [576, 1536]));
        if (arguments.Text("planned") is { } runs)
        {
            Part("What was planned, and what it took", "Runs planned from a probe of a few seconds (`run.json` keeps both). Time and memory are of the stages that are planned; the disk is what a run takes at most, beside what is there at its end.", () => PlannedCommand.Table(runs.Split(',')));
        }

        File.WriteAllText(arguments.Need("out"), page.ToString());
        return 0;
    }

    private static string Cpu() => File.Exists("/proc/cpuinfo")
        ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[1].Trim() ?? "unknown processor"
        : "unknown processor";
}
