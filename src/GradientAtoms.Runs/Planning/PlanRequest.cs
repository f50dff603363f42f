using GradientAtoms.Gradients;

namespace GradientAtoms.Runs.Planning;

/// <summary>How fast the machine is. The defaults were measured on two cores with AVX2 where nothing else is said.</summary>
public sealed record Speeds
{
    /// <summary>Forward and backward through the model, floating-point operations a second (4 a parameter and token).</summary>
    public double ModelFlops { get; init; } = 62e9;

    /// <summary>Large float32 matrix products, floating-point operations a second.</summary>
    public double MatrixFlops { get; init; } = 120e9;

    /// <summary>Reading and writing rows, bytes a second.</summary>
    public double DiskBytes { get; init; } = 4e8;

    /// <summary>Numbers of gradients that go into a sketch, a second, on one thread: 1.1e8 to 2.2e8 were measured for sketches of 16,384 to 256 numbers.</summary>
    public double SketchedNumbers { get; init; } = 1.5e8;

    /// <summary>Memory that the heaviest batch was seen to take beside the model; null: estimated from the model's shapes.</summary>
    public long? ActivationBytes { get; init; }

    /// <summary>Tokens a second through a model, forward and backward to the activations.</summary>
    /// <param name="parameterCount">Its weights.</param>
    public double TokensPerSecond(long parameterCount) => ModelFlops / (4 * parameterCount);

    /// <summary>The same machine with a measured speed of the model.</summary>
    /// <param name="tokensPerSecond">Tokens a second, forward and backward to the activations.</param>
    /// <param name="parameterCount">Weights of that model.</param>
    public Speeds WithTokensPerSecond(double tokensPerSecond, long parameterCount) => this with { ModelFlops = tokensPerSecond * 4 * parameterCount };
}

/// <summary>What is known before a run begins.</summary>
public sealed record PlanRequest
{
    /// <summary>Documents that are learnt from, N.</summary>
    public required int Documents { get; init; }

    /// <summary>Their tokens, after truncation.</summary>
    public required long Tokens { get; init; }

    /// <summary>Those that the loss sums over: only they take logits.</summary>
    public required long TrainedTokens { get; init; }

    /// <summary>Tokens of the longest document.</summary>
    public required int LongestDocument { get; init; }

    /// <summary>Weights of the base model.</summary>
    public required long ModelParameters { get; init; }

    /// <summary>The model's vocabulary, V.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>The parameters whose gradients are looked at.</summary>
    public required ParameterLayout Layout { get; init; }

    /// <summary>Atoms, K.</summary>
    public required int Atoms { get; init; }

    /// <summary>Atoms of each size that is tried before, where the number of atoms or the penalty is found so.</summary>
    public IReadOnlyList<int> SizeTrials { get; init; } = [];

    /// <summary>Starts of the learner.</summary>
    public int Starts { get; init; } = 1;

    /// <summary>Nulls that poles are told from chance with; 0: no certificates.</summary>
    public int Nulls { get; init; }

    /// <summary>How gradients are to be kept.</summary>
    public CoordinateKind Coordinates { get; init; } = CoordinateKind.Auto;

    /// <summary>Share of the documents that the first of the two passes takes, where gradients are sketched.</summary>
    public double SampleShare { get; init; } = 0.15;

    /// <summary>Numbers a row of a sketch, k.</summary>
    public int SketchSize { get; init; } = 16384;

    /// <summary>Coordinates a map in the reference's projection.</summary>
    public int ReferenceCoordinates { get; init; } = 50;

    /// <summary>Passes of a fine-tune over the documents; 0 where an adapter is given.</summary>
    public double TuneEpochs { get; init; }

    /// <summary>Tokens of a batch through the model, at most.</summary>
    public int BatchTokens { get; init; } = 512;

    /// <summary>What the run may use.</summary>
    public required Budget Budget { get; init; }

    /// <summary>How fast the machine is.</summary>
    public Speeds Speeds { get; init; } = new();
}
