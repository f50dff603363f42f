using System.CommandLine;
using System.Globalization;
using GradientAtoms.Certificates;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Runs.Pipeline;
using GradientAtoms.Runs.Planning;
using GradientAtoms.Text.Documents;

namespace GradientAtoms.Cli;

/// <summary>The options of <c>audit</c>, which <c>plan</c> shares, declared once.</summary>
internal sealed class AuditArguments
{
    public Option<string?> Model { get; } = Opt.Text("--model", "MODEL", "A Hugging Face folder, a GGUF file, or org/name in the local cache.", required: true);

    public Option<string?> Data { get; } = Opt.Text("--data", "FILE", "The chats: JSON Lines, JSON, CSV (each also .gz), Parquet, or a folder of such files.", required: true);

    public Option<string?> Adapter { get; } = Opt.Text("--adapter", "FOLDER", "The LoRA adapter (PEFT) to audit. Without it, one is tuned on the data first.");

    public Option<string?> Out { get; } = Opt.Text("--out", "RUN", "The run folder. The same command again continues it.", required: true);

    public Option<string?> Atoms { get; } = new("--atoms")
    {
        Description = "How many atoms the dictionary has; auto tries sizes and takes the one that leaves the most poles that stay. Default: the smaller of 200 and an eighth of the documents.",
        HelpName = "auto|COUNT",
        CustomParser = result =>
        {
            var text = result.Tokens[^1].Value;
            if (text == "auto" || (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count >= 1))
            {
                return text;
            }

            result.AddError($"--atoms wants auto or a whole number of at least 1, not '{text}'");
            return null;
        },
    };

    public Option<int?> Limit { get; } = Opt.Whole("--limit", "COUNT", "Only the first COUNT documents.");

    public Option<int?> MaxTokens { get; } = Opt.Whole("--max-tokens", "COUNT", "Longer documents are cut, and the cut is counted. Default 512.", least: 2);

    public Option<long?> Seed { get; } = Opt.Long("--seed", "SEED", "The same seed and inputs give the same bytes. Default 0.");

    public Option<string?> Map { get; } = Opt.Text("--map", "PAIRS", "Where a row's fields have other names: prompt=question,completion=answer.");

    public Option<string?> Split { get; } = Opt.Text("--split", "NAME", "Of a data folder: the split to read. Default train.");

    public Option<DateTime?> Date { get; } = Opt.Date("--date", "The day that a chat template is told, where it asks. Default: the day of the first start, kept with the run.");

    public Option<string?> ChatTemplate { get; } = Opt.Text("--chat-template", "FILE", "A chat template instead of the model's own.");

    public Option<double?> HeldOut { get; } = Opt.Share("--held-out", "Documents kept out of the learning, to judge it by. Default 5%.");

    public Option<string?> Coordinates { get; } = Opt.Choice("--coordinates", "How gradients are kept: all of them (exact), sketched, as the reference has it, or not whitened (raw). Default auto: exact where it fits.", "exact", "sketch", "reference", "raw", "auto");

    public Option<double?> Damping { get; } = Opt.Number("--damping", "DELTA", "Damping of the curvature, relative to its mean eigenvalue. Default .001.", above: 0);

