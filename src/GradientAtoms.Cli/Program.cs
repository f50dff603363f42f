using System.Runtime.InteropServices;
using System.Text;
using GradientAtoms.Cli;
using GradientAtoms.Models.Native;

Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
using var interruption = new CancellationTokenSource();
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Interrupt);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Interrupt);

FreedMemory.Keep();
return CliHost.ForConsole().Run(args, interruption.Token);

// The first signal lets the running stage finish its block; a second one ends the program at once, which a run survives too.
void Interrupt(PosixSignalContext signal)
{
    signal.Cancel = !interruption.IsCancellationRequested;
    interruption.Cancel();
}
