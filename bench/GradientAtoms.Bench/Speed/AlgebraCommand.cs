using System.Diagnostics;
using System.Globalization;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Curvature;
using GradientAtoms.Gradients;
using GradientAtoms.Models.Checkpoints;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Speed;

/// <summary><c>algebra</c>: covariances, eigenbases and rotated gradients of one map against numpy, on the same numbers and threads.</summary>
internal static class AlgebraCommand
{
    public static int Run(Arguments arguments)
    {
        Console.WriteLine(Table(arguments.Integer("tokens", 16384), arguments.Integer("documents", 1500), arguments.Integer("rank", 8), [.. arguments.Numbers("sizes", "576,1536").Select(size => (int)size)]));
        return 0;
    }

    /// <summary>The table, in Markdown: the map reads <c>size</c> numbers and gives <c>rank</c>, as lora_A does.</summary>
    public static string Table(int tokens, int documents, int rank, IReadOnlyList<int> sizes)
    {
        var lines = new List<string> { "| step | size | ours, s | numpy, s | times numpy |", "| --- | --- | ---: | ---: | ---: |" };
        foreach (var size in sizes)
        {
            using var scope = NewDisposeScope();
            using var generator = RandomStream.Torch(0, "bench/algebra");
            var layout = new ParameterLayout([new("m.lora_A", "m", rank, size, 0, "m")]);
            var (inputs, outputs) = (randn([tokens, size], generator: generator), randn([tokens, rank], generator: generator));
            var gradients = randn([documents, rank, size], generator: generator);
            var path = Path.GetTempFileName();
            try
            {
                SafetensorsWriter.Write(path, [("inputs", inputs), ("outputs", outputs), ("gradients", gradients)]);
                var peer = Peer.Run("numpy_algebra.py", path, Peer.Threads.ToString(CultureInfo.InvariantCulture));
                using var sums = new CovarianceSums(layout);
                var batch = new GradientBatch([0], [0], [new(layout.Maps[0], inputs.unsqueeze(0), outputs.unsqueeze(0), arange(tokens))]);
                var covariance = Time(() => sums.Accept(batch));
                CurvatureBases bases = null!;
                var eigen = Time(() => bases = CurvatureBases.Fit(layout, sums));
                using (bases)
                {
                    Tensor rotated = null!;
                    var rotation = Time(() => rotated = bases.Rotate(gradients.flatten(1)));
                    double Of(string name) => peer.GetProperty(name).GetDouble();
                    var trace = bases.Bases.Values.Sum(basis => basis.Values.sum().item<double>());
                    var corner = rotated.select(1, -1).abs().sum(ScalarType.Float64).item<double>();
                    if (Math.Abs(trace - Of("trace")) > 1e-4 * trace || Math.Abs(corner - Of("corner")) > 1e-3 * corner)
                    {
                        throw new ArgumentException(FormattableString.Invariant($"traces {trace} and {Of("trace")}, last coordinates {corner} and {Of("corner")}: not the same numbers"));
                    }

                    foreach (var (step, what, ours) in (IEnumerable<(string, string, double)>)[("covariance", $"covariances of {tokens} tokens", covariance), ("eigen", "eigenbases", eigen), ("rotation", $"{documents} gradients rotated", rotation)])
                    {
                        lines.Add(FormattableString.Invariant($"| {what} | {size} x {rank} | {ours:f3} | {Of(step):f3} | {Of(step) / ours:f1} |"));
                    }
                }
            }
            finally
            {
                File.Delete(path);
            }
        }

        return string.Join('\n', lines);
    }

    private static double Time(Action action)
    {
        var watch = Stopwatch.StartNew();
        action();
        return watch.Elapsed.TotalSeconds;
    }
}
