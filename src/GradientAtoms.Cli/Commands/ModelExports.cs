using System.Globalization;
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

/// <summary>
/// Steered adapters for other programs: as PEFT folders, as a GGUF LoRA, and added to the model. Each says in its metadata where
/// it comes from, is loaded again and compared, and is printed with the commands that load it; a folder has a model card.
/// </summary>
internal static class ModelExports
{
    private const int ComparedTokens = 32;
    private const double DeltaBound = 0.05;

    public static void WriteAdapter(CommandContext context, RunSession session, Func<PoleStep> choose, bool isDelta, string to)
    {
        using var chosen = choose();
        using var adapter = isDelta ? chosen.ToDelta(session.Adapter) : chosen.ToAdapter(session.Adapter);
        var origin = session.Folder.PathOf(RunFiles.Adapter);
        SteeredAdapterFile.Write(to, adapter, PeftAdapter.Configuration(origin), isDelta ? null : origin, StepProvenance.Of(session, chosen));
        var rank = adapter.Modules.Max(module => module.Rank);
        var model = session.Model.Loaded.Model;
        using var again = PeftAdapter.Load(to, model);
        var difference = Difference(session, isDelta ? [session.Adapter, adapter] : [adapter], model, new() { Adapters = isDelta ? [session.Adapter, again] : [again] });
        var delta = isDelta ? DeltaOf(session, chosen) : null;
        var load = isDelta ? DeltaCommands(session, to) : AdapterCommands(session, to, rank);
        var what = isDelta
            ? $"{to}: the step alone, LoRA of rank {Plain.Count(rank)}, to be added to the adapter and scaled; at scale 1 it differs from the exact step by {Plain.Percent(delta!.RelativeError)}, up to scale {Plain.Short(delta.LargestScale)} by less than {Plain.Percent(DeltaBound)}"
            : $"{to}: the adapter with the step taken, LoRA of rank {Plain.Count(rank)}; it replaces the adapter";
        File.WriteAllText(Path.Combine(to, "README.md"), StepCard.Text(session, chosen, isDelta ? "a step to be added to its adapter" : "its adapter, steered", "peft", what.Replace(to, "This folder", StringComparison.Ordinal), load));
        Print(context, isDelta ? "delta" : "adapter", to, chosen, difference, load, what, rank, delta);
    }

    public static void WriteGguf(CommandContext context, RunSession session, Func<PoleStep> choose, string to)
    {
        if (PeftAdapter.Configuration(session.Folder.PathOf(RunFiles.Adapter)).SavedModules is { Count: > 0 } saved)
        {
            throw UsageException.Combination("gatoms export", $"gguf has no place for {string.Join(", ", saved)}, which the adapter trained whole", "use gatoms export merged or adapter");
        }

        using var chosen = choose();
        using var adapter = chosen.ToAdapter(session.Adapter);
        var model = session.Model.Loaded.Model;
        AtomicFile.WriteFile(to, path => GgufAdapter.Write(path, adapter, model, StepProvenance.Of(session, chosen)));
        using var again = GgufAdapter.Read(to, model);
        var difference = Difference(session, [adapter], model, new() { Adapters = [again] });
        var place = session.Model.Path;
        var isGguf = session.Model.Description.Format == "GGUF";
        LoadCommand[] load =
        [
            new("Ollama", $"printf 'FROM {(isGguf ? place : "./model.gguf")}\\nADAPTER {to}\\n' > Modelfile && ollama create steered -f Modelfile"),
            .. isGguf ? Array.Empty<LoadCommand>() : [new("llama.cpp", $"python convert_hf_to_gguf.py {ShellText.Quote(place)} --outfile model.gguf")],
            new("llama.cpp", $"llama-cli -m {(isGguf ? ShellText.Quote(place) : "model.gguf")} --lora {ShellText.Quote(to)}"),
        ];
        var rank = adapter.Modules.Max(module => module.Rank);
        Print(context, "gguf", to, chosen, difference, load, $"{to}: the adapter with the step taken, LoRA of rank {Plain.Count(rank)} as GGUF", rank);
    }

    public static void WriteMerged(CommandContext context, RunSession session, Func<PoleStep> choose, string to)
    {
        var origin = session.Folder.PathOf(RunFiles.Adapter);
        MergedModel.Check(session.Model.Path, origin);
        using var chosen = choose();
        using var adapter = chosen.ToAdapter(session.Adapter);
        LoadCommand[] load =
        [
            new("transformers", $"AutoModelForCausalLM.from_pretrained({Quote(to)})"),
            new("vLLM", $"vllm serve {ShellText.Quote(to)}"),
            new("llama.cpp", $"python convert_hf_to_gguf.py {ShellText.Quote(to)} --outfile steered.gguf && llama-cli -m steered.gguf"),
        ];
        const string what = "the model with the adapter and the step in its weights; it needs no adapter";
        MergedModel.Write(
            to, session.Model.Path, session.Model.Loaded.Model, adapter, origin, StepCard.Text(session, chosen, "steered", "transformers", $"This is {what}.", load), StepProvenance.Of(session, chosen), context.CancellationToken);
        using var again = LoadedModel.Load(to, cancellationToken: context.CancellationToken);
        var difference = Difference(session, [adapter], again.Model, ForwardRequest.Base);
        Print(context, "merged", to, chosen, difference, load, $"{to}: {what}; stored as {string.Join(", ", again.Description.StoredTypes.Keys)}");
    }

