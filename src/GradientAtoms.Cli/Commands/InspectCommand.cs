using System.CommandLine;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms inspect</c>: what a path is.</summary>
internal static class InspectCommand
{
    public static GatomsCommand Create()
    {
        var path = new Argument<string>("PATH") { Description = "A model folder, a GGUF file, an adapter, a data file or a run." };
        var model = Opt.Text("--model", "MODEL", "For a data file: the model whose chat template and tokens show the rendered rows, trained tokens marked.");
        var rows = Opt.Whole("--rows", "COUNT", "For a data file: how many rows to show. Default 3.", least: 0);
        var template = Opt.Text("--chat-template", "FILE", "A chat template instead of the model's own.");
        var map = Opt.Text("--map", "PAIRS", "Where a row's fields have other names: prompt=question,completion=answer.");
        var maxTokens = Opt.Whole("--max-tokens", "COUNT", "Longer documents are cut. Default 512.", least: 2);
        var command = new GatomsCommand(
            "inspect",
            "Tells what a model, adapter, data file, GGUF or run is; shows rendered rows with the loss mask.",
            "gatoms inspect base.gguf",
            "gatoms inspect chats.jsonl --model base.gguf --rows 2")
        {
            path, model, rows, template, map, maxTokens,
        };
        command.Body = _ => throw UsageException.NotYet("gatoms inspect", "inspection");
        return command.Finished();
    }
}
