namespace GradientAtoms.Runs.Planning;

/// <summary>How gradients are kept.</summary>
public enum CoordinateKind
{
    /// <summary>Exact where it fits, else a sketch.</summary>
    Auto,

    /// <summary>All of them: nothing is lost.</summary>
    Exact,

    /// <summary>A seeded random sketch of the whitened gradients.</summary>
    Sketch,

    /// <summary>As the reference implementation has it: the coordinates of the 50 largest Kronecker eigenvalues of each map.</summary>
    Reference,

    /// <summary>All of them, not whitened: a baseline.</summary>
    Raw,
}
