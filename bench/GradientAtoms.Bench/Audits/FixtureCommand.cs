using System.Globalization;
using System.Text.Json;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Coordinates;
using GradientAtoms.Models.Checkpoints;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Pipeline;
using static TorchSharp.torch;

namespace GradientAtoms.Bench.Audits;

/// <summary>
/// <c>fixture</c>: a run against an audit that was computed by PyTorch, one document at a time (fixtures/smollm2-audit): the
/// largest error of every quantity beside what the fixture allows.
/// </summary>
internal static class FixtureCommand
{
    private const double LossTolerance = 1e-4;
    private const double NormTolerance = 1e-3;
    private const double CosineTolerance = 2e-3;
    private const double EigenvalueTolerance = 1e-2;

    public static int Run(Arguments arguments)
    {
        using var scope = NewDisposeScope();
        using var session = new RunSession(arguments.Need("run"), arguments.Text("model"));
        var fixture = arguments.Need("fixture");
        using var expected = SafetensorsFile.Open(Path.Combine(fixture, "expected.safetensors"));
        using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(fixture, "expected.json")));
        var table = new ErrorTable();
        Documents(session, expected, table);
        Curvature(session, json.RootElement, table);
        Cosines(session, expected, table);
        return table.Print();
    }

    // The fixture has the documents in file order, so that line n is its row n - 1; a run leaves duplicates out.
    private static void Documents(RunSession session, SafetensorsFile expected, ErrorTable table)
    {
        var rows = DocumentsFile.Read(session.Folder.Need(RunFiles.Documents)).Where(row => row.Status == "used").ToList();
        double[] Of(string name) => expected.ReadRaw(name).to(ScalarType.Float64).data<double>().ToArray();
        var (losses, norms, tokens) = (Of("loss_sum"), Of("gradient_norm"), Of("tokens"));
        rows = [.. rows.Where(row => row.SourceRow <= losses.Length)];
        Console.WriteLine($"{rows.Count} of the fixture's {losses.Length} documents are in the run");
        foreach (var row in rows)
        {
            var at = row.SourceRow - 1;
            table.Add("tokens of a document (differ by)", Math.Abs(row.Tokens - tokens[at]), 0);
            table.Add("loss of a document (relative)", Relative(row.Loss!.Value, losses[at]), LossTolerance, string.Create(CultureInfo.InvariantCulture, $"line {row.SourceRow}: {row.Loss:g6}, expected {losses[at]:g6}"));
            table.Add("gradient norm of a document (relative)", Relative(row.GradientNorm!.Value, norms[at]), NormTolerance, string.Create(CultureInfo.InvariantCulture, $"line {row.SourceRow}"));
        }
    }

    private static void Curvature(RunSession session, JsonElement expected, ErrorTable table)
    {
        table.Add("mean λ (relative)", Relative(session.Eigenvalues.mean().item<double>(), expected.GetProperty("mean_lambda").GetDouble()), EigenvalueTolerance);
        var first = session.Rows.ReadRows([IndexOfLine(session, 1)]);
        var modules = expected.GetProperty("modules");
        foreach (var map in session.Layout.Maps)
        {
            using var scope = NewDisposeScope();
            var wanted = modules.GetProperty(map.Name);
            var eigenvalues = session.Eigenvalues.narrow(0, map.Offset, map.Size);
            void Compare(string what, string name, params double[] found)
            {
                var values = wanted.GetProperty(name) is { ValueKind: JsonValueKind.Array } array ? [.. array.EnumerateArray().Select(value => value.GetDouble())] : (double[])[wanted.GetProperty(name).GetDouble()];
                for (var i = 0; i < values.Length; i++)
                {
                    table.Add(what, Relative(found[i], values[i]), name == "gradient_norm_doc0" ? NormTolerance : EigenvalueTolerance, map.Name);
                }
            }

            Compare("mean λ of a map (relative)", "mean_lambda", eigenvalues.mean().item<double>());
            Compare("five largest λ of a map (relative)", "top_lambda", Largest(eigenvalues));
            Compare("trace of an input covariance (relative)", "input_covariance_trace", session.Bases.Input(map).Values.sum().item<double>());
            Compare("five largest input eigenvalues (relative)", "input_eigenvalues_top", Largest(session.Bases.Input(map).Values));
            Compare("trace of a gradient covariance (relative)", "gradient_covariance_trace", session.Bases.Output(map).Values.sum().item<double>());
            Compare("five largest gradient eigenvalues (relative)", "gradient_eigenvalues_top", Largest(session.Bases.Output(map).Values));
            Compare("norm of document 0 in a map (relative)", "gradient_norm_doc0", first.narrow(1, map.Offset, map.Size).norm().item<float>());
        }
    }

    private static void Cosines(RunSession session, SafetensorsFile expected, ErrorTable table)
    {
        var raw = expected.ReadRaw("raw_cosine");
        var count = (int)raw.shape[0];
        var rows = session.Rows.ReadRows([.. Enumerable.Range(1, count).Select(line => IndexOfLine(session, line))]).to(ScalarType.Float64); // [64, d]
        table.Add($"cosines of the first {count} documents", Largest(raw, CosinesOf(rows)), CosineTolerance);
        foreach (var damping in (string[])["0.001", "0.1", "1"])
        {
            using var scope = NewDisposeScope();
            using var whitening = Whitening.Ekfac(session.Eigenvalues, double.Parse(damping, CultureInfo.InvariantCulture));
            var white = rows * whitening.Scale;
            var norms = expected.ReadRaw($"whitened_norm_{damping}").to(ScalarType.Float64);
            table.Add($"whitened cosines, damping {damping}", Largest(expected.ReadRaw($"whitened_cosine_{damping}"), CosinesOf(white)), CosineTolerance);
            table.Add($"whitened norms, damping {damping} (relative)", ((white.norm(1) - norms).abs() / norms).max().item<double>(), NormTolerance);
        }
    }

    private static Tensor CosinesOf(Tensor rows)
    {
        var unit = rows / rows.norm(1, keepdim: true);
        return unit.matmul(unit.t());
    }

    private static double Largest(Tensor expected, Tensor found) => (expected.to(ScalarType.Float64) - found).abs().max().item<double>();

    private static double[] Largest(Tensor values) => values.topk(5).values.data<double>().ToArray();

    private static double Relative(double found, double expected) => Math.Abs(found - expected) / Math.Max(Math.Abs(expected), 1e-300);

    private static int IndexOfLine(RunSession session, int line)
    {
        var index = session.Texts.ToList().FindIndex(text => text.Line == line);
        return index >= 0 ? index : throw new ArgumentException($"the run does not have line {line} of the data among its documents");
    }

    /// <summary>The largest error of each quantity, in the order of their first appearance.</summary>
    private sealed class ErrorTable
    {
        private readonly List<string> _names = [];
        private readonly Dictionary<string, (double Error, double Tolerance, string Where, int Beyond, int Count)> _errors = new(StringComparer.Ordinal);

        public void Add(string name, double error, double tolerance, string where = "")
        {
            if (!_errors.TryGetValue(name, out var worst))
            {
                _names.Add(name);
                worst = (-1, tolerance, "", 0, 0);
            }

            // What is not a number is beyond any tolerance.
            error = double.IsNaN(error) ? double.PositiveInfinity : error;
            var beyond = worst.Beyond + (error > tolerance ? 1 : 0);
            _errors[name] = error > worst.Error ? (error, tolerance, where, beyond, worst.Count + 1) : (worst.Error, tolerance, worst.Where, beyond, worst.Count + 1);
        }

        public int Print()
        {
            Console.WriteLine("\n| quantity | values | largest error | tolerance | beyond it | where |\n| --- | ---: | ---: | ---: | ---: | --- |");
            foreach (var name in _names)
            {
                var (error, tolerance, where, beyond, count) = _errors[name];
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {name} | {count} | {error:0.0e+0} | {tolerance:0.0e+0} | {beyond} | {where} |"));
            }

            return _errors.Values.All(worst => worst.Beyond == 0) ? 0 : 1;
        }
    }
}
