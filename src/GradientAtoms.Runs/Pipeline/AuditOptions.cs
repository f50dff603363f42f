using GradientAtoms.Certificates;
using GradientAtoms.DictionaryLearning;
using GradientAtoms.Runs.Planning;

namespace GradientAtoms.Runs.Pipeline;

/// <summary>What an audit is to do. Every default is what <c>gatoms audit</c> does without the option.</summary>
public sealed record AuditOptions
{
    /// <summary>A Hugging Face folder, a GGUF file, or <c>org/name</c> in the local cache.</summary>
    public required string Model { get; init; }

    /// <summary>The data file, or a folder of data files.</summary>
    public required string Data { get; init; }

    /// <summary>The run folder.</summary>
    public required string Out { get; init; }

    /// <summary>A PEFT folder; null: one is tuned first.</summary>
    public string? Adapter { get; init; }

    /// <summary>A chat template file instead of the model's own.</summary>
    public string? ChatTemplate { get; init; }

    /// <summary>A file of neutral chats or texts that the KL of a step is measured on; null: the built-in ones. No stage of the audit reads it.</summary>
    public string? Neutral { get; init; }

    /// <summary>Our field names to the rows'.</summary>
    public IReadOnlyDictionary<string, string> Map { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Of a data folder: the split; null: <c>train</c>.</summary>
    public string? Split { get; init; }

    /// <summary>The time that a chat template is told (<c>strftime_now</c>); null: the day of the run's first start, where the template asks, and kept from then on.</summary>
    public DateTime? Date { get; init; }

    /// <summary>The first documents only.</summary>
    public int? Limit { get; init; }

    /// <summary>Longer documents are cut, and counted.</summary>
    public int MaxTokens { get; init; } = 512;

    /// <summary>The run's one seed.</summary>
    public long Seed { get; init; }

    /// <summary>Share of the documents that the dictionary is not learnt from.</summary>
    public double HeldOut { get; init; } = 0.05;

    /// <summary>Share of the rows that may be unusable.</summary>
    public double MaxRejected { get; init; } = 0.1;

    /// <summary>Atoms; null: the smaller of 200 and an eighth of the documents.</summary>
    public int? Atoms { get; init; }

    /// <summary>What is found by trying sizes, instead of <see cref="Atoms"/> or <see cref="Sparsity"/>: see <see cref="SizeSearch"/>.</summary>
    public SizeQuestion Auto { get; init; } = SizeQuestion.None;

    /// <summary>How gradients are kept.</summary>
    public CoordinateKind Coordinates { get; init; } = CoordinateKind.Auto;

    /// <summary>Numbers a document in a sketch.</summary>
    public int SketchSize { get; init; } = 4096;

    /// <summary>Where sketches are kept: the share of the documents that eigenbases and eigenvalues are of. Above 0, up to 1.</summary>
    public double SampleShare { get; init; } = 0.15;

    /// <summary>δ: the damping relative to the mean eigenvalue.</summary>
    public double Damping { get; init; } = 0.001;

    /// <summary>Whether the mean document is taken off.</summary>
    public bool Center { get; init; } = true;

    /// <summary>Names of <see cref="DocumentConfounders.Removable"/> that are taken off the rows before the dictionary; null: none.</summary>
    public IReadOnlyList<string>? Residualise { get; init; }

    /// <summary>The penalty on codes; null: searched for <see cref="Nonzeros"/>.</summary>
    public double? Sparsity { get; init; }

    /// <summary>Atoms a document encodes on, on average.</summary>
    public double Nonzeros { get; init; } = 4.2;

    /// <summary>What signs codes may have.</summary>
    public CodeSigns Codes { get; init; } = CodeSigns.Signed;

    /// <summary>Gates of the poles, as a share of a pole's median product: a document is of every pole that it is near enough to. Null: codes are those of the penalty.</summary>
    public double? Gate { get; init; }

    /// <summary>Independent starts of the dictionary; the one of the lowest objective is kept. On the real audit of docs/experiments.md one start gave a mean best F1 of .598, eight .616.</summary>
    public int Starts { get; init; } = 8;

    /// <summary>Dictionaries of rows without structure that poles are told from chance with, of one start each; below 19 nothing can be certified, 0: no certificates.</summary>
    public int Nulls { get; init; } = 20;

    /// <summary>Tuning: the adapter's rank.</summary>
    public int Rank { get; init; } = 8;

    /// <summary>Tuning: LoRA's alpha.</summary>
    public double Alpha { get; init; } = 16;

    /// <summary>Tuning: names with commas between, or <c>all-linear</c>; null: those of <see cref="Models.ModelDescription.UsualTargets"/>.</summary>
    public string? TargetModules { get; init; }

    /// <summary>Tuning: passes over the documents.</summary>
    public int Epochs { get; init; } = 1;

    /// <summary>Tuning: the largest learning rate.</summary>
    public double LearningRate { get; init; } = 3e-4;

    /// <summary>Tuning: whether each epoch has an order of its own; otherwise documents are seen in the order of the data file.</summary>
    public bool Shuffle { get; init; } = true;

    /// <summary>Tuning: at how many steps the adapter is kept, evenly over the fine-tune and the finished one among them, for <c>gatoms timeline</c>; 0: only the finished one.</summary>
    public int Checkpoints { get; init; }

    /// <summary>Padded tokens of a batch of the gradient pass, at most: the plan takes fewer where <see cref="Memory"/> asks for it.</summary>
    public int BatchTokens { get; init; } = 512;

    /// <summary>Memory that the run may take, in bytes; null: what the machine has.</summary>
    public long? Memory { get; init; }

    /// <summary>Disk that the run may take, in bytes; null: what is free, less 2 GiB.</summary>
    public long? Disk { get; init; }

    /// <summary>Time that the run may take by its plan, in seconds; null: no limit.</summary>
    public double? Time { get; init; }

    /// <summary>The stage to stop behind; null: none.</summary>
    public AuditStop? Until { get; init; }

    /// <summary><c>cpu</c> or <c>cuda:0</c>.</summary>
    public string Device { get; init; } = "cpu";
}
