namespace GradientAtoms.Tests.Support;

/// <summary>Hands progress on, on the caller's thread.</summary>
internal sealed class Relay<T>(Action<T> report) : IProgress<T>
{
    public void Report(T value) => report(value);
}
