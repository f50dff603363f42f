using System.CommandLine;
using System.Globalization;
using GradientAtoms.Evaluation.Sweeps;
using GradientAtoms.Models.Native;
using GradientAtoms.Runs.Labels;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Sweeps;
using GradientAtoms.Steering;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms sweep</c>: what steps along poles do to answers, by strength, on target and off, beside controls.</summary>
internal static class SweepCommand
{
    public static GatomsCommand Create()
    {
        var defaults = new SweepOptions();
        var run = new Argument<string>("RUN") { Description = "The run folder." };
        var poles = Opt.Ids("POLE", "Poles' ids; an atom's id means both of its poles.");
        var kl = Opt.Text("--kl", "NATS,..", "Strengths, each taken towards more and towards less. Default .05,.1,.2,.5.");
        var questions = Opt.Text("--questions", "FILE", "Prompts, one a line, or JSON Lines with prompt, id, group (on or off) and pole (for one pole only). Default: prompts of the pole's documents, and of others as controls.");
        var count = Opt.Whole("--count", "COUNT", "Questions on target, and off, where they come from documents. Default 40.");
        var maxPromptTokens = Opt.Whole("--max-prompt-tokens", "COUNT", "Documents with longer prompts are passed over. Default 256.");
        var detector = new Option<string[]>("--detector")
        {
            Description = "What to look for in answers: bullets, numbered, refusal, yes_no, code, json, sql, one_word, upper_case, language:NAME, longer:WORDS, contains:TEXT, regex:PATTERN, ... Several: the one that tells the pole's documents best, the others beside it. Default: the best of the built-in ones.",
            HelpName = "NAME",
        };
        var detectors = Opt.Text("--detectors", "FILE", "A JSON file of detectors of your own (docs/steering.md).");
        var judge = Opt.Text("--judge", "QUESTION", "A question that yes or no answers, asked of every answer by a chat model instead of a rule: \"Does the answer refuse?\" Detectors that are named are counted beside it. Sends nothing without --endpoint.");
        var endpoint = new EndpointArguments("--judge-model", "Prompts and answers");
        var random = Opt.Whole("--random", "COUNT", "Random directions at each strength, as controls. Default 1.", least: 0);
        var remove = Opt.Flag("--remove", "Also the adapter with the atom projected out of it.");
        var likelihood = Opt.Flag("--likelihood", "Also how much likelier documents become, of the pole and of others: the fast measure.");
        var noAnswers = Opt.Flag("--no-answers", "With --likelihood: nothing is generated.");
        var maxNewTokens = Opt.Whole("--max-new-tokens", "COUNT", "Length of an answer. Default 64.");
        var temperature = Opt.Number("--temperature", "T", "0 is greedy. Default 0.", least: 0);
        var seed = Opt.Long("--seed", "SEED", "Of sampling, controls and off-target prompts. Default 0.");
        var direction = Opt.Choice("--direction", "How the atom becomes a step (docs/method.md, 7). Default data.", "data", "natural", "gradient", "adam");
        var neutral = Opt.Text("--neutral", "FILE", "Chats or texts that strengths are measured on. Default: those of the run, else built-in ones.");
        var name = Opt.Text("--name", "NAME", "The folder below RUN/sweep. Default: after the poles.");
        var model = Opt.Text("--model", "MODEL", "The model, where it has moved since the audit.");
        var threads = Opt.Whole("--threads", "COUNT", "Processor threads. Default: OMP_NUM_THREADS, else all cores.");
        var command = new GatomsCommand(
            "sweep",
            "Measures what steps along poles do: answers at several strengths towards more and less, on-target and off-target apart, beside random directions of the same strength, with intervals. Every answer is kept; run again, it continues.",
            "gatoms sweep runs/mine a1b2c3+",
            "gatoms sweep runs/mine a1b2c3+ d4e5f6- --kl .05,.2,.5 --detector refusal --likelihood",
            "gatoms sweep runs/mine a1b2c3+ --questions questions.jsonl --detector regex:^Ahoy --temperature 1",
            "gatoms sweep runs/mine a1b2c3+ --judge \"Does the answer give a JSON object?\" --endpoint http://localhost:11434/v1 --judge-model llama3.1")
        {
            Continues = true,
        };
        command.Add(run);
        command.Add(poles);
        foreach (var option in (Option[])[kl, questions, count, maxPromptTokens, detector, detectors, judge, .. endpoint.All, random, remove, likelihood, noAnswers, maxNewTokens, temperature, seed, direction, neutral, name, model, threads])
        {
            command.Add(option);
        }

        command.Body = context =>
        {
            var parse = context.Parse;
            var folder = parse.GetRequiredValue(run);
            var question = parse.GetValue(judge);
            if (question is null ? endpoint.AreGiven(parse) : string.IsNullOrWhiteSpace(question))
            {
                throw UsageException.Combination("gatoms sweep", question is null ? "an endpoint without --judge has nothing to judge" : "--judge wants a question, not nothing", "give --judge a question that yes or no answers");
            }

            var address = endpoint.Read(context, "gatoms sweep");
            using var client = address is null ? null : new EndpointClient(address);
            var options = new SweepOptions
            {
                Poles = parse.GetRequiredValue(poles),
                Name = Name(parse.GetValue(name)),
                Kls = Strengths(parse.GetValue(kl)) ?? defaults.Kls,
                Questions = parse.GetValue(questions),
                Count = parse.GetValue(count) ?? defaults.Count,
                MaxPromptTokens = parse.GetValue(maxPromptTokens) ?? defaults.MaxPromptTokens,
                Detectors = parse.GetValue(detector) ?? [],
                DetectorFile = parse.GetValue(detectors),
                Judge = question is null ? null : new() { Question = question.Trim(), Client = client, Model = endpoint.ModelOf(parse) },
                Random = parse.GetValue(random) ?? defaults.Random,
                Remove = parse.GetValue(remove),
                Answers = !parse.GetValue(noAnswers),
                Likelihood = parse.GetValue(likelihood),
                MaxNewTokens = parse.GetValue(maxNewTokens) ?? defaults.MaxNewTokens,
                Temperature = parse.GetValue(temperature) ?? defaults.Temperature,
                Seed = parse.GetValue(seed) ?? defaults.Seed,
                Mode = Enum.Parse<StepMode>(parse.GetValue(direction) ?? "data", ignoreCase: true),
                Neutral = parse.GetValue(neutral),
            };
            if (!options.Answers && !options.Likelihood)
            {
                throw UsageException.Combination("gatoms sweep", "--no-answers leaves nothing to measure", "give --likelihood too");
            }

            TorchThreads.Use(parse.GetValue(threads));
            using var session = new RunSession(folder, parse.GetValue(model));
            var report = context.Track(ladder => Sweep.Run(session, options, ladder, context.CancellationToken));
            var to = Sweep.FolderOf(session, options);
            context.Print("gatoms/sweep", report, writer =>
            {
                foreach (var pole in report.Poles)
                {
                    Write(writer, pole, report.Judge, context.Host.Width);
                }

                if (report.Judge is { } judged)
                {
                    Write(writer, judged);
                }

                writer.WriteLine($"p is McNemar's, corrected over the {Plain.Count(report.Tests)} steps on target; brackets are intervals of 95 %.");
                writer.WriteLine($"answers, tables and figures: {to}");
            });
            if (address is not null && report.Judge is { } judgement && judgement.Failed + judgement.NotRun > 0)
            {
                throw new LabelException(
                    "GA5056",
                    address.Endpoint.ToString(),
                    $"gave no verdict, which is yes or no, on {Plain.Count(judgement.Failed)} of {Plain.Count(judgement.Yes + judgement.No + judgement.Failed + judgement.NotRun)} answers, and was not asked of {Plain.Count(judgement.NotRun)} after that ({Plain.Line(judgement.Problem ?? "no reason")}); the other verdicts are kept",
                    "Run the same command again, it asks for the missing ones alone; or use another --judge-model, or a question that yes or no answers.");
            }
        };
        return command.Finished();
    }

