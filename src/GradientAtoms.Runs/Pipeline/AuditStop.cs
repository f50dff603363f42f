namespace GradientAtoms.Runs.Pipeline;

/// <summary>Where an audit stops, to go on another time or on another machine.</summary>
public enum AuditStop
{
    /// <summary>Behind the tokens.</summary>
    Documents,

    /// <summary>Behind the decision how gradients are kept.</summary>
    Plan,

    /// <summary>Behind the adapter: all that shards need is there.</summary>
    Adapter,

    /// <summary>Behind the curvature of the sample, where gradients are sketched; else as <see cref="Gradients"/>.</summary>
    Curvature,

    /// <summary>Behind the gradients of all documents.</summary>
    Gradients,

    /// <summary>Behind the whitened coordinates.</summary>
    Coordinates,

    /// <summary>Behind dictionary and codes.</summary>
    Dictionary,

    /// <summary>Behind the comparison of poles with chance.</summary>
    Certificates,

    /// <summary>Behind the atoms: only the report is missing.</summary>
    Atoms,
}

/// <summary>A stage stops because <see cref="AuditOptions.Until"/> lies within it.</summary>
internal sealed class StopAsked() : OperationCanceledException("stopped where it was asked to");
