using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using GradientAtoms.Models.Native;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Pipeline;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms tune</c>: only the LoRA fine-tune.</summary>
internal static class TuneCommand
{
    public static GatomsCommand Create()
    {
        var arguments = new AuditArguments();
        var command = new GatomsCommand(
            "tune",
            "Fine-tunes a LoRA adapter on the data and writes it as a PEFT folder, RUN/adapter. Run again, it continues; audit with the same --out goes on from it.",
            "gatoms tune --model SmolLM2-135M-Instruct --data chats.jsonl --limit 400 --rank 8 --out runs/mine")
        {
            Continues = true,
        };
        foreach (var option in (IEnumerable<Option>)[.. arguments.Reading.Except([arguments.Adapter]), .. arguments.Tuning, .. arguments.Machine])
        {
            command.Add(option);
        }

        command.Body = context =>
        {
            var options = arguments.Read(context.Parse);
            TorchThreads.Use(context.Parse.GetValue(arguments.Threads));
            var result = context.Track(ladder => AuditPipeline.Tune(options, ladder.Decided, ladder, context.CancellationToken));
            var notes = result.Stages[^1].Record.Notes;
            var adapter = Path.Combine(options.Out, RunFiles.Adapter);
            context.Print("gatoms/tune", new { Run = options.Out, Adapter = adapter, result.NothingToDo, Stages = StageResults.Of(result) }, writer =>
            {
                StageResults.Write(writer, result, options.Out);
                writer.WriteLine($"{adapter}: rank {notes["rank"]}, {Count(notes["parameters"])} parameters{(notes["steps"] is { } steps ? $", {Count(steps)} steps" : string.Empty)}");
                if (notes["held_out_loss_before"] is JsonValue before && notes["held_out_loss_after"] is JsonValue after)
                {
                    writer.WriteLine($"loss a token on held-out documents: {Plain.Number(before.GetValue<double>())} nats before, {Plain.Number(after.GetValue<double>())} after");
                }
            });
            context.Hint($"next: the same arguments with gatoms audit");
        };
        return command.Finished();
    }

    private static string Count(JsonNode? node) => node is JsonValue value ? Plain.Count(long.Parse(value.ToJsonString(), CultureInfo.InvariantCulture)) : "-";
}
