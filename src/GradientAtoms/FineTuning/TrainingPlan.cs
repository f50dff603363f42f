using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using GradientAtoms.Models.Adapters;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.FineTuning;

/// <summary>Every batch of a training, decided before it begins by the documents, the options and the seed alone.</summary>
internal sealed class TrainingPlan
{
    private readonly FineTuningOptions _options;

    public TrainingPlan(IReadOnlyList<TokenizedDocument> documents, IReadOnlyList<TokenizedDocument> heldOut, LoraAdapter adapter, FineTuningOptions options)
    {
        _options = options;
        Batches = [.. Enumerable.Range(0, options.Epochs).SelectMany(epoch => Epoch(documents, epoch))];
        Hash = HashOf([.. documents, .. heldOut], documents.Count, adapter);
    }

    /// <summary>Indices of documents, one array a step.</summary>
    public IReadOnlyList<int[]> Batches { get; }

    /// <summary>What a checkpoint must have been made by to be continued.</summary>
    public string Hash { get; }

    /// <summary>Steps behind which the adapter is kept, the last step not among them.</summary>
    public IReadOnlySet<int> Snapshots => Enumerable.Range(1, Math.Max(0, _options.Snapshots - 1))
        .Select(place => (int)((long)place * Batches.Count / _options.Snapshots))
        .Where(step => step > 0)
        .ToHashSet();

    /// <summary>The learning rate of a step.</summary>
    /// <param name="step">From 0.</param>
    public double LearningRate(int step)
    {
        var warmup = Math.Min(_options.WarmupSteps, Batches.Count / 2);
        if (step < warmup)
        {
            return _options.LearningRate * (step + 1) / (warmup + 1);
        }

        var done = (double)(step - warmup) / (Batches.Count - warmup);
        return _options.LearningRate * _options.Schedule switch
        {
            LearningRateSchedule.Linear => 1 - done,
            LearningRateSchedule.Cosine => 0.5 * (1 + Math.Cos(Math.PI * done)),
            _ => 1,
        };
    }

    private List<int[]> Epoch(IReadOnlyList<TokenizedDocument> documents, int epoch)
    {
        var random = RandomStream.Integers(_options.Seed, $"fine-tuning/epoch/{epoch.ToString(CultureInfo.InvariantCulture)}");
        var order = Enumerable.Range(0, documents.Count).Where(index => documents[index].TrainedCount > 0).ToArray();
        if (_options.Shuffle)
        {
            random.Shuffle(order);
        }

        var (batches, current, tokens) = (new List<int[]>(), new List<int>(), 0L);
        foreach (var index in order)
        {
            if (current.Count > 0 && tokens + documents[index].Tokens.Length > _options.BatchTokens)
            {
                batches.Add([.. current]);
                current.Clear();
                tokens = 0;
            }

            current.Add(index);
            tokens += documents[index].Tokens.Length;
        }

        if (current.Count > 0)
        {
            batches.Add([.. current]);
        }

        return batches;
    }

    private string HashOf(IReadOnlyList<TokenizedDocument> documents, int trainCount, LoraAdapter adapter)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        void Add(string text) => hash.AppendData(Encoding.UTF8.GetBytes(text + "\n"));

        // How often something is looked at or stored changes nothing that is trained.
        Add(JsonSerializer.Serialize(_options with { CheckpointEvery = 0, HeldOutEvery = 0, Snapshots = 0 }));
        foreach (var module in adapter.Modules)
        {
            Add(string.Create(CultureInfo.InvariantCulture, $"{module.ModuleName} {module.Rank} {module.A.shape[1]} {module.B.shape[0]} {module.Scale:R}"));
        }

        Add(trainCount.ToString(CultureInfo.InvariantCulture));
        foreach (var document in documents)
        {
            Add(document.Id);
            Add(string.Join(' ', document.Tokens));
            Add(string.Join(' ', document.Trained.Select(trained => trained ? 1 : 0)));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
