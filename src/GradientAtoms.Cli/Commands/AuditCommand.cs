namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms audit</c>: documents and a model in, atoms out.</summary>
internal static class AuditCommand
{
    public static GatomsCommand Create()
    {
        var arguments = new AuditArguments();
        var command = new GatomsCommand(
            "audit",
            "Finds what the data teaches: gradients of every document, curvature, coordinates, dictionary, atoms, report. Run again, it continues.",
            "gatoms audit --model SmolLM2-135M-Instruct --data chats.jsonl --out runs/chats",
            "gatoms audit --model base.gguf --adapter my-lora --data chats.jsonl --limit 1500 --atoms 200 --out runs/mine")
        {
            Continues = true,
        };
        arguments.AddTo(command);
        command.Body = _ => throw UsageException.NotYet("gatoms audit", "the audit");
        return command.Finished();
    }
}
