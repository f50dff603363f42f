using System.CommandLine;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms steer</c>: answers with a step along a pole, beside the unsteered ones.</summary>
internal static class SteerCommand
{
    public static GatomsCommand Create()
    {
        var run = new Argument<string>("RUN") { Description = "The run folder." };
        var pole = new Argument<string>("POLE") { Description = "A pole's id; more of it means that its documents become more likely." };
        var kl = Opt.Number("--kl", "NATS", "Strength: the divergence from the unsteered model, a token of neutral prompts. Default .1.", above: 0);
        var step = Opt.Number("--step", "STEP", "Strength: the step itself, without calibration.", above: 0);
        var less = Opt.Flag("--less", "Less of the pole instead of more.");
        var prompt = Opt.Text("--prompt", "TEXT", "One prompt.");
        var prompts = Opt.Text("--prompts", "FILE", "Prompts, one a line.");
        var maxNewTokens = Opt.Whole("--max-new-tokens", "COUNT", "Length of an answer. Default 128.");
        var temperature = Opt.Number("--temperature", "T", "0 is greedy. Default 0.", least: 0);
        var seed = Opt.Long("--seed", "SEED", "Of the sampling. Default 0.");
        var direction = Opt.Choice("--direction", "How the atom becomes a step (docs/method.md, 7). Default data.", "data", "natural", "gradient", "adam");
        var model = Opt.Text("--model", "MODEL", "The model, where it has moved since the audit.");
        var data = Opt.Text("--data", "FILE", "The data file, where it has moved since the audit.");
        var threads = Opt.Whole("--threads", "COUNT", "Processor threads. Default: all cores.");
        var command = new GatomsCommand(
            "steer",
            "Takes the calibrated step along a pole and answers prompts side by side with the unsteered model.",
            "gatoms steer runs/mine a1b2c3+ --kl .1 --prompt \"List three birds.\"",
            "gatoms steer runs/mine a1b2c3- --kl .05 --less --prompts prompts.txt --json")
        {
            run, pole, kl, step, less, prompt, prompts, maxNewTokens, temperature, seed, direction, model, data, threads,
        };
        command.Body = _ => throw UsageException.NotYet("gatoms steer", "steering");
        return command.Finished();
    }
}
