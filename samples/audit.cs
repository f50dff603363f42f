#:project ../src/GradientAtoms.Runs/GradientAtoms.Runs.csproj
#:property PublishAot=false

// An audit from code, without the command line:
//     dotnet run samples/audit.cs -- MODEL DATA RUN
// Run again, it continues. RUN/report.html has the rest.

using System.Globalization;
using GradientAtoms;
using GradientAtoms.Runs;
using GradientAtoms.Runs.Formats;
using GradientAtoms.Runs.Pipeline;

if (args is not [var model, var data, var run])
{
    Console.Error.WriteLine("usage: dotnet run samples/audit.cs -- MODEL DATA RUN");
    return 2;
}

try
{
    AuditPipeline.Run(
        new() { Model = model, Data = data, Out = run },
        decision => Console.Error.WriteLine($"{decision.Stage}: {(decision.Reuse ? "reused" : "done")}, {decision.Reason}"));
}
catch (GradientAtomsException error)
{
    Console.Error.WriteLine($"{error.Code} {error.Message}. {error.Remedy}");
    return 1;
}

foreach (var pole in AtomsFile.Read(Path.Combine(run, RunFiles.Atoms)).SelectMany(atom => atom.Poles).Where(pole => pole.Coherence is not null).Take(10))
{
    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{pole.Id}  {pole.Documents,4} documents  coherence {pole.Coherence:0.000}  {string.Join(", ", pole.Keywords ?? [])}"));
}

return 0;
