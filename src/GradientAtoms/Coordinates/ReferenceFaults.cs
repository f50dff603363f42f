namespace GradientAtoms.Coordinates;

/// <summary>
/// What the reference implementation does by mistake. Its choices (Kronecker eigenvalues, few coordinates a map, an absolute
/// damping, the atom's gradient as the direction) are reference mode itself; these are off in it unless they are asked for.
/// </summary>
[Flags]
public enum ReferenceFaults
{
    /// <summary>None of them.</summary>
    None = 0,

    /// <summary>A map without eigenvectors is left out without moving on in the gradient, so every later map reads and writes columns that are not its own.</summary>
    Offsets = 1,

    /// <summary>A direction is in the model's order of parameters, and is laid into the adapter's tensors in the order of their sorted names.</summary>
    Order = 2,

    /// <summary>Eigenvalues count by their size: one that is negative, so wrong, is taken for its opposite.</summary>
    Signs = 4,
}
