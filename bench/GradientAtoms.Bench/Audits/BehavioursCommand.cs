using System.Globalization;
using System.Text.Json;
using GradientAtoms.Atoms;
using GradientAtoms.Bench.Scoring;
using GradientAtoms.Evaluation;
using GradientAtoms.Evaluation.Sweeps;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Bench.Audits;

/// <summary>
/// The poles whose behaviour a detector can see: of each detector the certified pole that it tells best from all other documents,
/// by the answers of the data, and as many of those as are asked for; then the poles of the reference's five behaviours that are
/// not among them, certified or not. Questions on target are documents that were not seen, of the task that the pole matches best;
/// off target, of all others. Labels choose questions and nothing else.
/// </summary>
internal static class BehavioursCommand
{
    private static readonly string[] Reference = ["bullets", "numbered", "refusal", "yes_no", "code"];

    // Others say the same thing of less: a first word of yes is yes_no's already.
    private static readonly string[] Parts = ["yes", "no"];

    private sealed record Found(Atom Atom, Pole Pole, DetectorContrast Contrast, string Task, double F1, int Documents);

    public static int Run(Arguments arguments)
    {
        using var session = new RunSession(arguments.Need("run"));
        var labels = ScoringFiles.Labels(arguments.Need("labels"), int.MaxValue).ToDictionary(row => row.Id, row => row.Task, StringComparer.Ordinal);
        var tasks = session.Texts.Select(text => labels[text.Id]).ToList();
        var detectors = Detectors.BuiltIn.Where(detector => !Parts.Contains(detector.Name)).ToList();
        var shown = detectors.ToDictionary(detector => detector.Name, detector => session.Texts.Select(text => detector.IsShownBy(text.Answer)).ToArray(), StringComparer.Ordinal);

        var all = new List<(bool Certified, Found Found)>();
        foreach (var (atom, pole) in session.Atoms.SelectMany(atom => atom.Poles.Select(pole => (atom, pole))))
        {
            var own = Enumerable.Range(0, session.Texts.Count).Where(document =>
            {
                var place = session.Codes.AtomsOf(document).IndexOf(atom.Row);
                return place >= 0 && Math.Sign(session.Codes.CodesOf(document)[place]) == pole.Sign;
            }).ToHashSet();
            if (own.Count < 4)
            {
                continue;
            }

            var (task, f1) = tasks.Distinct(StringComparer.Ordinal).Where(name => name != "general")
                .Select(name => (name, F1: 2.0 * own.Count(document => tasks[document] == name) / (own.Count + tasks.Count(other => other == name)))).MaxBy(pair => pair.F1);
            all.AddRange(detectors.Select(detector => (pole.Certified == true, new Found(
                atom,
                pole,
                new(detector, Rate(own.Select(document => shown[detector.Name][document])), Rate(Enumerable.Range(0, tasks.Count).Where(document => !own.Contains(document)).Select(document => shown[detector.Name][document]))),
                task,
                f1,
                own.Count))));
        }

        // The strongest first, each pole and each detector once.
        var chosen = new List<Found>();
        void Choose(IEnumerable<Found> from, int most)
        {
            foreach (var item in from.OrderByDescending(item => item.Contrast.Difference).ThenByDescending(item => item.F1))
            {
                if (chosen.Count < most && !chosen.Exists(other => other.Pole.Id == item.Pole.Id || other.Contrast.Detector.Name == item.Contrast.Detector.Name))
                {
                    chosen.Add(item);
                }
            }
        }

        Choose(all.Where(item => item.Certified && item.Found.Contrast.Difference >= 0.2).Select(item => item.Found), arguments.Integer("poles", 10));
        Choose(all.Select(item => item.Found).Where(item => Reference.Contains(item.Contrast.Detector.Name)), int.MaxValue);
        Write(arguments, chosen, labels);
        Console.WriteLine("| pole | detector | of its documents' answers | of others' | documents | certified | task (F1) |");
        Console.WriteLine("| --- | --- | --- | --- | --- | --- | --- |");
        foreach (var item in chosen)
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"| {item.Pole.Id} | {item.Contrast.Detector.Name} | {item.Contrast.Own.Rate:p0} | {item.Contrast.Others.Rate:p1} | {item.Documents} | {(item.Pole.Certified == true ? "yes" : "no")} | {item.Task} ({item.F1:.00}) |"));
        }

        return 0;
    }

    private static Proportion Rate(IEnumerable<bool> values) => Proportion.Of([.. values], value => value);

    private static void Write(Arguments arguments, List<Found> poles, Dictionary<string, string> labels)
    {
        var (first, longest) = (arguments.Integer("first", 2001), arguments.Integer("longest", 600));
        var unseen = DocumentReader.Read(arguments.Need("data")).Documents
            .Where(document => document.Line >= first && document.Messages is [{ Content.Length: > 0 } prompt, ..] && prompt.Content.Length <= longest).ToList();
        using var file = new StreamWriter(arguments.Need("out"));
        foreach (var pole in poles)
        {
            var on = unseen.Where(document => labels[document.Id] == pole.Task).Take(arguments.Integer("on", 40));

            // Every pole has the same ones but for those of its own task: answers without a step are shared.
            var others = unseen.Where((_, place) => place % 7 == 0).Where(document => labels[document.Id] != pole.Task).Take(arguments.Integer("off", 40));
            foreach (var (document, group) in on.Select(document => (document, "on")).Concat(others.Select(document => (document, "off"))))
            {
                file.WriteLine(JsonSerializer.Serialize(new { id = document.Id, prompt = document.Messages![0].Content, group, pole = pole.Pole.Id }));
            }
        }
    }
}
