namespace GradientAtoms.FineTuning;

/// <summary>How the learning rate falls after the warm-up.</summary>
public enum LearningRateSchedule
{
    /// <summary>In a straight line towards 0.</summary>
    Linear,

    /// <summary>Along half a cosine towards 0.</summary>
    Cosine,

    /// <summary>Not at all.</summary>
    Constant,
}

/// <summary>How a LoRA adapter is trained; its rank, alpha and modules are those of the adapter that the trainer is given.</summary>
public sealed record FineTuningOptions
{
    /// <summary>How often each document is seen.</summary>
    public int Epochs { get; init; } = 1;

    /// <summary>The largest learning rate.</summary>
    public double LearningRate { get; init; } = 3e-4;

    /// <summary>Steps on which the learning rate rises; half of all steps at most.</summary>
    public int WarmupSteps { get; init; } = 5;

    /// <summary>What the learning rate does after the warm-up.</summary>
    public LearningRateSchedule Schedule { get; init; } = LearningRateSchedule.Linear;

    /// <summary>Tokens of the documents of one optimiser step, without padding; a longer document is a step of its own.</summary>
    public int BatchTokens { get; init; } = 2048;

    /// <summary>
    /// Tokens that run through the model together, padding included: a step is cut into documents of similar length, and their
    /// gradients are added up. It decides the memory (some 2 MB a token at 135 M parameters) and only rounding beside it.
    /// </summary>
    public int MicroBatchTokens { get; init; } = 512;

    /// <summary>Decoupled weight decay.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Decay of Adam's first moments.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of Adam's second moments.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Adam's ε, added to the root of the second moments.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>The largest norm of a step's gradient over all parameters; longer ones are shortened. 0 for no limit.</summary>
    public double ClipNorm { get; init; } = 1;

    /// <summary>The run's seed: decides the order of the batches.</summary>
    public long Seed { get; init; } = 42;

    /// <summary>Whether each epoch has an order of its own, drawn from the seed; otherwise documents are seen as they come.</summary>
    public bool Shuffle { get; init; } = true;

    /// <summary>At how many steps, evenly over the training, the adapter is handed to <see cref="ITrainingCheckpointSink.Keep"/>: the last of them is the end, which is the result and is not handed over.</summary>
    public int Snapshots { get; init; }

    /// <summary>Steps between two looks at the held-out loss; 0 looks only before and after.</summary>
    public int HeldOutEvery { get; init; }

    /// <summary>Steps between two checkpoints, where there is a sink for them.</summary>
    public int CheckpointEvery { get; init; } = 20;

    /// <summary>Positions whose logits are in memory at a time: this many times V floats, about four times.</summary>
    public int LogitPositions { get; init; } = 256;
}