    private static string? Name(string? name) => name is null || (name.Length is > 0 and < 120 && name.IndexOfAny(['/', '\\', ':']) < 0 && name.Trim('.').Length > 0 && !name.Any(char.IsControl))
        ? name
        : throw UsageException.Combination("gatoms sweep", $"--name {name} is no name of a folder", "give a plain name");

    private static IReadOnlyList<double>? Strengths(string? text)
    {
        if (text is null)
        {
            return null;
        }

        var strengths = new SortedSet<double>();
        foreach (var part in text.Split(','))
        {
            strengths.Add(double.TryParse(part.Trim(), NumberStyles.Float, CultureInfo.InvariantCulture, out var strength) && strength > 0 && double.IsFinite(strength)
                ? strength
                : throw UsageException.Combination("gatoms sweep", $"--kl wants numbers above 0 such as .05,.2,.5, not '{part}'", "each is taken towards more and towards less"));
        }

        return [.. strengths];
    }

    private static void Write(TextWriter writer, SweptPole pole, JudgeReport? judge, int? width)
    {
        writer.WriteLine($"{pole.Pole}{(pole.Keywords is { Count: > 0 } words ? $" ({Plain.Line(string.Join(", ", words.Take(5)))})" : string.Empty)}");
        var contrast = pole.Contrasts.Count > 0 ? pole.Contrasts[0] : null;
        writer.WriteLine(judge is not null ? $"judge{(judge.Model is { } model ? $" {Plain.Line(model)}" : string.Empty)}: {Plain.Line(judge.Question)}"
            : pole.Detector is null
            ? $"no detector tells its documents from others{(contrast is null ? string.Empty : $": the best, {contrast.Detector}, sees {Plain.Percent(contrast.Own)} of them and {Plain.Percent(contrast.Others)} of others")}"
            : $"detector {Plain.Line(pole.Detector)}: {Plain.Line(pole.DetectorAbout ?? string.Empty)}; in the data, {Plain.Percent(contrast!.Own)} of its documents' answers and {Plain.Percent(contrast.Others)} of others'");
        writer.WriteLine($"questions: {Plain.Count(pole.Questions.OnTarget)} on target ({Plain.Count(pole.Questions.OnTargetHeldOut)} of documents that the atoms were not learnt from), {Plain.Count(pole.Questions.OffTarget)} off target");
        var rows = pole.Rows.Where(row => row.Detector == (pole.Detector ?? Detectors.Repetition)).ToLookup(row => (row.Arm, row.Group));
        var table = new TextTable("arm", "KL", "own", "perplexity", "on target", "change", "p", "off target", "change", "repeats").Right(1, 2, 3);
        foreach (var step in pole.Steps)
        {
            var (on, off) = (rows[(step.Arm, SweepGroup.OnTarget)].FirstOrDefault(), rows[(step.Arm, SweepGroup.OffTarget)].FirstOrDefault());
            var repeats = pole.Rows.FirstOrDefault(row => row.Detector == Detectors.Repetition && row.Arm == step.Arm && row.Group == SweepGroup.OnTarget);
            table.Add(
                step.Arm, Number(step.KlNeutral), Number(step.KlOwn), step.Perplexity is { } perplexity ? $"{(perplexity < 0 ? "" : "+")}{Plain.Percent(perplexity)}" : "-",
                Rate(on), Change(on), on?.PCorrected is { } p ? Plain.Short(p) : "-", Rate(off), Change(off), repeats?.Rate is { } rate ? Plain.Percent(rate) : "-");
        }

        table.Write(writer, width);
        foreach (var (label, chosen) in new[] { ("more", pole.More), ("less", pole.Less) })
        {
            if (chosen is not null)
            {
                writer.WriteLine($"{label}: half of the questions choose KL {Plain.Short(chosen.Kl)}; on the other half {Rate(chosen.OnTarget)}, change {Change(chosen.OnTarget)} on target{(chosen.OffTarget is { } off ? $", {Change(off)} off target" : string.Empty)}");
            }
        }

        foreach (var step in pole.Steps.Where(step => step.Failure is not null))
        {
            writer.WriteLine($"failed: {step.Arm}: {Plain.Line(step.Failure!)}");
        }

        if (pole.Likelihood is { } likelihood)
        {
            var changes = new TextTable("arm", "documents of the pole, nats a token", "others").Right(1, 2);
            foreach (var arm in likelihood.GroupBy(entry => entry.Arm, StringComparer.Ordinal))
            {
                string Told(SweepGroup group) => arm.FirstOrDefault(entry => entry.Group == group) is { Change: { } change } entry ? $"{Signed(change)} ± {Plain.Short(entry.Error ?? double.NaN)}" : "failed";
                changes.Add(arm.Key, Told(SweepGroup.OnTarget), Told(SweepGroup.OffTarget));
            }

            changes.Write(writer, width);
        }

        writer.WriteLine();
    }