    private static LoadCommand[] AdapterCommands(RunSession session, string to, int rank) =>
    [
        new("vLLM", $"vllm serve {ShellText.Quote(session.Model.Path)} --enable-lora --max-lora-rank {VllmRank(rank)} --lora-modules steered={ShellText.Quote(to)}"),
        new("llama.cpp", $"python convert_lora_to_gguf.py {ShellText.Quote(to)} --base {ShellText.Quote(session.Model.Path)} --outfile steered.gguf (or gatoms export gguf)"),
        new("Ollama", $"printf 'FROM {session.Model.Path}\\nADAPTER {to}\\n' > Modelfile && ollama create steered -f Modelfile"),
        new("PEFT", $"PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained({Quote(session.Model.Path)}), {Quote(to)})"),
    ];

    private static LoadCommand[] DeltaCommands(RunSession session, string to) =>
    [
        new("PEFT", $"model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained({Quote(session.Model.Path)}), {Quote(session.Folder.PathOf(RunFiles.Adapter))}, adapter_name=\"tuned\")"),
        new("PEFT", $"model.load_adapter({Quote(to)}, adapter_name=\"step\"); model.add_weighted_adapter([\"tuned\", \"step\"], [1.0, 1.0], \"steered\", combination_type=\"cat\"); model.set_adapter(\"steered\")"),
    ];

    // vLLM has room for ranks of these sizes only.
    private static int VllmRank(int rank) => ((int[])[8, 16, 32, 64, 128, 256, 320, 512]).FirstOrDefault(size => size >= rank, rank);

    private static string Quote(string path) => $"\"{path.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"";

    private static DeltaNumbers DeltaOf(RunSession session, PoleStep chosen)
    {
        var largest = chosen.Direction.LargestDeltaStep(session.Adapter, DeltaBound);
        return new(chosen.Direction.DeltaError(session.Adapter, chosen.Size), largest, largest / chosen.Size);
    }

    // The largest logit difference on the first tokens of the run's first document.
    private static double Difference(RunSession session, IReadOnlyList<LoraAdapter> adapters, CausalLanguageModel model, ForwardRequest request)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var tokens = session.Documents[0].Tokens.Take(ComparedTokens).Select(token => (long)token).ToArray();
        Tensor Logits(CausalLanguageModel of, ForwardRequest with) => of.Logits(of.HiddenStates(tensor(tokens, device: of.Device).unsqueeze(0), with)).cpu();
        return (Logits(session.Model.Loaded.Model, new() { Adapters = adapters }) - Logits(model, request)).abs().max().item<float>();
    }

    private static void Print(
        CommandContext context, string kind, string to, PoleStep chosen, double difference, IReadOnlyList<LoadCommand> load, string what, int? rank = null, DeltaNumbers? delta = null) => context.Print(
        "gatoms/export",
        new
        {
            Kind = kind,
            Out = to,
            Rank = rank,
            Step = StepArguments.Describe(chosen),
            delta?.RelativeError,
            LargestStep = delta?.LargestStep,
            LargestScale = delta?.LargestScale,
            LargestDifference = difference,
            Load = load.Select(command => command.Line),
        },
        writer =>
        {
            StepArguments.Write(writer, chosen);
            writer.WriteLine(what);
            writer.WriteLine($"loaded again: its logits differ from those of model and adapter by {Plain.Short(difference)} at most, on the first tokens of the run's first document");
            foreach (var command in load)
            {
                writer.WriteLine($"{command.Program}: {command.Line}");
            }
        });

    private sealed record DeltaNumbers(double RelativeError, double LargestStep, double LargestScale);
}

/// <summary>How a program loads an export.</summary>
/// <param name="Program">Its name.</param>
/// <param name="Line">What is typed, in a shell or in Python.</param>
internal sealed record LoadCommand(string Program, string Line);

/// <summary>The README.md of an exported folder.</summary>
internal static class StepCard
{
    public static string Text(RunSession session, PoleStep chosen, string title, string library, string what, IReadOnlyList<LoadCommand> load)
    {
        using var writer = new StringWriter(CultureInfo.InvariantCulture) { NewLine = "\n" };
        var name = Plain.Line(Path.Exists(session.Model.Path) ? session.Model.Description.Name : session.Model.Path);
        writer.WriteLine($"---\nlibrary_name: {library}\nbase_model: \"{name.Replace("\"", string.Empty, StringComparison.Ordinal)}\"\ntags:\n- gradient-atoms\n---\n");
        writer.WriteLine($"# {name}, {title}\n");
        writer.WriteLine($"{Plain.Line(what)} Made by `gatoms export` from a Gradient Atoms run: the steps of such a run make more or less of what a fine-tune taught. The licences of the model and of the adapter's data hold.\n");
        writer.WriteLine($"- pole: `{chosen.Id}`, {(chosen.Sign.Verdict == Steering.SignVerdict.More ? "measured to move its own documents as it should" : "the sign was not confirmed by measurement")}");
        writer.WriteLine($"- direction: {chosen.Direction.Origin.Mode.ToString().ToLowerInvariant()}\n");
        writer.WriteLine("```");
        StepArguments.Write(writer, chosen);
        writer.WriteLine("```\n");
        writer.WriteLine("Where it comes from, as in the metadata of the weights:\n");
        foreach (var (key, value) in StepProvenance.Of(session, chosen))
        {
            writer.WriteLine($"- `{key}`: {value}");
        }

        writer.WriteLine("\nTo load it:\n\n```");
        foreach (var command in load)
        {
            writer.WriteLine($"# {command.Program}\n{command.Line}");
        }

        writer.WriteLine("```");
        return writer.ToString();
    }
}
