using System.CommandLine;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms tune</c>: only the LoRA fine-tune.</summary>
internal static class TuneCommand
{
    public static GatomsCommand Create()
    {
        var arguments = new AuditArguments();
        var command = new GatomsCommand(
            "tune",
            "Fine-tunes a LoRA adapter on the data and writes it as a PEFT folder. Run again, it continues.",
            "gatoms tune --model SmolLM2-135M-Instruct --data chats.jsonl --limit 400 --rank 8 --out my-lora")
        {
            Continues = true,
        };
        foreach (var option in (IEnumerable<Option>)[.. arguments.Reading.Except([arguments.Adapter]), .. arguments.Tuning, .. arguments.Machine])
        {
            command.Add(option);
        }

        command.Body = _ => throw UsageException.NotYet("gatoms tune", "tuning");
        return command.Finished();
    }
}
