using GradientAtoms.Atoms;
using GradientAtoms.Evaluation;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Pipeline;
using Microsoft.Extensions.AI;

namespace GradientAtoms.Runs.Labels;

/// <summary>What is labelled, and on how many documents.</summary>
public sealed record LabelOptions
{
    /// <summary>Ids of the poles to label; null: the certified ones, or where the run has none those with enough documents.</summary>
    public IReadOnlyList<string>? Poles { get; init; }

    /// <summary>Whether poles that have a label of a model are asked for again. A person's label stays.</summary>
    public bool Again { get; init; }

    /// <summary>Documents a pole, its strongest: every other one makes the label, the rest scores it.</summary>
    public int Documents { get; init; } = 20;

    /// <summary>Times that an endpoint is asked again where its reply cannot be used.</summary>
    public int Attempts { get; init; } = 3;
}

/// <summary>What labelling has done.</summary>
/// <param name="Labels">Every label of the run, by pole.</param>
/// <param name="Made">Labels that were made now.</param>
/// <param name="Kept">Poles that had one.</param>
/// <param name="Failed">Poles whose replies could not be used.</param>
public sealed record LabelResult(IReadOnlyDictionary<string, PoleLabel> Labels, int Made, int Kept, IReadOnlyList<string> Failed);

/// <summary>
/// Labels of poles by any chat model: made from one half of a pole's strongest documents, then scored by which of the other half and as
/// many documents of other poles, shuffled, the model says that the label fits. A label that says nothing scores about one half.
/// </summary>
public static class Labeller
{
    private const int Contrast = 6;
    private const int GiveUpAfter = 3;

    /// <summary>What would be sent for each pole that has no label yet: nothing is sent.</summary>
    /// <param name="run">The run.</param>
    /// <param name="options">What to label.</param>
    /// <returns>Pole and messages of the first request; the second one has the label and as many documents.</returns>
    public static IReadOnlyList<(string Pole, IReadOnlyList<ChatMessage> Messages)> Preview(RunFolder run, LabelOptions? options = null)
    {
        options ??= new();
        var (tasks, _) = Tasks(run, options, LabelsFile.Read(run));
        return [.. tasks.Select(task => (task.Pole, LabelPrompts.Make(task.Makes, task.Contrast)))];
    }

    /// <summary>Labels poles. Every label is kept as soon as it is there: the same call goes on with those that are missing.</summary>
    /// <param name="path">The run folder.</param>
    /// <param name="client">The chat model.</param>
    /// <param name="options">What to label.</param>
    /// <param name="progress">Told after every pole.</param>
    /// <param name="cancellationToken">Ends a request.</param>
    /// <exception cref="LabelException">GA5050 to GA5054: the endpoint cannot be used; what was labelled before is kept.</exception>
    public static async Task<LabelResult> RunAsync(string path, IChatClient client, LabelOptions? options = null, IProgress<StageProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        options ??= new();
        var metadata = client.GetService<ChatClientMetadata>();
        using var run = RunFolder.Open(path);
        var labels = LabelsFile.Read(run).ToDictionary(StringComparer.Ordinal);
        var (tasks, kept) = Tasks(run, options, labels);
        var (failed, made) = (new List<string>(), 0);
        progress?.Report(new("labels", 0, tasks.Count, "poles"));
        foreach (var (place, task) in tasks.Index())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (await LabelAsync(client, metadata, task, options, cancellationToken).ConfigureAwait(false) is { } label)
            {
                labels[task.Pole] = label;
                LabelsFile.Write(run, labels.Values);
                made++;
            }
            else
            {
                failed.Add(task.Pole);
                if (made == 0 && failed.Count >= GiveUpAfter)
                {
                    break; // not one reply was of use: the rest would only cost
                }
            }

            progress?.Report(new("labels", place + 1, tasks.Count, "poles"));
        }

