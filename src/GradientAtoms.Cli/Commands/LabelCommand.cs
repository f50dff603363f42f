using System.CommandLine;
using System.Globalization;
using GradientAtoms.Runs.Labels;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms label</c>: names poles, by hand or by a chat model, and scores what the model says.</summary>
internal static class LabelCommand
{
    public static GatomsCommand Create()
    {
        var run = new Argument<string>("RUN") { Description = "The run folder." };
        var pole = new Argument<string?>("POLE") { Description = "One pole alone.", Arity = ArgumentArity.ZeroOrOne };
        var text = new Argument<string?>("TEXT") { Description = "Its label, given by you: it stands whatever a model says. An empty one takes the label away.", Arity = ArgumentArity.ZeroOrOne };
        var endpoint = new EndpointArguments("--model", "Documents");
        var all = new Option<bool>("--all") { Description = "Also poles that are not certified." };
        var again = new Option<bool>("--again") { Description = "Ask again for poles that a model has labelled. A label given by hand stays." };
        var documents = Opt.Whole("--documents", "COUNT", "Documents a pole, its strongest: every other one makes the label, the rest scores it among as many of other poles. Default 20.", least: 4);
        var command = new GatomsCommand(
            "label",
            "Names poles: by hand, or by a chat model that sees half of a pole's documents and is then scored on the other half among decoys. Sends nothing without --endpoint.",
            "gatoms label runs/mine a1b2c3+ \"refuses to give medical advice\"",
            "gatoms label runs/mine",
            "gatoms label runs/mine --endpoint http://localhost:11434/v1 --model llama3.1",
            "gatoms label runs/mine --endpoint https://api.example.com/v1 --model large --key-env EXAMPLE_KEY")
        {
            Continues = true,
        };
        foreach (var argument in (Argument[])[run, pole, text])
        {
            command.Add(argument);
        }

        foreach (var option in (Option[])[.. endpoint.All, all, again, documents])
        {
            command.Add(option);
        }

        command.Body = context =>
        {
            var path = context.Parse.GetRequiredValue(run);
            var named = context.Parse.GetValue(pole) is { } id ? FindPole(path, id) : null;
            if (context.Parse.GetValue(text) is { } label)
            {
                Labeller.Set(path, named!, label);
                Redraw(context, path);
                Show(context, path, [named!], 0, []);
                return;
            }

            var options = Options(path, named, context.Parse.GetValue(all)) with { Again = context.Parse.GetValue(again), Documents = context.Parse.GetValue(documents) ?? new LabelOptions().Documents };
            if (endpoint.Read(context, "gatoms label") is not { } address)
            {
                Preview(context, path, options);
                return;
            }

            using var client = new EndpointClient(address);
            var before = LabelsOf(path).Count;
            var result = context.Track(ladder => Labeller.RunAsync(path, client, options, ladder, context.CancellationToken).GetAwaiter().GetResult());
            Redraw(context, path);
            Show(context, path, options.Poles, result.Kept, result.Failed);
            if (result.Failed.Count > 0)
            {
                throw new LabelException(
                    "GA5055", address.Endpoint.ToString(), $"gave no usable reply for {Plain.Count(result.Failed.Count)} poles ({string.Join(", ", result.Failed.Take(4))}){(LabelsOf(path).Count > before ? "; the other labels are kept" : string.Empty)}", "Run the same command again, or ask a larger --model.");
            }
        };
        return command.Finished();
    }

    /// <summary>Where a label comes from, for a reader.</summary>
    public static string Source(PoleLabel label) => label.ByPerson ? "by hand"
        : $"by {Plain.Line(label.Model ?? "a model")}{(label.Score is { } score ? string.Create(CultureInfo.InvariantCulture, $", {score.Right} of {score.Total} told right, 95 % {score.Low:0.00} to {score.High:0.00}, guessing {score.Chance:0.0}") : string.Empty)}";

    private static IReadOnlyDictionary<string, PoleLabel> LabelsOf(string path)
    {
        using var view = RunView.Open(path);
        return view.Labels;
    }

    private static string FindPole(string path, string id)
    {
        using var view = RunView.Open(path);
        return view.FindPole(id).Pole.Id;
    }

    private static LabelOptions Options(string path, string? pole, bool all)
    {
        using var view = RunView.Open(path);
        return new() { Poles = pole is not null ? [pole] : all ? [.. view.Atoms.SelectMany(atom => atom.Poles).Where(each => each.Supported).Select(each => each.Id)] : null };
    }

    private static void Preview(CommandContext context, string path, LabelOptions options)
    {
        using var view = RunView.Open(path);
        var requests = Labeller.Preview(view.Folder, options);
        var characters = requests.Sum(request => request.Messages.Sum(message => (long)message.Text.Length));
        context.Print(
            "gatoms/label-preview",
            new { Run = path, Sent = 0, Poles = requests.Select(request => new { request.Pole, Messages = request.Messages.Select(message => new { Role = message.Role.Value, Content = message.Text }) }) },
            writer =>
            {
                writer.WriteLine($"Nothing was sent: there is no --endpoint. With one, {Plain.Count(requests.Count)} poles would be asked for in two requests each, the first ones of {Plain.Count(characters)} characters in all, the second ones about as long.");
                if (requests.Count > 0)
                {
                    writer.WriteLine($"The first request, for {requests[0].Pole}:");
                    foreach (var message in requests[0].Messages)
                    {
                        writer.WriteLine();
                        writer.WriteLine($"{message.Role.Value}:");
                        writer.WriteLine(Plain.Lines(message.Text));
                    }
                }
            });
    }

    // The report shows labels. They are kept already: a model that has moved since the audit is no reason to fail now.
    private static void Redraw(CommandContext context, string path)
    {
        try
        {
            context.Track(ladder => ReportPipeline.Run(path, ladder.Decided, ladder, context.CancellationToken));
        }
        catch (GradientAtomsException error)
        {
            context.Hint($"the report does not show it yet: {Plain.Line(error.Location)}: {Plain.Line(error.Problem)}");
        }
    }

    private static void Show(CommandContext context, string path, IReadOnlyList<string>? poles, int kept, IReadOnlyList<string> failed)
    {
        using var view = RunView.Open(path);
        var shown = view.Labels.Values.Where(label => poles?.Contains(label.Pole, StringComparer.Ordinal) != false).OrderBy(label => label.Pole, StringComparer.Ordinal).ToList();
        context.Print(
            "gatoms/label",
            new { Run = path, Kept = kept, Failed = failed, Labels = shown },
            writer =>
            {
                var table = new TextTable("pole", "label", "score", "95 %", "by").Right(2);
                foreach (var label in shown)
                {
                    table.Add(
                        label.Pole,
                        label.Text,
                        label.Score is { } score ? string.Create(CultureInfo.InvariantCulture, $"{score.Right}/{score.Total}") : "-",
                        label.Score is { } interval ? string.Create(CultureInfo.InvariantCulture, $"{interval.Low:0.00} to {interval.High:0.00}") : "-",
                        label.ByPerson ? "hand" : label.Model ?? "model");
                }

                table.Write(writer, context.Host.Width);
            });
        var (sent, received) = (shown.Sum(label => label.InputTokens ?? 0), shown.Sum(label => label.OutputTokens ?? 0));
        context.Hint($"score: documents told right among decoys, guessing is one half; {Plain.Count(sent)} tokens sent and {Plain.Count(received)} received for these labels. A label of yours: gatoms label {path} POLE \"TEXT\"");
    }
}
