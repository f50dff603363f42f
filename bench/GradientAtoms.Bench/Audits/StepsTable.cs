using System.Globalization;
using System.Text.Json;

namespace GradientAtoms.Bench.Audits;

/// <summary>The table of <see cref="StepsCommand"/>'s results, in Markdown.</summary>
internal static class StepsTable
{
    public static int Print(string path)
    {
        using var json = JsonDocument.Parse(File.ReadAllText(path));
        var rows = json.RootElement.GetProperty("rows").EnumerateArray().Select(row => (
            Task: row.GetProperty("Task").GetString()!,
            Arm: row.GetProperty("Arm").GetString()!,
            Share: row.GetProperty("Share").GetDouble(),
            On: row.GetProperty("On").GetDouble(),
            OnPole: Number(row.GetProperty("OnPole")),
            Off: row.GetProperty("Off").GetDouble())).ToList();
        Console.WriteLine("| task (F1; reference's F1) | on-target documents (on the pole) | data, more: on-target at .12 .25 .5 1 | of those on the pole | off-target | data, less: on-target | reference, more | reference off-target | natural | mean | best of 20 random | gains more than random and off-target | KL share that reaches the reference's best |");
        Console.WriteLine("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
        foreach (var target in json.RootElement.GetProperty("targets").EnumerateArray())
        {
            var task = target.GetProperty("Task").GetString()!;
            string Series(string arm, Func<(string, string, double, double On, double OnPole, double Off), double> value, bool less = false) => string.Join(' ', rows
                .Where(row => row.Task == task && row.Arm == arm && (row.Share < 0) == less)
                .OrderBy(row => Math.Abs(row.Share))
                .Select(row => value(row).ToString("+.00;-.00;.00", CultureInfo.InvariantCulture)));
            var data = rows.Where(row => row.Task == task && row.Arm == "data" && row.Share > 0).OrderBy(row => row.Share).ToList();
            var best = data.MaxBy(row => row.On);
            var random = rows.Where(row => row.Task == task && row.Arm.StartsWith("random", StringComparison.Ordinal)).Select(row => row.On).DefaultIfEmpty(double.NaN).Max();
            var theirs = rows.Where(row => row.Task == task && row.Arm == "reference" && row.Share > 0).Max(row => row.On);
            var theirShare = rows.First(row => row.Task == task && row.Arm == "reference" && row.On == theirs).Share;
            var reaching = data.Where(row => row.On >= theirs).Select(row => (double?)row.Share).FirstOrDefault();
            // KL goes with the square of the step; both directions are calibrated to the same KL at share 1.
            var ratio = reaching is { } share ? share * share / (theirShare * theirShare) : double.NaN;
            Console.WriteLine(FormattableString.Invariant(
                $"| {task} ({target.GetProperty("F1").GetDouble():.00}; {target.GetProperty("ReferenceF1").GetDouble():.00}) | {target.GetProperty("On").GetInt32()} ({target.GetProperty("OnPole").GetInt32()}) | {Series("data", row => row.On)} | {Series("data", row => row.OnPole)} | {Series("data", row => row.Off)} | {Series("data", row => row.On, less: true)} | {Series("reference", row => row.On)} | {Series("reference", row => row.Off)} | {Series("natural", row => row.On)} | {Series("mean", row => row.On)} | {random:+.00;-.00;.00} | {(best.On > random && best.On > best.Off ? "yes" : "no")} | {(double.IsNaN(ratio) ? "not reached" : ratio.ToString(".000", CultureInfo.InvariantCulture))} |"));
        }

        return 0;
    }

    private static double Number(JsonElement element) => element.ValueKind == JsonValueKind.Number ? element.GetDouble() : double.NaN;
}