        return new(labels, made, kept, failed);
    }

    /// <summary>A person's label: it stands whatever a model says. An empty one takes the pole's label away.</summary>
    /// <param name="path">The run folder.</param>
    /// <param name="pole">The pole's id.</param>
    /// <param name="text">The label.</param>
    public static void Set(string path, string pole, string text)
    {
        using var run = RunFolder.Open(path);
        var labels = LabelsFile.Read(run).ToDictionary(StringComparer.Ordinal);
        labels.Remove(pole);
        if (LabelPrompts.Clean(text) is { Length: > 0 } label)
        {
            labels[pole] = new() { Pole = pole, Text = label, ByPerson = true };
        }

        LabelsFile.Write(run, labels.Values);
    }

    private static async Task<PoleLabel?> LabelAsync(IChatClient client, ChatClientMetadata? metadata, LabelTask task, LabelOptions options, CancellationToken cancellationToken)
    {
        var (input, output, requests) = ((long?)null, (long?)null, 0);
        string? model = null;
        async Task<T?> Ask<T>(IReadOnlyList<ChatMessage> messages, Func<string, T?> read)
            where T : class
        {
            for (var attempt = 0; attempt < options.Attempts; attempt++)
            {
                var response = await client.GetResponseAsync(messages, new() { Temperature = attempt == 0 ? 0 : 0.5f, MaxOutputTokens = 400 }, cancellationToken).ConfigureAwait(false);
                requests++;
                input = Sum(input, response.Usage?.InputTokenCount);
                output = Sum(output, response.Usage?.OutputTokenCount);
                model ??= response.ModelId;
                if (read(response.Text) is { } result)
                {
                    return result;
                }
            }

            return null;
        }

        if (await Ask(LabelPrompts.Make(task.Makes, task.Contrast), LabelPrompts.ReadLabel).ConfigureAwait(false) is not { } text
            || await Ask(LabelPrompts.Score(text, [.. task.Judged.Select(judged => judged.Text)]), reply => LabelPrompts.ReadFits(reply, task.Judged.Count)).ConfigureAwait(false) is not { } fits)
        {
            return null;
        }

        var seen = Proportion.Of([.. task.Judged.Index()], entry => entry.Item.IsOwn == fits.Contains(entry.Index + 1));
        var (low, high) = seen.Interval;
        return new()
        {
            Pole = task.Pole,
            Text = text,
            Model = metadata?.DefaultModelId ?? model,
            Endpoint = metadata?.ProviderUri?.ToString(),
            Prompt = LabelPrompts.Version,
            MadeFrom = task.MadeFrom,
            Score = new(seen.Count, seen.Total, low, high, 0.5),
            InputTokens = input,
            OutputTokens = output,
            Requests = requests,
        };
    }

    private static long? Sum(long? one, long? other) => one is null && other is null ? null : (one ?? 0) + (other ?? 0);

    private static (List<LabelTask> Tasks, int Kept) Tasks(RunFolder run, LabelOptions options, IReadOnlyDictionary<string, PoleLabel> labels)
    {
        var atoms = AtomsFile.Read(run.Need(RunFiles.Atoms));
        var texts = RunReader.ReadTexts(run).ToDictionary(text => text.Id, text => (text.Prompt, text.Answer), StringComparer.Ordinal);
        var all = atoms.SelectMany(atom => atom.Poles.Where(pole => pole.Supported).Select(pole => (Atom: atom, Pole: pole))).ToList();
        var certified = all.Where(entry => entry.Pole.Certified == true).ToList();
        var wanted = options.Poles is { } named ? [.. all.Where(entry => named.Contains(entry.Pole.Id, StringComparer.Ordinal))] : certified.Count > 0 ? certified : all;
        var missing = wanted.Where(entry => !labels.TryGetValue(entry.Pole.Id, out var label) || (options.Again && !label.ByPerson)).ToList();
        var seed = run.Manifest.Seed ?? 0;
        return ([.. missing.Select(entry => Task(entry.Atom, entry.Pole, all, texts, options, seed)).OfType<LabelTask>()], wanted.Count - missing.Count);
    }

    // Documents at even places of the pole's order make the label, those at odd places score it: both halves are as strong.
    private static LabelTask? Task(Atom atom, Pole pole, List<(Atom Atom, Pole Pole)> all, Dictionary<string, (string Prompt, string Answer)> texts, LabelOptions options, long seed)
    {
        var random = RandomStream.Integers(seed, $"labels/{pole.Id}");
        string[] own = [.. pole.Top.Take(options.Documents).Select(document => document.Id).Where(texts.ContainsKey)];
        string[] makes = [.. own.Where((_, place) => place % 2 == 0)];
        string[] scores = [.. own.Where((_, place) => place % 2 == 1)];

        // Of every other pole its strongest documents, but none that encode on this atom.
        var ours = atom.Poles.SelectMany(other => other.Top).Select(document => document.Id).ToHashSet(StringComparer.Ordinal);
        string[] others = [.. all.Where(entry => entry.Atom.Id != atom.Id)
            .SelectMany(entry => entry.Pole.Top.Take(options.Documents).Select(document => document.Id))
            .Where(id => !ours.Contains(id) && texts.ContainsKey(id))
            .Distinct(StringComparer.Ordinal)
            .Order(StringComparer.Ordinal)];
        random.Shuffle(others);
        if (scores.Length == 0 || others.Length < scores.Length)
        {
            return null;
        }

        var judged = scores.Select(id => (Text: texts[id], IsOwn: true)).Concat(others.Take(scores.Length).Select(id => (texts[id], false))).ToArray();
        random.Shuffle(judged);
        return new(pole.Id, makes, [.. makes.Select(id => texts[id])], [.. others.Skip(scores.Length).Take(Contrast).Select(id => texts[id])], judged);
    }

    private sealed record LabelTask(
        string Pole, IReadOnlyList<string> MadeFrom, IReadOnlyList<(string Prompt, string Answer)> Makes, IReadOnlyList<(string Prompt, string Answer)> Contrast, IReadOnlyList<((string Prompt, string Answer) Text, bool IsOwn)> Judged);
}
