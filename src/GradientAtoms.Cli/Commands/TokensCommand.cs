using System.CommandLine;
using GradientAtoms.Models.Native;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms tokens</c>: which tokens of a document carry a pole.</summary>
internal static class TokensCommand
{
    public static GatomsCommand Create()
    {
        var run = new Argument<string>("RUN") { Description = "The run folder." };
        var document = new Argument<string>("DOCUMENT") { Description = "A document's id." };
        var pole = Opt.Text("--pole", "POLE", "The pole: its id, or its atom's where that has only one.", required: true);
        var by = Opt.Choice("--by", "position: where modules are pulled along the pole, tokens of the prompt too. loss: which tokens' prediction pulls. Default position.", "position", "loss");
        var where = Opt.Flag("--where", "Also by module, head and neuron.");
        var model = Opt.Text("--model", "MODEL", "The model, where it has moved since the audit.");
        var threads = Opt.Whole("--threads", "COUNT", "Processor threads. Default: OMP_NUM_THREADS, else all cores.");
        var command = new GatomsCommand(
            "tokens",
            "Shows which tokens of a document carry its projection on a pole, by position or by loss token, and where in the network; runs the document through the model once more.",
            "gatoms tokens runs/mine 412 --pole a1b2c3+",
            "gatoms tokens runs/mine 412 --pole a1b2c3+ --by loss",
            "gatoms tokens runs/mine 412 --pole a1b2c3+ --where --json")
        {
            run, document, pole, by, where, model, threads,
        };
        command.Body = context =>
        {
            var parse = context.Parse;
            var (from, id) = (parse.GetRequiredValue(run), parse.GetRequiredValue(document));
            string found;
            using (var view = RunView.Open(from))
            {
                found = view.FindPole(parse.GetValue(pole)!).Pole.Id;
                if (!view.Rows.Any(row => row.Id == id && row.Status == "used"))
                {
                    throw UsageException.Unknown("used document", id, from, $"gatoms docs {from} lists them");
                }
            }

            TorchThreads.Use(parse.GetValue(threads));
            using var session = new RunSession(from, parse.GetValue(model));
            var byLoss = parse.GetValue(by) == "loss";
            var answer = context.Track(ladder => TokenQuestion.Ask(session, id, found, byLoss, parse.GetValue(where), ladder, context.CancellationToken));
            Print(context, from, answer, byLoss);
        };
        return command.Finished();
    }

    private static void Print(CommandContext context, string run, TokenAnswer answer, bool byLoss)
    {
        var evidence = answer.Evidence;
        var parts = byLoss ? evidence.Loss! : evidence.Position;
        var sum = parts.Sum(part => (double)part);
        context.Print(
            "gatoms/tokens",
            new
            {
                Run = run,
                evidence.Document,
                evidence.Pole,
                evidence.Projection,
                ProjectionOfStoredRows = answer.Expected,
                By = byLoss ? "loss" : "position",
                Sum = sum,
                Tokens = evidence.Tokens.Select((token, place) => new { Token = token, Trained = evidence.Trained[place] != 0, Position = evidence.Position[place], Loss = evidence.Loss?[place] }),
                Modules = answer.Modules.Zip(evidence.Modules, (name, part) => new { Name = name, Part = part }),
                Heads = answer.Segments?.Select(entry => new { entry.Segment.Module, entry.Segment.Side, entry.Segment.Part, entry.Segment.Head, entry.Value }),
                answer.Neurons,
            },
            writer =>
            {
                writer.WriteLine($"document {Plain.Line(evidence.Document)} on pole {evidence.Pole}: projection {Plain.Number(evidence.Projection)}");
                writer.WriteLine($"by {(byLoss ? "loss token: how far learning to predict each goes along the pole" : "position: where modules are pulled along the pole")}; the parts add up to {Plain.Number(sum)} (from the stored rows: {Plain.Number(answer.Expected)})");
                writer.WriteLine();
                var largest = Math.Max(parts.Max(Math.Abs), 1e-12f);
                var table = new TextTable("part", "", "trained", "token").Right(0);
                for (var place = 0; place < parts.Count; place++)
                {
                    var bar = new string(parts[place] < 0 ? '-' : '+', (int)Math.Round(10 * Math.Abs(parts[place]) / largest));
                    table.Add(TokenText.Signed(parts[place]), bar, evidence.Trained[place] != 0 ? "yes" : string.Empty, TokenText.Quote(evidence.Tokens[place]));
                }

                table.Write(writer, context.Host.Width);
                if (answer.Segments is null)
                {
                    return;
                }

                Places(writer, "modules", answer.Modules.Zip(evidence.Modules, (name, part) => (Plain.Line(name), (double)part)));
                Places(writer, "heads and parts (rows of lora_B, columns of the output's lora_A)", answer.Segments.Select(entry => (TokenText.NameOf(entry.Segment), entry.Value)));
                Places(writer, "neurons (rows of lora_B)", answer.Neurons!.Select(neuron => (TokenText.NameOf(neuron), neuron.Value)));
            });
    }

    private static void Places(TextWriter writer, string title, IEnumerable<(string Name, double Part)> places)
    {
        writer.WriteLine();
        writer.WriteLine(title);
        foreach (var (name, part) in places.OrderByDescending(place => Math.Abs(place.Part)).Take(10))
        {
            writer.WriteLine($"  {TokenText.Signed(part),7}  {name}");
        }
    }
}
