namespace GradientAtoms.Cli;

/// <summary>Failures of the machine that a user can put right, whatever code they surface in.</summary>
internal static class SystemFault
{
    private const int NoSpaceLeft = 28; // ENOSPC

    /// <summary>The error to show, or null where this is no fault of the machine.</summary>
    public static GradientAtomsException? From(Exception exception) => exception switch
    {
        UnauthorizedAccessException => UsageException.Forbidden(exception.Message, exception),
        IOException when (exception.HResult & 0xFFFF) == NoSpaceLeft
            => new GradientAtomsException("GA3091", "disk", "is full", "free some space, or choose an --out elsewhere; what is done is kept", exception),
        OutOfMemoryException => OutOfMemory(exception),
        _ when exception.Message.Contains("not enough memory", StringComparison.Ordinal) && exception.Message.Contains("DefaultCPUAllocator", StringComparison.Ordinal)
            => OutOfMemory(exception),
        _ => null,
    };

    private static GradientAtomsException OutOfMemory(Exception exception) =>
        new("GA3092", "memory", "the machine has no more", "lower --batch-tokens or --max-tokens, or set --memory so that the plan fits; what is done is kept", exception);
}
