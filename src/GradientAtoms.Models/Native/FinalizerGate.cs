using System.Runtime.CompilerServices;

namespace GradientAtoms.Models.Native;

/// <summary>
/// Holds back finalisers while one thread computes with torch and others allocate. TorchSharp does not keep a <c>Scalar</c> alive
/// while native code reads it: a collection that another thread sets off may find it dead, and its finaliser then frees it under
/// that code (docs/decisions/0008). While the gate is closed nothing is finalised, so nothing is freed.
/// </summary>
/// <remarks>
/// The runtime has one thread for finalisers, which runs them one after another. Closing makes an object without references,
/// collects the youngest generation, and waits until that object's finaliser has the thread; there it stays until the gate opens.
/// What was found dead before is finalised first, what is found dead meanwhile afterwards. Two gates of a process take turns.
/// A gate is closed and opened by one thread, which must not wait for finalisers while it is closed.
/// </remarks>
public sealed class FinalizerGate : IDisposable
{
    // A collection of the youngest generation takes well under a millisecond; the wait is for finalisers that are due.
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(200);

    private readonly long _renewAfter;
    private Doorman? _doorman;
    private long _closedAt;

    /// <summary>Makes an open gate.</summary>
    /// <param name="renewAfter">How long <see cref="Renew"/> leaves it closed, in milliseconds.</param>
    public FinalizerGate(int renewAfter = 50) => _renewAfter = renewAfter;

    /// <summary>Whether finalisers wait.</summary>
    public bool IsClosed => _doorman is not null;

    /// <summary>Returns when no finaliser runs any more, and none will until the gate opens.</summary>
    public void Close()
    {
        if (_doorman is not null)
        {
            return;
        }

        // The runtime takes the newest first: what is due already would be passed over time and again.
        GC.WaitForPendingFinalizers();
        var doorman = new Doorman();
        do
        {
            Abandon(doorman);
            GC.Collect(0, GCCollectionMode.Forced, blocking: true);
        }
        while (!doorman.Arrived.Wait(Patience));
        (_doorman, _closedAt) = (doorman, Environment.TickCount64);
    }

    /// <summary>Lets finalisers run again.</summary>
    public void Open()
    {
        _doorman?.Leave.Set();
        _doorman = null;
    }

    /// <summary>Closed afterwards; where it has been closed for long, what waited has run. To be called between two computations.</summary>
    public void Renew()
    {
        if (IsClosed && Environment.TickCount64 - _closedAt >= _renewAfter)
        {
            Open();
        }

        Close();
    }

    /// <inheritdoc/>
    public void Dispose() => Open();

    // Not inlined: no reference may be left in the frame of the caller.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Abandon(Doorman doorman) => _ = new Abandoned(doorman);

    /// <summary>Where the thread of the finalisers and that of the gate meet. Never disposed: both may still be in its events.</summary>
    private sealed class Doorman
    {
        public ManualResetEventSlim Arrived { get; } = new();

        public ManualResetEventSlim Leave { get; } = new();
    }

    private sealed class Abandoned(Doorman doorman)
    {
        ~Abandoned()
        {
            doorman.Arrived.Set();
            doorman.Leave.Wait();
        }
    }
}
