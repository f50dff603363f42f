using System.Globalization;
using GradientAtoms.Models;
using GradientAtoms.Models.Checkpoints;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms inspect MODEL --check EXPECTED</c>: a model's logits beside stored ones.</summary>
internal static class ModelCheckReport
{
    public static void Run(CommandContext context, string model, string expected, string? adapter, double tolerance)
    {
        var result = ModelCheck.Run(model, expected, adapter, tolerance, context.CancellationToken);
        var worst = result.Worst;
        context.Print(
            "gatoms/inspect",
            new { Kind = "check", Path = model, Expected = expected, result.Adapter, result.Passed, worst.LargestDifference, result.Tolerance, Documents = result.Differences },
            writer =>
            {
                var table = new TextTable("stored", "tokens", "largest difference", "at token", "entry").Right(1, 2, 3, 4);
                foreach (var one in result.Differences)
                {
                    table.Add(one.Name, Plain.Count(one.Tokens), Number(one.LargestDifference), Plain.Count(one.Position), one.TokenId.ToString(CultureInfo.InvariantCulture));
                }

                table.Write(writer);
                writer.WriteLine($"adapter {result.Adapter ?? "none"}");
                writer.WriteLine($"largest difference {Number(worst.LargestDifference)} of a logit, allowed {Number(tolerance)}: {(result.Passed ? "the same model" : "NOT the same")}");
            });
        if (!result.Passed)
        {
            throw new CheckpointException(
                "GA2351", model, $"a logit of {worst.Name} is off by {Number(worst.LargestDifference)}, allowed is {Number(tolerance)}",
                "Check that the answer was computed from the same files, in float32, one document at a time without padding; 16-bit arithmetic is off by .01 and more.");
        }
    }

    private static string Number(double value) => value.ToString("0.0e+0", CultureInfo.InvariantCulture);
}
