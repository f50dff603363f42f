using GradientAtoms.Models;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Models.Architectures;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Files;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Steps;
using GradientAtoms.Runs.Submit;
using static TorchSharp.torch;

namespace GradientAtoms.Cli.Commands;

/// <summary>Steered adapters for programs that do not know PEFT: as a GGUF LoRA, and added to the model. Both are loaded again and compared.</summary>
internal static class ModelExports
{
    private const int ComparedTokens = 32;

    public static void WriteGguf(CommandContext context, RunSession session, string pole, PoleStepOptions options, string to)
    {
        if (PeftAdapter.Configuration(session.Folder.PathOf(RunFiles.Adapter)).SavedModules is { Count: > 0 } saved)
        {
            throw UsageException.Combination("gatoms export", $"gguf has no place for {string.Join(", ", saved)}, which the adapter trained whole", "use gatoms export merged or adapter");
        }

        using var chosen = context.Track(ladder => PoleStep.Choose(session, pole, options, null, ladder, context.CancellationToken));
        using var adapter = chosen.ToAdapter(session.Adapter);
        var model = session.Model.Loaded.Model;
        AtomicFile.WriteFile(to, path => GgufAdapter.Write(path, adapter, model));
        using var again = GgufAdapter.Read(to, model);
        var difference = Difference(session, adapter, model, new() { Adapters = [again] });
        var place = session.Model.Path;
        var isGguf = session.Model.Description.Format == "GGUF";
        string[] load = isGguf
            ? [$"llama-cli -m {ShellText.Quote(place)} --lora {ShellText.Quote(to)}"]
            : [$"python convert_hf_to_gguf.py {ShellText.Quote(place)} --outfile model.gguf", $"llama-cli -m model.gguf --lora {ShellText.Quote(to)}"];
        Print(context, "gguf", to, chosen, difference, "llama.cpp", load, $"{to}: the adapter with the step taken, LoRA of rank {Plain.Count(adapter.Modules.Max(module => module.Rank))} as GGUF");
    }

    public static void WriteMerged(CommandContext context, RunSession session, string pole, PoleStepOptions options, string to)
    {
        var origin = session.Folder.PathOf(RunFiles.Adapter);
        MergedModel.Check(session.Model.Path, origin);
        using var chosen = context.Track(ladder => PoleStep.Choose(session, pole, options, null, ladder, context.CancellationToken));
        using var adapter = chosen.ToAdapter(session.Adapter);
        MergedModel.Write(to, session.Model.Path, session.Model.Loaded.Model, adapter, origin, Card(session, chosen), context.CancellationToken);
        using var again = LoadedModel.Load(to, cancellationToken: context.CancellationToken);
        var difference = Difference(session, adapter, again.Model, ForwardRequest.Base);
        var types = string.Join(", ", again.Description.StoredTypes.Keys);
        Print(
            context, "merged", to, chosen, difference, "transformers", [$"AutoModelForCausalLM.from_pretrained(\"{to.Replace("\\", "\\\\", StringComparison.Ordinal)}\")"],
            $"{to}: the model with the adapter and the step in its weights, stored as {types}; it needs no adapter");
    }

    // Of the largest logit difference on the first tokens of the run's first document.
    private static double Difference(RunSession session, LoraAdapter adapter, CausalLanguageModel model, ForwardRequest request)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var tokens = session.Documents[0].Tokens.Take(ComparedTokens).Select(token => (long)token).ToArray();
        Tensor Logits(CausalLanguageModel of, ForwardRequest with) => of.Logits(of.HiddenStates(tensor(tokens, device: of.Device).unsqueeze(0), with)).cpu();
        return (Logits(session.Model.Loaded.Model, new() { Adapters = [adapter] }) - Logits(model, request)).abs().max().item<float>();
    }

    private static void Print(CommandContext context, string kind, string to, PoleStep chosen, double difference, string program, string[] load, string what) => context.Print(
        "gatoms/export",
        new { Kind = kind, Out = to, Step = StepArguments.Describe(chosen), LargestDifference = difference, Load = load },
        writer =>
        {
            StepArguments.Write(writer, chosen);
            writer.WriteLine(what);
            writer.WriteLine($"loaded again: its logits differ from those of model and adapter by {Plain.Short(difference)} at most, on the first tokens of the run's first document");
            foreach (var line in load)
            {
                writer.WriteLine($"{program}: {line}");
            }
        });

    private static string Card(RunSession session, PoleStep chosen)
    {
        using var writer = new StringWriter { NewLine = "\n" };
        var name = Path.Exists(session.Model.Path) ? session.Model.Description.Name : session.Model.Path;
        writer.WriteLine("---\nlibrary_name: transformers\ntags:\n- gradient-atoms\n---\n");
        writer.WriteLine($"# {Plain.Line(name)}, steered\n");
        writer.WriteLine($"The model {Plain.Line(name)} with the LoRA adapter of a Gradient Atoms run and one step along a pole of that run added to its weights (`gatoms export merged`). No adapter is needed beside it. The licence of the model that it was made from holds.\n");
        writer.WriteLine($"- pole: `{chosen.Pole.Id}`, {(chosen.Sign.Verdict == Steering.SignVerdict.More ? "measured to move its own documents as it should" : "the sign was not confirmed by measurement")}");
        writer.WriteLine($"- direction: {chosen.Direction.Origin.Mode.ToString().ToLowerInvariant()}\n");
        writer.WriteLine("```");
        StepArguments.Write(writer, chosen);
        writer.WriteLine("```");
        return writer.ToString();
    }
}
