namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms plan</c>: what an audit would cost, and what it would decide.</summary>
internal static class PlanCommand
{
    public static GatomsCommand Create()
    {
        var arguments = new AuditArguments();
        var command = new GatomsCommand(
            "plan",
            "What the audit of the same arguments would take in time, memory and disk, and what it would decide and why. Computes nothing.",
            "gatoms plan --model base.gguf --adapter my-lora --data chats.jsonl --out runs/mine --memory 6GiB");
        arguments.AddTo(command);
        command.Body = _ => throw UsageException.NotYet("gatoms plan", "the plan");
        return command.Finished();
    }
}
