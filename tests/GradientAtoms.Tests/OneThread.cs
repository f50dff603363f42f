using System.Reflection;
using GradientAtoms.Tests;
using TorchSharp;
using Xunit.v3;

[assembly: OneThread]

namespace GradientAtoms.Tests;

/// <summary>
/// Gives torch one thread before every test. A command that runs in the process takes all of them and leaves the thread that ran
/// it so; another test on that thread would add up in another order, and compare bytes with those of a test that did not.
/// </summary>
[AttributeUsage(AttributeTargets.Assembly)]
public sealed class OneThreadAttribute : BeforeAfterTestAttribute
{
    /// <inheritdoc/>
    public override void Before(MethodInfo methodUnderTest, IXunitTest test) => torch.set_num_threads(1);
}
