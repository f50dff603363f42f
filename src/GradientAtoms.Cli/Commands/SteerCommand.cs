using System.CommandLine;
using GradientAtoms.Models.Generation;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Steering;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms steer</c>: answers with a step along a pole, beside the unsteered ones.</summary>
internal static class SteerCommand
{
    public static GatomsCommand Create()
    {
        var run = new Argument<string>("RUN") { Description = "The run folder." };
        var pole = Opt.Ids("POLE", "A pole's id; more of it means that its documents become more likely. Several are calibrated together, each with a weight where wanted: a1b2c3+ d4e5f6-=-.5.");
        var step = new StepArguments();
        var prompt = Opt.Text("--prompt", "TEXT", "One prompt.");
        var prompts = Opt.Text("--prompts", "FILE", "Prompts, one a line.");
        var maxNewTokens = Opt.Whole("--max-new-tokens", "COUNT", "Length of an answer. Default 128.");
        var temperature = Opt.Number("--temperature", "T", "0 is greedy. Default 0.", least: 0);
        var seed = Opt.Long("--seed", "SEED", "Of the sampling. Default 0.");
        var command = new GatomsCommand(
            "steer",
            "Takes the calibrated step along a pole and answers prompts side by side with the unsteered model.",
            "gatoms steer runs/mine a1b2c3+ --kl .1 --prompt \"List three birds.\"",
            "gatoms steer runs/mine a1b2c3- --kl .05 --less --prompts prompts.txt --json",
            "gatoms steer runs/mine a1b2c3+ d4e5f6+=-1 --kl .1 --prompt \"List three birds.\"",
            "gatoms steer runs/mine a1b2c3+ --remove --prompt \"List three birds.\"");
        command.Add(run);
        command.Add(pole);
        step.AddTo(command);
        foreach (var option in (Option[])[prompt, prompts, maxNewTokens, temperature, seed])
        {
            command.Add(option);
        }

        command.Body = context =>
        {
            var parse = context.Parse;
            var asked = Prompts(parse.GetValue(prompt), parse.GetValue(prompts));
            var sampling = new GenerationOptions { MaxNewTokens = parse.GetValue(maxNewTokens) ?? 128, Temperature = parse.GetValue(temperature) ?? 0, Seed = (ulong)(parse.GetValue(seed) ?? 0) };
            step.UseThreads(parse);
            using var session = new RunSession(parse.GetRequiredValue(run), step.ModelOf(parse));
            var parts = step.Parts(parse, session, parse.GetRequiredValue(pole)); // a slip of the pen is told before the model is loaded
            var tokens = asked.Select(text => Tokens(session, text)).ToList();
            var loaded = session.Model.Loaded;
            IReadOnlyList<SideBySideAnswer> generated = [];
            using var chosen = context.Track(ladder =>
            {
                var found = step.Choose(parse, session, parts, ladder, context.CancellationToken);
                using var steered = found.ToAdapter(session.Adapter);
                generated = SideBySide.Generate(loaded.Model, session.Adapter, steered, tokens, sampling with { StopIds = loaded.StopIds }, ladder, context.CancellationToken);
                return found;
            });
            string Text(GeneratedTokens answer) => loaded.Tokenizer.Decode(answer.Tokens, skipSpecialTokens: true).Trim();
            var answers = generated.Select(answer => new Answer(asked[answer.Prompt], Text(answer.Unsteered), Text(answer.Steered))).ToList();
            context.Print("gatoms/steer", new { Run = parse.GetRequiredValue(run), Step = StepArguments.Describe(chosen), Answers = answers }, writer =>
            {
                StepArguments.Write(writer, chosen);
                foreach (var answer in answers)
                {
                    Write(writer, answer, context.Host.Width);
                }
            });
        };
        return command.Finished();
    }

    private static IReadOnlyList<string> Prompts(string? prompt, string? file)
    {
        if (prompt is null == file is null)
        {
            throw UsageException.Combination("gatoms steer", prompt is null ? "there is no prompt" : "--prompt and --prompts cannot be given together", "give --prompt TEXT or --prompts FILE");
        }

        if (prompt is not null)
        {
            return [prompt];
        }

        if (!File.Exists(file))
        {
            throw UsageException.Combination("gatoms steer", $"--prompts {file} is not there", "give a text file with one prompt a line");
        }

        string[] lines = [.. File.ReadLines(file).Where(line => line.Trim().Length > 0)];
        return lines.Length > 0 ? lines : throw UsageException.Combination("gatoms steer", $"--prompts {file} is empty", "give a text file with one prompt a line");
    }

    private static int[] Tokens(RunSession session, string prompt)
    {
        var loaded = session.Model.Loaded;
        var tokens = session.Model.EncodePrompt(prompt, session.Options);
        return tokens.Length < loaded.Model.ContextLength
            ? tokens
            : throw UsageException.Combination("gatoms steer", $"a prompt has {Plain.Count(tokens.Length)} tokens, the model's context is {Plain.Count(loaded.Model.ContextLength)}", "shorten the prompt");
    }

    private static void Write(TextWriter writer, Answer answer, int? width)
    {
        writer.WriteLine();
        writer.WriteLine($"> {Plain.Lines(answer.Prompt)}");
        if (width is not >= 90)
        {
            writer.WriteLine("--- unsteered");
            writer.WriteLine(Plain.Lines(answer.Unsteered));
            writer.WriteLine("--- steered");
            writer.WriteLine(Plain.Lines(answer.Steered));
            return;
        }

        var column = (width.Value - 3) / 2;
        var (left, right) = (Wrap(answer.Unsteered, column), Wrap(answer.Steered, column));
        writer.WriteLine($"{"--- unsteered".PadRight(column)}   --- steered");
        for (var line = 0; line < Math.Max(left.Count, right.Count); line++)
        {
            writer.WriteLine($"{(line < left.Count ? left[line] : string.Empty).PadRight(column)} │ {(line < right.Count ? right[line] : string.Empty)}".TrimEnd());
        }
    }

    /// <summary>Lines of at most so many characters, broken at spaces where there are any.</summary>
    internal static List<string> Wrap(string text, int width)
    {
        var lines = new List<string>();
        foreach (var paragraph in Plain.Lines(text).Replace("\t", "    ", StringComparison.Ordinal).Split('\n'))
        {
            var rest = paragraph;
            while (rest.Length > width)
            {
                var space = rest.LastIndexOf(' ', width);
                var end = space > 0 ? space : width;
                lines.Add(rest[..end]);
                rest = rest[end..].TrimStart(' ');
            }

            lines.Add(rest);
        }

        return lines;
    }

    private sealed record Answer(string Prompt, string Unsteered, string Steered);
}