    public Option<string?> Sparsity { get; } = new("--sparsity")
    {
        Description = "The penalty on codes, 0 to 1; auto tries penalties and takes the largest that leaves the most poles that stay. Instead of --nonzeros.",
        HelpName = "auto|ALPHA",
        CustomParser = result =>
        {
            var text = result.Tokens[^1].Value;
            if (text == "auto" || (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var penalty) && penalty > 0 && double.IsFinite(penalty)))
            {
                return text;
            }

            result.AddError($"--sparsity wants auto or a number above 0, not '{text}'");
            return null;
        },
    };

    public Option<double?> Nonzeros { get; } = Opt.Number("--nonzeros", "COUNT", "Atoms a document encodes on, on average; the penalty is searched for. Default 4.2.", above: 0);

    public Option<double?> Gate { get; } = Opt.Number("--gate", "SHARE", "Count a document to every pole that it is as near to as this share of the pole's median document, not only to the nearest. Default: off.", above: 0);

    public Option<int?> Starts { get; } = Opt.Whole("--starts", "COUNT", "Independent starts of the dictionary; the best is kept. Default 8.");

    public Option<string[]?> Residualise { get; } = new("--residualise")
    {
        Description = "What is taken off the rows before the dictionary, with commas between: length, trained_length, position, source, language, format. Default: nothing.",
        HelpName = "NAMES",
        CustomParser = result =>
        {
            var names = result.Tokens[^1].Value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Distinct(StringComparer.Ordinal).ToArray();
            if (names.Length > 0 && names.All(name => DocumentConfounders.Removable.Contains(name, StringComparer.Ordinal)))
            {
                return names;
            }

            result.AddError($"--residualise wants some of {string.Join(", ", DocumentConfounders.Removable)} with commas between, not '{result.Tokens[^1].Value}'");
            return null;
        },
    };

    public Option<int?> Nulls { get; } = Opt.Whole("--nulls", "COUNT", "Dictionaries of rows without structure that atoms are told from chance with; below 19 nothing can be certified, 0 leaves certificates out. Default 20.", least: 0);

    public Option<string?> Codes { get; } = Opt.Choice("--codes", "Signed codes give an atom two poles, nonnegative ones one. Default signed.", "signed", "nonnegative");

    public Option<string?> Center { get; } = Opt.Choice("--center", "Whether the mean document is taken off before learning. Default on.", "on", "off");

    public Option<int?> Rank { get; } = Opt.Whole("--rank", "RANK", "Tuning: the adapter's rank. Default 8.");

    public Option<double?> Alpha { get; } = Opt.Number("--alpha", "ALPHA", "Tuning: LoRA's alpha; the scale is alpha / rank. Default 16.", above: 0);

    public Option<string?> TargetModules { get; } = Opt.Text("--target-modules", "NAMES", "Tuning: modules to adapt, with commas between, or all-linear. Default q_proj,v_proj, or the fused projection of queries, keys and values.");

    public Option<int?> Epochs { get; } = Opt.Whole("--epochs", "COUNT", "Tuning: passes over the documents. Default 1.");

    public Option<double?> LearningRate { get; } = Opt.Number("--learning-rate", "RATE", "Tuning: the largest rate. Default 3e-4.", above: 0);

    public Option<string?> Order { get; } = Opt.Choice("--order", "Tuning: whether each pass sees the documents in an order of its own (shuffled) or in that of the data. Default shuffled.", "shuffled", "data");

    public Option<int?> Checkpoints { get; } = Opt.Whole("--checkpoints", "COUNT", "Tuning: keep the adapter at COUNT steps, evenly over the fine-tune and the finished one among them, for gatoms timeline. Default 0.", least: 0);

    public Option<int?> BatchTokens { get; } = Opt.Whole("--batch-tokens", "COUNT", "Tokens of a batch at most, padding included; fewer where --memory asks for it. The results do not depend on it. Default 512.");

    public Option<long?> Memory { get; } = Opt.Size("--memory", "Memory that the run may take.");

    public Option<long?> Disk { get; } = Opt.Size("--disk", "Disk that the run folder may take.");

    public Option<double?> Time { get; } = Opt.Duration("--time", "Time that the run may take by its plan: 90m, 2h.");

    public Option<int?> Threads { get; } = Opt.Whole("--threads", "COUNT", "Processor threads. Default: OMP_NUM_THREADS, else all cores.");

    public Option<string?> Device { get; } = Opt.Text("--device", "DEVICE", "cpu, or cuda where this build has it. Default cpu.");

    public Option<double?> MaxRejected { get; } = Opt.Share("--max-rejected", "Rows that may be unusable before the run stops with exit code 5. Default 10%.");

    /// <summary>Options that choose what is read.</summary>
    public IEnumerable<Option> Reading => [Model, Data, Adapter, Out, Limit, MaxTokens, Seed, Map, Split, ChatTemplate, Date, HeldOut, MaxRejected];

    /// <summary>Options of the fine-tune.</summary>
    public IEnumerable<Option> Tuning => [Rank, Alpha, TargetModules, Epochs, LearningRate, Order, Checkpoints];

    /// <summary>Options of the dictionary and what comes before it.</summary>
    public IEnumerable<Option> Learning => [Atoms, Coordinates, Damping, Sparsity, Nonzeros, Gate, Starts, Codes, Center, Residualise, Nulls];

    /// <summary>What the machine may give.</summary>
    public IEnumerable<Option> Machine => [BatchTokens, Memory, Disk, Time, Threads, Device];

    /// <summary>The options as they were given, with the defaults for the others.</summary>
    public AuditOptions Read(ParseResult parse)
    {
        var defaults = new AuditOptions { Model = string.Empty, Data = string.Empty, Out = string.Empty };
        if (Get(Sparsity) is not null && Get(Nonzeros) is not null)
        {
            throw UsageException.Combination($"gatoms {parse.CommandResult.Command.Name}", "--sparsity and --nonzeros cannot be given together", "give the penalty, or the target that it is searched for");
        }

        return defaults with
        {
            Model = Get(Model)!,
            Data = Get(Data)!,
            Out = Get(Out)!,
            Adapter = Get(Adapter),
            ChatTemplate = Get(ChatTemplate),
            Map = Get(Map) is { } pairs ? DocumentReaderOptions.ParseMap(pairs) : defaults.Map,
            Split = Get(Split),
            Date = Get(Date),
            Limit = Get(Limit),
            MaxTokens = Get(MaxTokens) ?? defaults.MaxTokens,
            Seed = Get(Seed) ?? defaults.Seed,
            HeldOut = Get(HeldOut) ?? defaults.HeldOut,
            MaxRejected = Get(MaxRejected) ?? defaults.MaxRejected,
            Atoms = Get(Atoms) is { } atoms and not "auto" ? int.Parse(atoms, NumberStyles.None, CultureInfo.InvariantCulture) : null,
            Coordinates = Get(Coordinates) is { } kind ? Enum.Parse<CoordinateKind>(kind, ignoreCase: true) : defaults.Coordinates,
            Damping = Get(Damping) ?? defaults.Damping,
            Center = Get(Center) is { } center ? center == "on" : defaults.Center,
            Residualise = Get(Residualise),
            Sparsity = Get(Sparsity) is { } penalty and not "auto" ? double.Parse(penalty, NumberStyles.Float, CultureInfo.InvariantCulture) : null,
            Auto = (Get(Atoms), Get(Sparsity)) switch
            {
                ("auto", "auto") => SizeQuestion.Both,
                ("auto", _) => SizeQuestion.Atoms,
                (_, "auto") => SizeQuestion.Sparsity,
                _ => SizeQuestion.None,
            },
            Nonzeros = Get(Nonzeros) ?? defaults.Nonzeros,
            Gate = Get(Gate),
            Starts = Get(Starts) ?? defaults.Starts,
            Nulls = Get(Nulls) ?? defaults.Nulls,
            Codes = Get(Codes) is { } codes ? Enum.Parse<CodeSigns>(codes, ignoreCase: true) : defaults.Codes,
            Rank = Get(Rank) ?? defaults.Rank,
            Alpha = Get(Alpha) ?? defaults.Alpha,
            TargetModules = Get(TargetModules),
            Epochs = Get(Epochs) ?? defaults.Epochs,
            LearningRate = Get(LearningRate) ?? defaults.LearningRate,
            Shuffle = Get(Order) != "data",
            Checkpoints = Get(Checkpoints) ?? defaults.Checkpoints,
            BatchTokens = Get(BatchTokens) ?? defaults.BatchTokens,
            Memory = Get(Memory),
            Disk = Get(Disk),
            Time = Get(Time),
            Device = Get(Device) ?? defaults.Device,
        };

        // A command that does not declare an option takes its default.
        T? Get<T>(Option<T> option) => parse.CommandResult.Command.Options.Contains(option) ? parse.GetValue(option) : default;
    }

    /// <summary>Every option of an audit.</summary>
    public IEnumerable<Option> All => [Model, Data, Adapter, Out, .. Learning, .. Reading.Except([Model, Data, Adapter, Out]), .. Tuning, .. Machine];

    /// <summary>Adds every option of an audit.</summary>
    public void AddTo(Command command)
    {
        foreach (var option in All)
        {
            command.Add(option);
        }
    }
}
