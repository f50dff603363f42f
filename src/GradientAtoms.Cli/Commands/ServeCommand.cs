using System.CommandLine;
using System.Globalization;
using GradientAtoms.Runs.Answers;
using GradientAtoms.Server;

namespace GradientAtoms.Cli.Commands;

/// <summary><c>gatoms serve</c>: an OpenAI-compatible server of base, adapter and steers.</summary>
internal static class ServeCommand
{
    public static GatomsCommand Create()
    {
        var run = new Argument<string>("RUN") { Description = "The run folder." };
        var port = Opt.Whole("--port", "PORT", "Where to listen; 0 takes a free port. Default 8080.", least: 0);
        var host = Opt.Text("--host", "ADDRESS", "Where to listen; an address that other machines reach wants a token. Default 127.0.0.1.");
        var token = Opt.Text("--token", "TOKEN", "What requests have to send as Authorization: Bearer TOKEN. Default: the variable GATOMS_TOKEN, where it is set.");
        var steers = Several("--steer", "NAME=POLE@KL", "A step served under a name, calibrated at the start; a minus before KL for less. May be repeated.");
        var adapters = Several("--adapter", "NAME=FOLDER", "An adapter served in place of the run's, such as one of gatoms export adapter. May be repeated.");
        var deltas = Several("--delta", "NAME=FOLDER", "An adapter served on top of the run's, such as one of gatoms export delta. May be repeated.");
        var maxTokens = Opt.Whole("--max-tokens", "COUNT", "New tokens of an answer at most. Default 1024.");
        var maxPrompt = Opt.Whole("--max-prompt-tokens", "COUNT", "Prompt tokens at most. Default: what the model's context has room for.");
        var concurrent = Opt.Whole("--max-concurrent", "COUNT", "Answers generated at a time, in turns. Default 64.");
        var waiting = Opt.Whole("--max-waiting", "COUNT", "Requests that wait beyond those; more are sent away with 429. Default 64.", least: 0);
        var cached = Opt.Whole("--max-cached-tokens", "COUNT", "Tokens, prompts included, that all answers of the moment may keep keys and values of. Default 131072.", least: 2);
        var timeout = Opt.Duration("--timeout", "The time that a request may take, waiting included. Default 10m.");
        var body = Opt.Size("--max-body", "The largest request. Default 4MiB.");
        var model = Opt.Text("--model", "MODEL", "The model, where it has moved since the audit.");
        var threads = Opt.Whole("--threads", "COUNT", "Processor threads. Default: OMP_NUM_THREADS, else all cores.");
        var command = new GatomsCommand(
            "serve",
            "Serves base, adapter and steers of a run to programs that speak OpenAI's API, until it is interrupted.",
            "gatoms serve runs/mine",
            "gatoms serve runs/mine --port 9000 --steer bullets=a1b2c3+@.1 --steer no-refusals=d4e5f6-@-.05");
        command.Add(run);
        foreach (var option in (Option[])[port, host, token, steers, adapters, deltas, maxTokens, maxPrompt, concurrent, waiting, cached, timeout, body, model, threads])
        {
            command.Add(option);
        }

        command.Body = context =>
        {
            var parse = context.Parse;
            var usual = new AnswerEngineOptions();
            var options = usual with
            {
                Model = parse.GetValue(model),
                Threads = parse.GetValue(threads),
                Steers = Named(parse, steers, SteerOf),
                Adapters = Named(parse, adapters, (_, folder) => folder),
                Deltas = Named(parse, deltas, (_, folder) => folder),
                MaxNewTokens = parse.GetValue(maxTokens) ?? usual.MaxNewTokens,
                MaxPromptTokens = parse.GetValue(maxPrompt),
                MaxConcurrent = parse.GetValue(concurrent) ?? usual.MaxConcurrent,
                MaxWaiting = parse.GetValue(waiting) ?? usual.MaxWaiting,
                MaxCachedTokens = parse.GetValue(cached) ?? usual.MaxCachedTokens,
                Timeout = parse.GetValue(timeout) is { } seconds ? TimeSpan.FromSeconds(seconds) : usual.Timeout,
            };
            var place = new ServerOptions();
            place = place with
            {
                Host = parse.GetValue(host) ?? place.Host,
                Port = parse.GetValue(port) ?? place.Port,
                Token = (parse.GetValue(token) ?? context.Host.Variable("GATOMS_TOKEN")) is { Length: > 0 } secret ? secret : null,
                MaxBodyBytes = parse.GetValue(body) ?? place.MaxBodyBytes,
            };
            place.Check(); // before the model is loaded
            using var engine = context.Track(ladder => AnswerEngine.Start(parse.GetRequiredValue(run), options, ladder, context.CancellationToken));
            ServeAsync(context, engine, place).GetAwaiter().GetResult();
        };
        return command.Finished();
    }

    private static async Task ServeAsync(CommandContext context, AnswerEngine engine, ServerOptions place)
    {
        var server = await AnswerServer.StartAsync(engine, place, cancellationToken: context.CancellationToken).ConfigureAwait(false);
        await using (server.ConfigureAwait(false))
        {
            var address = server.Address.ToString().TrimEnd('/');
            context.Print("gatoms/serve", new { Address = address, Models = engine.Models.Select(model => new { model.Id, model.Parent, model.Root }) }, writer =>
            {
                writer.WriteLine($"{address}/v1 serves");
                foreach (var model in engine.Models)
                {
                    writer.WriteLine($"  {Plain.Line(model.Id)}  {Plain.Line(model.Root)}");
                }
            });
            context.Hint("any pole is a model too: POLE@KL, or POLE@-KL for less of it; Ctrl-C ends");
            await Task.Delay(Timeout.Infinite, context.CancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        context.Hint("stopped");
    }

    private static Option<string[]> Several(string name, string valueName, string help) => new(name) { Description = help, HelpName = valueName };

    private static Dictionary<string, T> Named<T>(ParseResult parse, Option<string[]> option, Func<string, string, T> read)
    {
        var named = new Dictionary<string, T>(StringComparer.Ordinal);
        foreach (var value in parse.GetValue(option) ?? [])
        {
            var equals = value.IndexOf('=', StringComparison.Ordinal);
            if (equals < 1 || equals == value.Length - 1 || !named.TryAdd(value[..equals], read(option.Name, value[(equals + 1)..])))
            {
                throw UsageException.Combination("gatoms serve", $"{option.Name} wants {option.HelpName} with a name of its own, not '{value}'", "give each a name");
            }
        }

        return named;
    }

    private static Steer SteerOf(string option, string value)
    {
        var at = value.LastIndexOf('@');
        return at > 0 && double.TryParse(value.AsSpan(at + 1), NumberStyles.Float, CultureInfo.InvariantCulture, out var kl) && double.IsFinite(kl) && kl != 0
            ? new(value[..at], Math.Abs(kl), kl < 0)
            : throw UsageException.Combination("gatoms serve", $"{option} wants a pole and a strength such as a1b2c3+@.1, not '{value}'", "gatoms atoms RUN lists the poles");
    }
}