    private static void Write(TextWriter writer, JudgeReport judge)
    {
        writer.WriteLine($"verdicts: {Plain.Count(judge.Yes)} yes, {Plain.Count(judge.No)} no, {Plain.Count(judge.Failed)} failed, {Plain.Count(judge.NotRun)} not run; {Plain.Count(judge.Requests)} requests, {Plain.Count(judge.InputTokens ?? 0)} tokens sent and {Plain.Count(judge.OutputTokens ?? 0)} received");
        if (judge.WouldSend is { } preview)
        {
            writer.WriteLine($"Nothing was sent: there is no --endpoint. With one, {Plain.Count(preview.Requests)} answers would be judged in one request each, of {Plain.Count(preview.Characters)} characters in all. The first request:");
            foreach (var message in preview.First)
            {
                writer.WriteLine();
                writer.WriteLine($"{message.Role}:");
                writer.WriteLine(Plain.Lines(message.Content));
            }

            writer.WriteLine();
        }
    }

    private static string Number(double? value) => value is { } number ? Plain.Short(number) : "-";

    private static string Rate(SweepRow? row) => row switch
    {
        null => "-",
        { Rate: { } rate } => string.Create(CultureInfo.InvariantCulture, $"{100 * rate:0} % [{100 * row.Low:0}, {100 * row.High:0}]{(row.Failed > 0 ? $", {row.Failed} failed" : string.Empty)}"),
        { Status: SweepStatus.Failed } => "failed",
        _ => "not run",
    };

    private static string Change(SweepRow? row) => row?.Change is { } change ? string.Create(CultureInfo.InvariantCulture, $"{100 * change:+0;-0;0} [{100 * row.ChangeLow:+0;-0;0}, {100 * row.ChangeHigh:+0;-0;0}]") : "-";

    private static string Signed(double value) => value.ToString("+0.000;-0.000;0.000", CultureInfo.InvariantCulture);
}
